//! When keys are fetched, and what happens if they cannot be.

use super::{
    world::{
        Verdict::{self, Checked, Refused, Unavailable, Unchecked},
        World, at_host, here, no_keys, one_key,
    },
    *,
};
use crate::jwt::{BearerError, BearerVerifier, IdTokenVerifier};

const UNKNOWN: Verdict = Refused(Refusal::UnknownKey);

/// E18, P07.
#[tokio::test]
async fn a_flood_of_unknown_keys_makes_one_fetch_per_cooldown() {
    let world = World::required(one_key());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    let token = world.token("x", &OTHER);
    let (_, rest) = token.split_once('.').unwrap();
    for number in 0..10_000 {
        let token = format!("{}.{rest}", base64(header(&format!("kid-{number}"))));
        let verdict = world.bearers.verify(&token, here()).await;
        assert_eq!(Verdict::from(verdict), UNKNOWN);
        world.clock.advance(Duration::from_millis(6));
    }
    assert_eq!(world.source.asked(), 2, "at 0 s and at 30 s");
    assert_eq!(world.bearer("k", &KEY).await, Checked);
}

/// E18, E19: a cooldown counts attempts, and good tokens do not suffer from it.
#[tokio::test]
async fn known_keys_verify_while_unknown_ones_flood_a_host_that_is_down() {
    let world = World::published(one_key());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    world.source.answers(Answer::Fault);
    for second in 0..120 {
        world.pass(1);
        let unknown = if second < 29 { UNKNOWN } else { Unavailable };
        assert_eq!(world.bearer("x", &OTHER).await, unknown, "after {second} s");
        assert_eq!(world.bearer("k", &KEY).await, Checked, "after {second} s");
    }
    assert_eq!(world.source.asked(), 1 + 4, "every 30 s");
}

/// E20.
#[tokio::test]
async fn no_bad_answer_removes_keys() {
    let huge = Answer::Keys(format!(r#"{{"keys":[],"a":"{}"}}"#, "a".repeat(1 << 20)));
    let html = Answer::Keys("<html>".to_owned());
    let answers = [Answer::Fault, html, huge, no_keys(), Answer::Missing, Answer::Panic];
    for answer in answers {
        let world = World::required(one_key());
        assert_eq!(world.login("k", &KEY).await, Checked);
        world.source.answers(answer.clone());
        for minute in 0..(24 * 60 - 1) {
            world.pass(60);
            if minute % 97 == 0 {
                assert_eq!(world.login("k", &KEY).await, Checked, "after {minute} min");
            }
        }
        world.pass(61);
        assert_ne!(world.login("k", &KEY).await, Checked, "keys are not kept for ever");
    }
}

/// E21.
#[tokio::test]
async fn a_new_key_is_accepted_after_one_fetch() {
    let world = World::required(one_key());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    world.pass(31);
    let both = Answer::Keys(document(&[KEY.jwk("k"), OTHER.jwk("new")]));
    world.source.answers(both);
    assert_eq!(world.bearer("new", &OTHER).await, Checked);
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    assert_eq!(world.source.asked(), 2);
}

/// E22.
#[tokio::test]
async fn a_withdrawn_key_is_refused_within_ten_minutes() {
    let world = World::published(one_key());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    world.source.answers(Answer::Keys(document(&[OTHER.jwk("new")])));
    world.pass(599);
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    world.pass(1);
    assert_eq!(world.bearer("k", &KEY).await, UNKNOWN);
    assert_eq!(world.source.asked(), 2);
}

/// E23.
#[tokio::test]
async fn a_thousand_cold_starts_make_one_fetch() {
    for (answer, expected) in [(one_key(), Checked), (Answer::Fault, Unavailable)] {
        let world = World::required(answer);
        let token: Arc<str> = world.token("k", &KEY).into();
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let (bearers, token) = (world.bearers.clone(), token.clone());
                tokio::spawn(async move { bearers.verify(&token, here()).await.into() })
            })
            .collect();
        for task in tasks {
            let verdict: Verdict = task.await.unwrap();
            assert_eq!(verdict, expected);
        }
        assert_eq!(world.source.asked(), 1);
    }
}

/// E23.
#[tokio::test]
async fn a_failure_is_forgotten_after_the_back_off() {
    let world = World::published(Answer::Fault);
    assert_eq!(world.login("k", &KEY).await, Unavailable);
    world.source.answers(one_key());
    assert_eq!(world.login("k", &KEY).await, Unavailable);
    assert_eq!(world.source.asked(), 1);
    world.pass(1);
    assert_eq!(world.login("k", &KEY).await, Checked);
}

/// The exception of `published` rests on a recent answer, never on a fault.
#[tokio::test]
async fn a_fault_is_never_taken_for_an_absence() {
    let world = World::published(one_key());
    assert_eq!(world.login("x", &OTHER).await, Unchecked);
    world.source.answers(Answer::Fault);
    world.pass(29);
    assert_eq!(world.login("x", &OTHER).await, Unchecked, "the answer is recent");
    world.pass(1);
    assert_eq!(world.login("x", &OTHER).await, Unavailable);
    assert_eq!(world.login("x", &OTHER).await, Unavailable, "the fetch is cooling down");
    assert_eq!(world.login("k", &KEY).await, Checked);
    assert_eq!(world.source.asked(), 2);
    world.source.answers(one_key());
    world.pass(30);
    assert_eq!(world.login("x", &OTHER).await, Unchecked);
}

#[tokio::test]
async fn a_host_without_keys_vouches_for_its_own_answers_only() {
    for answer in [Answer::Missing, no_keys()] {
        let world = World::published(answer.clone());
        assert_eq!(world.login("k", &KEY).await, Unchecked);
        assert_eq!(world.bearer("k", &KEY).await, UNKNOWN);
        assert_eq!(world.source.asked(), 1, "an empty set cools down too");
        world.pass(30);
        world.source.answers(Answer::Fault);
        assert_eq!(world.login("k", &KEY).await, Unavailable);
        let world = World::required(answer);
        assert_eq!(world.login("k", &KEY).await, UNKNOWN);
    }
}

/// The keys are there although the host has just denied it: a known one still decides.
#[tokio::test]
async fn an_empty_answer_does_not_open_the_door_for_a_forged_token() {
    let world = World::published(one_key());
    assert_eq!(world.login("k", &KEY).await, Checked);
    world.source.answers(Answer::Missing);
    world.pass(700);
    assert_eq!(world.login("k", &OTHER).await, Refused(Refusal::Signature));
    assert_eq!(world.login("x", &OTHER).await, Unchecked);
    assert_eq!(world.source.asked(), 2);
}

#[tokio::test]
async fn a_token_that_cannot_be_right_makes_nobody_fetch() {
    let world = World::required(one_key());
    let stale = sign(&header("k"), &claims_with("exp", json!(1)), &KEY);
    for token in ["", "a.b.c", &stale] {
        let verdict = world.bearers.verify(token, here()).await;
        assert!(matches!(verdict, Err(BearerError::Refused(_))));
    }
    assert_eq!(world.source.asked(), 0);
}

#[tokio::test]
async fn a_fetch_goes_on_without_those_who_wait_for_it() {
    let world = World::required(one_key());
    let token = world.token("k", &KEY);
    let mut waiting = Box::pin(world.bearers.verify(&token, here()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    assert_eq!(world.source.asked(), 1);
}

/// E19: a fetch that hangs holds up only those who need it.
#[tokio::test]
async fn known_keys_verify_while_a_fetch_hangs() {
    let world = World::required(one_key());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    world.source.answers(Answer::Never);
    world.pass(30);
    let token = world.token("x", &OTHER);
    let mut waiting = Box::pin(world.bearers.verify(&token, here()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(world.bearer("k", &KEY).await, Checked);
    assert!(futures_util::poll!(&mut waiting).is_pending());
}

/// A runtime that ends takes its fetches with it; nobody waits for those.
#[test]
fn a_fetch_whose_runtime_is_gone_is_made_again() {
    let world = World::required(Answer::Never);
    let token = world.token("k", &KEY);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime().block_on(async {
        let mut waiting = Box::pin(world.bearers.verify(&token, here()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
    });
    world.source.answers(one_key());
    world.pass(1);
    assert_eq!(runtime().block_on(world.bearer("k", &KEY)), Checked);
}

#[test]
fn without_a_runtime_keys_are_unavailable() {
    use futures_util::FutureExt as _;
    let world = World::required(one_key());
    let verdict = world.bearer("k", &KEY).now_or_never();
    assert_eq!(verdict, Some(Unavailable));
}

#[tokio::test]
async fn the_first_cause_shows_through() {
    let world = World::required(Answer::Fault);
    let token = world.token("k", &KEY);
    let verdict = world.bearers.verify(&token, here()).await;
    let Err(BearerError::KeysUnavailable(cause)) = verdict else {
        panic!("keys were available");
    };
    assert_eq!(cause.to_string(), "connection reset");
}

/// Each host has its own keys, and no number of hosts fills the memory.
#[tokio::test]
async fn hosts_are_kept_apart_and_bounded() {
    let world = World::required(one_key());
    let token = world.token("k", &KEY);
    for number in 0..200 {
        let host = format!("https://{number}.example");
        let verdict = world.bearers.verify(&token, at_host(&host)).await;
        assert_eq!(Verdict::from(verdict), Checked);
        world.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(world.source.asked(), 200);
    let verdict = world.bearers.verify(&token, at_host("https://199.example"));
    assert_eq!(Verdict::from(verdict.await), Checked);
    assert_eq!(world.source.asked(), 200, "the newest hosts are the ones kept");
    let verdict = world.bearers.verify(&token, at_host("https://0.example"));
    assert_eq!(Verdict::from(verdict.await), Checked);
    assert_eq!(world.source.asked(), 201, "the oldest host was forgotten");
}

/// A host that lets callers wait before it fails is not asked again at once.
#[tokio::test]
async fn the_back_off_begins_when_the_failure_comes() {
    let world = World::required(one_key());
    let token = world.token("k", &KEY);
    let waiting = world.bearers.verify(&token, here());
    let mut waiting = Box::pin(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    tokio::task::yield_now().await;
    world.pass(5);
    world.source.answers(Answer::Fault);
    assert_eq!(Verdict::from(waiting.await), Unavailable);
    assert_eq!(world.bearer("k", &KEY).await, Unavailable);
    assert_eq!(world.source.asked(), 1);
}

#[tokio::test]
async fn a_fetch_that_panics_is_not_blamed_on_the_one_before() {
    let world = World::required(Answer::Fault);
    assert_eq!(world.bearer("k", &KEY).await, Unavailable);
    world.source.answers(Answer::Panic);
    world.pass(1);
    let token = world.token("k", &KEY);
    let verdict = world.bearers.verify(&token, here()).await;
    let Err(BearerError::KeysUnavailable(cause)) = verdict else {
        panic!("keys were available");
    };
    assert_eq!(cause.to_string(), "the fetch ended without an answer");
}

#[tokio::test]
async fn tokens_that_nobody_could_check_are_warned_of_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::published(no_keys());
    for _ in 0..3 {
        assert_eq!(world.login("k", &KEY).await, Unchecked);
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("without a signature check").count(), 1, "{log}");
    assert!(log.contains(HOST) && !log.contains("eyJ"), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const _: () = {
    const fn is_send_sync<T: Send + Sync>() {}
    is_send_sync::<IdTokenVerifier>();
    is_send_sync::<BearerVerifier>();
};

/// Callers box this future as `Send`.
#[tokio::test]
async fn verification_can_be_spawned() {
    let world = World::required(one_key());
    let (bearers, token) = (world.bearers.clone(), world.token("k", &KEY));
    let task = async move { bearers.verify(&token, here()).await };
    let verdict: Verdict = tokio::spawn(task).await.unwrap().into();
    assert_eq!(verdict, Checked);
}
