//! How long a token that was believed is believed without its signature.

use super::{
    world::{Verdict, World, here, one_key},
    *,
};
use crate::jwt::{
    BearerError,
    verdicts::{Known, Verdicts},
};

/// A claim of a token, replaced.
type Change = (&'static str, u64);

fn changed(kind: &Kind, changes: &[Change]) -> String {
    let mut claims = (kind.claims)();
    for (name, value) in changes {
        claims[*name] = json!(value);
    }
    sign(&header("k"), &claims.to_string(), &KEY)
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(NOW + secs)
}

#[tokio::test]
async fn a_believed_token_is_found_from_then_on_and_a_refused_one_never() {
    let world = World::published(one_key());
    for kind in KINDS {
        let (good, bad) = (kind.token("k", &KEY), kind.token("k", &OTHER));
        assert_eq!(world.bearers.lookup(&good, at(0)), None, "{}", kind.name);
        let claims = world.bearers.verify(&good, here()).await.unwrap();
        let found = world.bearers.lookup(&good, at(0)).unwrap();
        assert!(Arc::ptr_eq(&found, &claims), "{}", kind.name);
        for _ in 0..3 {
            assert!(world.bearers.verify(&bad, here()).await.is_err());
            assert_eq!(world.bearers.lookup(&bad, at(0)), None, "{}", kind.name);
        }
    }
    assert_eq!(world.source.asked(), 1);
}

/// H13: the entry dies with the token, to the millisecond: whichever of the rules ends it.
#[tokio::test]
async fn an_entry_dies_when_its_token_would_be_refused() {
    let [id_token, app] = KINDS;
    let hour_ago = NOW - 3_600;
    let table: [(&Kind, &[Change], u64); 5] = [
        (&id_token, &[("exp", NOW + 120)], 180),
        (&id_token, &[("exp", NOW + 86_400), ("iat", hour_ago + 100)], 100),
        (&id_token, &[("exp", NOW - 10)], 50),
        (&app, &[("exp", NOW + 120)], 180),
        (&app, &[("exp", NOW + 120), ("iat", hour_ago - 100)], 180),
    ];
    for (kind, changes, ends) in table {
        let world = World::published(one_key());
        let token = changed(kind, changes);
        world.bearers.verify(&token, here()).await.unwrap();
        world.pass(ends - 1);
        let last = Timestamp::from_millis(at(ends).as_millis() - 1);
        assert!(world.bearers.lookup(&token, last).is_some(), "{} {changes:?}", kind.name);
        assert!(world.bearers.verify(&token, here()).await.is_ok(), "{} {changes:?}", kind.name);
        world.pass(1);
        assert_eq!(world.bearers.lookup(&token, at(ends)), None, "{} {changes:?}", kind.name);
        assert!(world.bearers.verify(&token, here()).await.is_err(), "{} {changes:?}", kind.name);
    }
}

/// E22, H13: the age of the keys counts, not that of the entry.
#[tokio::test]
async fn a_withdrawn_key_counts_again_after_ten_minutes() {
    let world = World::published(one_key());
    let (early, late) = (changed(&KINDS[1], &[]), changed(&KINDS[1], &[("iat", NOW - 1)]));
    world.bearers.verify(&early, here()).await.unwrap();
    world.source.answers(Answer::Keys(document(&[OTHER.jwk("new")])));
    world.pass(500);
    world.bearers.verify(&late, here()).await.unwrap();
    world.pass(99);
    for token in [&early, &late] {
        assert!(world.bearers.lookup(token, at(599)).is_some());
    }
    world.pass(1);
    for token in [&early, &late] {
        assert_eq!(world.bearers.lookup(token, at(600)), None);
        let verdict = Verdict::from(world.bearers.verify(token, here()).await);
        assert_eq!(verdict, Verdict::Refused(Refusal::UnknownKey));
        assert_eq!(world.bearers.lookup(token, at(600)), None);
    }
    assert_eq!(world.source.asked(), 2);
}

/// E19: nor do callers wait for a host that is down at each request.
#[tokio::test]
async fn while_the_host_is_down_an_entry_lasts_ten_minutes_more() {
    let world = World::published(one_key());
    let token = changed(&KINDS[1], &[]);
    world.bearers.verify(&token, here()).await.unwrap();
    world.source.answers(Answer::Fault);
    world.pass(600);
    assert_eq!(world.bearers.lookup(&token, at(600)), None);
    world.bearers.verify(&token, here()).await.unwrap();
    world.pass(599);
    assert!(world.bearers.lookup(&token, at(1_199)).is_some());
    world.pass(1);
    assert_eq!(world.bearers.lookup(&token, at(1_200)), None);
    assert_eq!(world.source.asked(), 2);
}

/// The cases of a token whose end was seen, by looking or by verifying.
#[tokio::test]
async fn a_clock_that_is_set_back_revives_no_token_that_was_seen_over() {
    for seen_by_lookup in [true, false] {
        let world = World::published(one_key());
        let token = changed(&KINDS[1], &[("exp", NOW + 60)]);
        world.bearers.verify(&token, here()).await.unwrap();
        if seen_by_lookup {
            assert_eq!(world.bearers.lookup(&token, at(120)), None);
        } else {
            world.pass(120);
            assert!(world.bearers.verify(&token, here()).await.is_err());
            world.clock.set_back(120);
        }
        assert_eq!(world.bearers.lookup(&token, at(0)), None);
        let verdict = world.bearers.verify(&token, here()).await;
        assert!(matches!(verdict, Err(BearerError::Refused(Refusal::Expired))), "{verdict:?}");
        assert_eq!(world.bearers.lookup(&token, at(0)), None);
    }
}

/// H13: how many tokens anybody gets believed, and how long they are, is no matter.
#[test]
fn entries_are_few_and_short() {
    let (verdicts, app) = (Verdicts::new(), judge_app(&KINDS[1].token("k", &KEY)).unwrap());
    let claims = Arc::new(BearerClaims::App(app.into()));
    let (kept_until, before) = (Duration::from_secs(600), Duration::ZERO);
    let token = |number: u32| format!("{number:032}");
    for number in 0..30_000 {
        verdicts.keep(&token(number), &claims, kept_until);
    }
    let is_kept = |token: &str| verdicts.look_up(token, at(0), before) != Known::Nothing;
    let kept = (0..30_000).filter(|number| is_kept(&token(*number))).count();
    assert!((5_000..=10_000).contains(&kept), "{kept} are kept");
    for (length, expected) in [(4_096, true), (4_097, false)] {
        let token = "a".repeat(length);
        verdicts.keep(&token, &claims, kept_until);
        assert_eq!(is_kept(&token), expected, "of {length}");
    }
}
