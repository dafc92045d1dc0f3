//! Contents that are wiped when the last who holds them lets go.

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

use crate::session::store::StoredRecord;

/// The record in memory of its own: no larger buffer is kept alive with it, and it is wiped at its
/// end. So is what was handed over, if nobody else holds it.
pub(super) fn owned(record: StoredRecord) -> StoredRecord {
    let version = record.version();
    let content = record.into_content();
    let copy = Bytes::from_owner(Zeroizing::new(content.to_vec()));
    if let Ok(mut handed_over) = content.try_into_mut() {
        handed_over.as_mut().zeroize();
    }
    StoredRecord::new(version, copy)
}
