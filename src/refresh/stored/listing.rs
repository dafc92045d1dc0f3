//! The sessions of a user, as the store's index has them.

use std::sync::Arc;

use crate::{
    account::AccountId,
    clock::Timestamp,
    refresh::{
        depot::Depot,
        keeper::{EndReason, Keeper},
    },
    session::{IndexedSession, StoreError},
};

impl Keeper {
    /// The live sessions of a user: the names of their records, and what the index says of them.
    pub(crate) async fn sessions_of(
        &self,
        depot: &Depot,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<(String, IndexedSession)>, StoreError> {
        let mut live = Vec::new();
        let now = self.now();
        for (key, entry) in depot.vault.indexed(account.as_str(), user).await? {
            // The record ends with the session; what the index says of its last use may be late.
            let end = Timestamp::from_millis(entry.created).plus(self.lifetimes.absolute);
            if now < end && depot.vault.has(&key).await? {
                live.push((key, entry));
            } else {
                // It has ended by itself. An entry that stays is looked at again.
                let _ = depot.vault.unindex(account.as_str(), user, &key).await;
            }
        }
        Ok(live)
    }

    /// Ends a session of a user by the name of its record: the record first, so that a crash in
    /// between leaves an entry without a record and never the reverse.
    pub(crate) async fn end_record(
        self: &Arc<Self>,
        depot: &Depot,
        account: &AccountId,
        user: &str,
        key: &str,
    ) -> Result<(), StoreError> {
        // Noted first: a deletion whose answer is lost may be lost itself.
        self.note_deleted(depot, key);
        depot.vault.delete_key(key).await?;
        let here = depot.vault.names.session_id(key).and_then(|id| self.ledger.known(id));
        if let Some(track) = here {
            self.end_here(&track);
        }
        self.announce(user, account, EndReason::Logout);
        depot.vault.unindex(account.as_str(), user, key).await
    }
}
