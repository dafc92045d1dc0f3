//! Which results are kept, in the order in which they give way.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::session::id::SessionId;

/// Tells the results of one ledger apart: the later one is greater.
pub(super) type Order = u64;

/// Which sessions' results are kept. None of its calls looks at all of them.
pub(super) struct Results {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: Order,
    /// Their cookies have come back: they go first.
    presented: BTreeMap<Order, SessionId>,
    unpresented: BTreeMap<Order, SessionId>,
}

impl Results {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Notes the new result of a session, which nobody has presented.
    pub(super) fn add(&self, session: SessionId) -> Order {
        let kept = &mut *self.kept();
        let order = kept.next;
        kept.next += 1;
        kept.unpresented.insert(order, session);
        order
    }

    /// The cookie of a result has come back.
    pub(super) fn note_presented(&self, order: Order) {
        let kept = &mut *self.kept();
        if let Some(session) = kept.unpresented.remove(&order) {
            kept.presented.insert(order, session);
        }
    }

    pub(super) fn remove(&self, order: Order) {
        let kept = &mut *self.kept();
        if kept.presented.remove(&order).is_none() {
            kept.unpresented.remove(&order);
        }
    }

    /// The results that have to go, where there are too many: those that have been presented, then the
    /// oldest. They count as kept no longer.
    pub(super) fn take_excess(&self) -> Vec<(Order, SessionId)> {
        let kept = &mut *self.kept();
        let count = kept.presented.len() + kept.unpresented.len();
        let Kept { presented, unpresented, .. } = kept;
        let in_order = || presented.pop_first().or_else(|| unpresented.pop_first());
        std::iter::from_fn(in_order).take(count.saturating_sub(self.limit)).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change under this lock is complete in itself.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
