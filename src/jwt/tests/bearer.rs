//! Which tokens a caller may present, and what vouches for them.

use proptest::prelude::*;

use super::{
    world::{World, here, no_keys, one_key},
    *,
};
use crate::jwt::{BearerError, BearerVerifier};

fn accepting(id_tokens: bool, apps: &[&str]) -> BearerRules {
    let apps = apps.iter().map(|app| (*app).into()).collect();
    BearerRules { id_tokens, apps, ..bearer_rules() }
}

/// H07: only what is switched on is accepted, and what is not makes nobody fetch.
#[tokio::test]
async fn a_kind_that_is_not_switched_on_is_refused_before_any_key_is_fetched() {
    let not_accepted = Err(Refusal::NotAccepted);
    let table = [
        (accepting(false, &[]), not_accepted, not_accepted),
        (accepting(true, &[]), Ok(()), not_accepted),
        (accepting(false, &[APP]), not_accepted, Ok(())),
        (accepting(false, &["another"]), not_accepted, Err(Refusal::AuthorizedParty)),
        (accepting(true, &["another", APP]), Ok(()), Ok(())),
    ];
    for (rules, id_token, app) in table {
        for (kind, expected) in KINDS.iter().zip([id_token, app]) {
            let world = World::published(one_key());
            let bearers = BearerVerifier::new(rules.clone(), &world.verifier);
            let verdict = bearers.verify(&kind.token("k", &KEY), here()).await;
            let verdict = verdict.map(drop).map_err(|error| error.to_string());
            let expected = expected.map_err(|refusal| BearerError::from(refusal).to_string());
            assert_eq!(verdict, expected, "{} by {rules:?}", kind.name);
            assert_eq!(world.source.asked(), usize::from(expected.is_ok()), "{}", kind.name);
        }
    }
}

/// H07, H10: an opaque token, another client's id_token, another account's App-JWT.
#[tokio::test]
async fn a_token_for_somebody_else_makes_nobody_fetch() {
    let world = World::published(one_key());
    let table = [
        ("5a".repeat(32), Refusal::Malformed),
        (sign(&header("k"), &claims_with("aud", json!(APP)), &KEY), Refusal::Audience),
        (sign(&header("k"), &with(app_claims(), "aud", json!("1")), &KEY), Refusal::Audience),
        (
            sign(&header("k"), &with(app_claims(), "azp", json!(CLIENT)), &KEY),
            Refusal::AuthorizedParty,
        ),
        (sign(&header("k"), &claims_with("iss", json!("another")), &KEY), Refusal::Issuer),
    ];
    for (token, expected) in table {
        let verdict = world.bearers.verify(&token, here()).await;
        let Err(BearerError::Refused(refusal)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal, expected);
    }
    assert_eq!(world.source.asked(), 0);
}

/// An App-JWT and an id_token cannot stand in for each other.
#[test]
fn the_audience_alone_says_which_kind_a_token_is() {
    let keys = key_set(&[KEY.jwk("k")]);
    let rules = rules(IdTokenSignature::Published);
    let mut both = app_claims();
    both["sub"] = json!("3552833710");
    both["is_admin"] = json!(true);
    let verdict = |claims: &Value| {
        judge_bearer(&rules, &keys, &sign(&header("k"), &claims.to_string(), &KEY))
    };
    assert!(matches!(verdict(&both), Ok(BearerClaims::App(_))));
    both["aud"] = json!(CLIENT);
    assert_eq!(verdict(&both), Err(Refusal::AuthorizedParty), "another client's `azp`");
    both["azp"] = json!(CLIENT);
    assert!(matches!(verdict(&both), Ok(BearerClaims::User(_))));
}

/// E24, H09: no policy believes a caller without a published key of 2048 bits.
#[test]
fn nothing_vouches_for_a_caller_but_a_full_key() {
    use IdTokenSignature::{Published, Required};
    let named = |kind: &Kind, key| kind.token("k", key);
    let nameless = |kind: &Kind, key| sign(r#"{"alg":"RS256"}"#, &kind.payload(), key);
    for (kind, policy) in KINDS.iter().flat_map(|kind| [(kind, Published), (kind, Required)]) {
        let table = [
            (named(kind, &KEY), vec![KEY.jwk("k")], Ok(())),
            (nameless(kind, &KEY), vec![OTHER.jwk("a"), KEY.jwk("b")], Ok(())),
            (nameless(kind, &KEY), vec![OTHER.jwk("a")], Err(Refusal::Signature)),
            (named(kind, &SMALL), vec![SMALL.jwk("k")], Err(Refusal::UnknownKey)),
            (nameless(kind, &SMALL), vec![SMALL.jwk("k")], Err(Refusal::UnknownKey)),
            (named(kind, &KEY), vec![OTHER.jwk("another")], Err(Refusal::UnknownKey)),
            (named(kind, &KEY), vec![], Err(Refusal::UnknownKey)),
            (nameless(kind, &KEY), vec![], Err(Refusal::UnknownKey)),
        ];
        for (row, (token, keys, expected)) in table.into_iter().enumerate() {
            let verdict = judge_bearer(&rules(policy), &key_set(&keys), &token).map(drop);
            assert_eq!(verdict, expected, "{} under {policy:?}, row {row}", kind.name);
        }
    }
}

/// E18, P07: whatever strangers send, the host is asked no more often than the cooldown allows, and a
/// token that was believed before is not held up.
#[tokio::test]
async fn garbage_makes_no_more_fetches_than_the_cooldown_allows() {
    let world = World::published(one_key());
    let good = KINDS[1].token("k", &KEY);
    let claims = world.bearers.verify(&good, here()).await.unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, payload) = signed.split_once('.').unwrap();
    let signature = base64([1; 256]);
    for number in 0..500 {
        let unknown = base64(header(&format!("kid-{number}")));
        let garbage = [
            format!("{unknown}.{payload}.{signature}"),
            format!("{signed}.{signature}"),
            format!("{}.{payload}.{signature}", base64(r#"{"alg":"RS256"}"#)),
            format!("{number}.{payload}.{signature}"),
            format!("{signed}.{number}"),
            number.to_string(),
        ];
        for token in garbage {
            let verdict = world.bearers.verify(&token, here()).await;
            assert!(matches!(verdict, Err(BearerError::Refused(_))), "{verdict:?} for {token}");
            assert_eq!(world.bearers.lookup(&token, Timestamp::from_secs(NOW)), None);
        }
        let found = world.bearers.lookup(&good, Timestamp::from_secs(NOW)).unwrap();
        assert!(Arc::ptr_eq(&found, &claims));
        world.clock.advance(Duration::from_millis(180));
    }
    assert_eq!(world.source.asked(), 3, "at 0 s, 30 s and 60 s");
}

/// P07: a host that cannot be asked, or has nothing, is not asked for each token either.
#[tokio::test]
async fn garbage_makes_no_more_fetches_where_there_are_no_keys() {
    for (answer, each) in [(Answer::Fault, 1), (no_keys(), 30)] {
        let world = World::published(answer);
        let token = world.token("k", &KEY);
        let (_, rest) = token.split_once('.').unwrap();
        for second in 0..60 {
            for number in 0..10 {
                let token = format!("{}.{rest}", base64(header(&format!("{second}-{number}"))));
                assert!(world.bearers.verify(&token, here()).await.is_err());
            }
            world.pass(1);
        }
        assert_eq!(world.source.asked(), 60 / each);
    }
}

#[tokio::test]
async fn reasons_name_the_fault_and_never_the_token() {
    let world = World::published(Answer::Fault);
    let good = KINDS[1].token("k", &KEY);
    let unavailable = world.bearers.verify(&good, here()).await.unwrap_err();
    assert_eq!(unavailable.as_str(), "keys_unavailable");
    let table = [
        (sign(&header("k"), &without(app_claims(), "azp"), &KEY), "authorized_party"),
        (sign(&header("k"), &with(app_claims(), "scope", json!(1)), &KEY), "scope"),
        (
            sign(&header("k"), &with(app_claims(), "exp", json!(NOW + 90_000)), &KEY),
            "life_too_long",
        ),
        (
            sign(
                &header("k"),
                &with(app_claims(), "https://liveperson.com/consumer_id", json!("1")),
                &KEY,
            ),
            "delegated",
        ),
    ];
    for (token, reason) in table {
        let error = world.bearers.verify(&token, here()).await.unwrap_err();
        assert_eq!(error.as_str(), reason);
        assert!(!format!("{error} {error:?}").contains("eyJ"));
    }
    let off = BearerVerifier::new(accepting(true, &[]), &world.verifier);
    assert_eq!(off.verify(&good, here()).await.unwrap_err().as_str(), "not_accepted");
    assert!(!format!("{off:?}").contains("eyJ"));
}

static RIGHT: LazyLock<[String; 2]> = LazyLock::new(|| KINDS.map(|kind| kind.token("k", &KEY)));

fn flipped(token: &str, at: usize, letter: char) -> String {
    let at = at % token.len();
    format!("{}{letter}{}", &token[..at], &token[at + 1..])
}

proptest! {
    /// E12, H09: neither afresh nor as one that was believed before.
    #[test]
    fn no_flipped_character_of_a_good_token_is_believed(
        kind in 0..2_usize,
        at in any::<usize>(),
        letter in prop_oneof![proptest::char::range('!', '~'), any::<char>()],
    ) {
        use futures_util::FutureExt as _;
        let good = &RIGHT[kind];
        let other = flipped(good, at, letter);
        prop_assume!(other != *good);
        let keys = key_set(&[KEY.jwk("k")]);
        prop_assert!(judge_bearer(&rules(IdTokenSignature::Published), &keys, &other).is_err());
        let world = World::published(one_key());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(world.bearers.verify(good, here())).unwrap();
        let now = Timestamp::from_secs(NOW);
        prop_assert!(world.bearers.lookup(good, now).is_some());
        prop_assert!(world.bearers.lookup(&other, now).is_none());
        let verdict = world.bearers.verify(&other, here()).now_or_never();
        prop_assert!(verdict.is_none_or(|verdict| verdict.is_err()));
    }
}
