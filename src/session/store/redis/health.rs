//! Says once that the store has stopped working, and once that it works again.

use std::sync::atomic::{AtomicU32, Ordering};

use super::fault::Fault;

/// What was asked of the store, as a bit among the troubles.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Create = 1,
    Load,
    Update,
    Delete,
    DeleteIf,
    Lease,
    Release,
    IndexAdd,
    Index,
    IndexRemove,
}

/// Trouble that concerns every verb: no connection, or a server that is not ready.
const OUTAGE: u32 = 1;

/// What does not work now: the outage, and each verb that the server has refused for itself (no
/// room for writes, no right). Any success ends an outage, a verb's trouble only its own success:
/// reads that work do not make a full server look well.
#[derive(Debug, Default)]
pub(super) struct Health {
    troubles: AtomicU32,
}

impl Health {
    pub(super) fn note(&self, verb: Verb, fault: Option<&Fault>) {
        match fault {
            None => self.worked(verb),
            Some(fault) if fault.is_outage() => self.outage(fault),
            Some(fault) => self.add(1 << verb as u32, fault),
        }
    }

    pub(super) fn outage(&self, fault: &Fault) {
        self.add(OUTAGE, fault);
    }

    fn worked(&self, verb: Verb) {
        let over = OUTAGE | 1 << verb as u32;
        // Nearly always there is no trouble, and nothing to write to memory that all calls share.
        if self.troubles.load(Ordering::Relaxed) & over == 0 {
            return;
        }
        let before = self.troubles.fetch_and(!over, Ordering::AcqRel);
        if before != 0 && before & !over == 0 {
            tracing::info!("the session store works again");
        }
    }

    fn add(&self, trouble: u32, fault: &Fault) {
        if self.troubles.fetch_or(trouble, Ordering::AcqRel) == 0 {
            // The layer says so as an error: once, whatever the store is.
            tracing::warn!(kind = fault.kind(), reason = %fault, "the session store has stopped working");
        }
    }
}
