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
    /// Those whose cookies have come back, then the others; of each the oldest first.
    in_order: BTreeMap<(Urgency, Order), SessionId>,
}

/// The less urgent goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// The cookie has come back.
    Presented,
    Unpresented,
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
        kept.in_order.insert((Urgency::Unpresented, order), session);
        order
    }

    /// The cookie of a result has come back.
    pub(super) fn note_presented(&self, order: Order) {
        let in_order = &mut self.kept().in_order;
        if let Some(session) = in_order.remove(&(Urgency::Unpresented, order)) {
            in_order.insert((Urgency::Presented, order), session);
        }
    }

    pub(super) fn remove(&self, order: Order) {
        let in_order = &mut self.kept().in_order;
        for urgency in [Urgency::Presented, Urgency::Unpresented] {
            in_order.remove(&(urgency, order));
        }
    }

    /// The results that have to go, where there are too many: those that have been presented, then the
    /// oldest. They count as kept no longer.
    pub(super) fn take_excess(&self) -> Vec<(Order, SessionId)> {
        let in_order = &mut self.kept().in_order;
        let excess = in_order.len().saturating_sub(self.limit);
        let first = || in_order.pop_first().map(|((_, order), session)| (order, session));
        std::iter::from_fn(first).take(excess).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change under this lock is complete in itself.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
