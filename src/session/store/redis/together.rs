//! Loads that come while another is under way go to the server together, as one command.
//!
//! A server that is busy is asked for many records at once, and what a command costs here and there
//! (its bytes, its deadline, its place in the queue, its answer's way back) is then paid once for all
//! of them. A load that comes alone is sent by itself, at once.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use ::redis::{Cmd, Value};
use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

/// The longest command: the server does nothing else meanwhile.
const MOST: usize = 128;

/// The loads of one store.
#[derive(Default)]
pub(super) struct Together {
    /// Loads that have not ended.
    under_way: AtomicUsize,
    /// Every load goes by itself, as long as the store lives.
    is_off: AtomicBool,
    waiting: Mutex<Batch>,
}

/// The loads of the next command.
#[derive(Default)]
struct Batch {
    /// Where they wait: a runtime that stalls holds up no other's.
    runtime: Option<runtime::Id>,
    loads: Vec<Waiting>,
}

struct Waiting {
    key: Box<str>,
    value: oneshot::Sender<Vec<u8>>,
}

/// A load until this is dropped, and how it is to go.
pub(super) struct UnderWay<'a> {
    together: &'a Together,
    pub(super) way: Way,
}

pub(super) enum Way {
    /// By itself.
    Alone,
    /// With the next command.
    With {
        /// Resolves to the record's bytes; to nothing where the load has to go by itself after all.
        value: oneshot::Receiver<Vec<u8>>,
        /// Nobody sends that command yet: the caller sees to it.
        errand: Option<Errand>,
    },
}

/// To send the next command. Where this is dropped before, those who wait go by themselves.
pub(super) struct Errand {
    together: Option<Arc<Together>>,
}

impl Together {
    pub(super) fn enter(self: &Arc<Self>, key: &str) -> UnderWay<'_> {
        let is_only = self.under_way.fetch_add(1, Ordering::Relaxed) == 0;
        let goes_alone = is_only || self.is_off.load(Ordering::Relaxed);
        let way = if goes_alone { Way::Alone } else { self.wait(key) };
        UnderWay { together: self, way }
    }

    fn wait(self: &Arc<Self>, key: &str) -> Way {
        let here = Handle::try_current().ok().map(|handle| handle.id());
        let mut batch = self.waiting();
        let is_first = batch.loads.is_empty();
        if batch.loads.len() >= MOST || (!is_first && batch.runtime != here) {
            return Way::Alone;
        }
        let (sender, value) = oneshot::channel();
        batch.runtime = here;
        batch.loads.push(Waiting { key: key.into(), value: sender });
        drop(batch);
        let errand = is_first.then(|| Errand { together: Some(Arc::clone(self)) });
        Way::With { value, errand }
    }

    /// From now on every load goes by itself.
    pub(super) fn turn_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Errand {
    /// Whether only one load waits so far.
    pub(super) fn is_for_one(&self) -> bool {
        self.together.as_ref().is_none_or(|together| together.waiting().loads.len() < 2)
    }

    /// The loads that have come so far. Those who do not wait any more are left out.
    pub(super) fn leave(mut self) -> Departing {
        let together = self.together.take();
        let mut waiting = together.map_or_else(Vec::new, |it| mem::take(&mut it.waiting().loads));
        waiting.retain(|load| !load.value.is_closed());
        Departing { waiting }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(together) = &self.together {
            together.waiting().loads.clear();
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.together.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets every task go first that this worker has queued.
///
/// The task is at the end of that queue meanwhile, where a worker with nothing to do takes it from one that
/// is held up. `yield_now` of tokio would keep it with its worker until that has asked for I/O.
pub(super) async fn after_those_who_can_go_on() {
    let mut has_let_them = false;
    poll_fn(|context| {
        if mem::replace(&mut has_let_them, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Loads on their way. Where this is dropped, they go by themselves.
pub(super) struct Departing {
    waiting: Vec<Waiting>,
}

impl Departing {
    /// The command that asks for all of them; `None` where nobody waits.
    pub(super) fn command(&self) -> Option<Cmd> {
        const NAME: &str = "MGET";
        let bytes: usize = self.waiting.iter().map(|load| load.key.len()).sum();
        let mut command = Cmd::with_capacity(1 + self.waiting.len(), NAME.len() + bytes);
        command.arg(NAME);
        for load in &self.waiting {
            command.arg(&*load.key);
        }
        (!self.waiting.is_empty()).then_some(command)
    }

    /// Hands out what the server has. What it has not, or not as bytes, is asked for singly: only that
    /// tells what is absent from what is no record.
    pub(super) fn arrive(self, answer: Value) {
        let Value::Array(values) = answer else { return };
        if values.len() != self.waiting.len() {
            return;
        }
        for (load, value) in self.waiting.into_iter().zip(values) {
            if let Value::BulkString(bytes) = value {
                // Whoever waits no more needs no answer.
                let _ = load.value.send(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Wake, Waker},
    };

    use super::*;

    fn bytes(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn is_alone(load: &UnderWay<'_>) -> bool {
        matches!(load.way, Way::Alone)
    }

    type Waits = (oneshot::Receiver<Vec<u8>>, Option<Errand>);

    fn wait(together: &Arc<Together>, key: &str) -> Waits {
        match together.wait(key) {
            Way::With { value, errand } => (value, errand),
            Way::Alone => panic!("{key} goes alone"),
        }
    }

    #[test]
    fn a_load_goes_alone_while_no_other_is_under_way() {
        let together = Arc::<Together>::default();
        let alone = together.enter("a");
        assert!(is_alone(&alone));
        let with = together.enter("b");
        assert!(!is_alone(&with));
        drop(alone);
        assert!(!is_alone(&together.enter("c")), "b is under way");
        drop(with);
        assert!(is_alone(&together.enter("d")));
        together.turn_off();
        let alone = [together.enter("e"), together.enter("f")];
        assert!(alone.iter().all(is_alone));
    }

    #[test]
    fn each_gets_its_own_of_what_came_together() {
        let together = Arc::<Together>::default();
        let (mut b, errand) = wait(&together, "b");
        let (mut c, none) = wait(&together, "c");
        assert!(none.is_none() && !errand.as_ref().unwrap().is_for_one());
        let departing = errand.unwrap().leave();
        let command = departing.command().map(|command| command.get_packed_command());
        let expected = b"*3\r\n$4\r\nMGET\r\n$1\r\nb\r\n$1\r\nc\r\n".to_vec();
        assert_eq!(command, Some(expected));
        departing.arrive(Value::Array(vec![bytes("of b"), bytes("of c")]));
        assert_eq!(b.try_recv().as_deref(), Ok(&b"of b"[..]));
        assert_eq!(c.try_recv().as_deref(), Ok(&b"of c"[..]));
        assert!(wait(&together, "d").1.is_some(), "the next command has somebody to send it");
    }

    #[test]
    fn what_is_not_there_or_not_answered_is_asked_for_singly() {
        let two = vec![bytes("of b"), Value::Nil];
        for (answer, expected) in [
            (Some(Value::Array(two)), Some(&b"of b"[..])),
            (Some(Value::Array(vec![bytes("of b")])), None),
            (Some(Value::Nil), None),
            (None, None),
        ] {
            let together = Arc::<Together>::default();
            let (mut b, errand) = wait(&together, "b");
            let (mut c, _) = wait(&together, "c");
            let departing = errand.unwrap().leave();
            if let Some(answer) = answer {
                departing.arrive(answer);
            } else {
                drop(departing);
            }
            assert_eq!(b.try_recv().ok().as_deref(), expected);
            assert_eq!(c.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
    }

    /// Such as where the runtime ends that was to send the command.
    #[test]
    fn nobody_waits_for_a_command_that_nobody_sends() {
        let together = Arc::<Together>::default();
        let (mut b, errand) = wait(&together, "b");
        drop(errand);
        assert_eq!(b.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(wait(&together, "c").1.is_some());
    }

    #[test]
    fn nobody_is_asked_for_who_waits_no_more() {
        let together = Arc::<Together>::default();
        let (_, errand) = wait(&together, "b");
        assert!(errand.unwrap().leave().command().is_none());
    }

    /// A runtime that stalls holds up no other's loads.
    #[test]
    fn only_loads_of_one_runtime_go_together() {
        let together = Arc::<Together>::default();
        let [one, other] =
            [(); 2].map(|()| runtime::Builder::new_current_thread().build().expect("a runtime"));
        let waits = |runtime: &runtime::Runtime| {
            let _entered = runtime.enter();
            together.wait("b")
        };
        let first = waits(&one);
        assert!(matches!(first, Way::With { errand: Some(_), .. }));
        assert!(matches!(waits(&other), Way::Alone));
        assert!(matches!(waits(&one), Way::With { errand: None, .. }));
        drop(first);
        assert!(matches!(waits(&other), Way::With { errand: Some(_), .. }));
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A task that only its own worker can wake waits as long as a handler blocks that one, and with it the
    /// loads of all other workers.
    #[tokio::test]
    async fn whoever_lets_others_go_first_needs_nobody_to_go_on() {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut turn = pin!(after_those_who_can_go_on());
        assert!(turn.as_mut().poll(&mut context).is_pending());
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(turn.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_command_has_an_end() {
        let together = Arc::<Together>::default();
        let waiting: Vec<_> = (0..MOST).map(|_| wait(&together, "b")).collect();
        assert!(matches!(together.wait("c"), Way::Alone));
        drop(waiting);
        assert!(matches!(together.wait("c"), Way::With { .. }));
    }
}
