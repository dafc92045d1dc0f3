//! Whether the session store does its work: said once when it stops, once when it is over, and looked
//! after meanwhile.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::store::StoreError;

/// While a store does not answer it is asked this often, whether there are requests or not: an
/// instance that a balancer has taken out of service gets none, and would never learn that it is over.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Nothing is answered.
const SILENT: u8 = 1;
/// Reads are refused.
const NO_READS: u8 = 2;
/// Writes are refused, or there is no room for them: reads that work do not end that.
const NO_WRITES: u8 = 4;

/// What does not work now.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    troubles: Arc<AtomicU8>,
}

/// What a call wanted of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    Write,
}

impl Pulse {
    /// Whether sessions can be read, as far as is known.
    pub(super) fn answers(&self) -> bool {
        self.troubles.load(Ordering::Relaxed) & (SILENT | NO_READS) == 0
    }

    /// A call was answered.
    pub(super) fn worked(&self, want: Want) {
        let over = SILENT | if want == Want::Read { NO_READS } else { NO_WRITES };
        // Nearly always there is no trouble, and nothing to write to memory that all calls share.
        if self.troubles.load(Ordering::Relaxed) & over == 0 {
            return;
        }
        let before = self.troubles.fetch_and(!over, Ordering::AcqRel);
        if before & over != 0 && before & !over == 0 {
            tracing::info!("the session store answers again");
        }
    }

    /// A call failed. `probe` asks the store something that changes nothing.
    pub(super) fn failed<F, P>(&self, want: Want, verb: &'static str, error: &StoreError, probe: P)
    where
        P: Fn() -> Option<F> + Send + 'static,
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let trouble = match (error, want) {
            (StoreError::Unavailable(_), _) => SILENT,
            (_, Want::Read) => NO_READS,
            (_, Want::Write) => NO_WRITES,
        };
        let before = self.troubles.fetch_or(trouble, Ordering::AcqRel);
        let (kind, error) = (error.as_str(), error as &dyn std::error::Error);
        if before == 0 {
            tracing::error!(verb, kind, error, "the session store does not do its work");
        } else {
            tracing::debug!(verb, kind, error, "the session store does not do its work");
        }
        let unreadable = SILENT | NO_READS;
        if trouble & unreadable != 0 && before & unreadable == 0 {
            tokio::spawn(self.clone().ask_until_answered(probe));
        }
    }

    /// Ends when the store answers, or nobody has it any more.
    async fn ask_until_answered<F, P>(self, probe: P)
    where
        P: Fn() -> Option<F>,
        F: Future<Output = Result<(), StoreError>>,
    {
        while !self.answers() {
            sleep(ASK_EVERY).await;
            let Some(asked) = probe() else { return };
            if !self.answers() && asked.await.is_ok() {
                self.worked(Want::Read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that fails, and probes that fail too.
    async fn fails(pulse: &Pulse, want: Want, error: StoreError) {
        pulse.failed(want, "verb", &error, || {
            Some(async { Err(StoreError::Unavailable("still".into())) })
        });
    }

    /// D01: a store that is full for writes is no store that does not answer, and a read that works
    /// does not make it well.
    #[tokio::test]
    async fn reads_and_writes_fail_and_recover_apart() {
        let silent = || StoreError::Unavailable("silent".into());
        let pulse = Pulse::default();
        assert!(pulse.answers());
        fails(&pulse, Want::Write, StoreError::Full).await;
        pulse.worked(Want::Read);
        assert_eq!((pulse.answers(), pulse.troubles.load(Ordering::Relaxed)), (true, NO_WRITES));
        fails(&pulse, Want::Write, silent()).await;
        fails(&pulse, Want::Read, StoreError::Refused("rights".into())).await;
        assert!(!pulse.answers());
        pulse.worked(Want::Write);
        assert_eq!(pulse.troubles.load(Ordering::Relaxed), NO_READS);
        pulse.worked(Want::Read);
        assert_eq!((pulse.answers(), pulse.troubles.load(Ordering::Relaxed)), (true, 0));
    }

    /// S11: it is found out without any request that the store answers again, and asking ends then,
    /// or with the store.
    #[tokio::test(start_paused = true)]
    async fn a_silent_store_is_asked_until_it_answers() {
        for (asked_in_all, gone_at) in [(3, None), (1, Some(1))] {
            let pulse = Pulse::default();
            let asked = Arc::new(AtomicU8::new(0));
            let count = Arc::clone(&asked);
            let silent = StoreError::Unavailable("silent".into());
            pulse.failed(Want::Read, "load", &silent, move || {
                let now = count.fetch_add(1, Ordering::Relaxed) + 1;
                let answer = match now {
                    3.. => Ok(()),
                    _ => Err(StoreError::Unavailable("still".into())),
                };
                (gone_at != Some(now)).then_some(async { answer })
            });
            sleep(10 * ASK_EVERY).await;
            assert_eq!(pulse.answers(), gone_at.is_none());
            assert_eq!(asked.load(Ordering::Relaxed), asked_in_all);
        }
    }
}
