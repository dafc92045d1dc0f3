//! What an App-JWT has to claim: single tokens, no clock moves, nothing is fetched.

use super::*;

fn app_token(payload: &str) -> String {
    sign(&header("k"), payload, &KEY)
}

#[test]
fn a_right_app_jwt_gives_its_claims() {
    assert_eq!(
        judge_app(&app_token(&app_claims().to_string())),
        Ok(AppClaims {
            client_id: APP.into(),
            account: ACCOUNT.parse().unwrap(),
            scopes: ["users.read".into(), "users.write".into()].into(),
            issued_at: Timestamp::from_secs(NOW),
            expires_at: Timestamp::from_secs(NOW + 3_600),
        })
    );
}

#[test]
fn what_an_app_jwt_may_vary_is_accepted() {
    let row = |name, value| with(app_claims(), name, value);
    let payloads = [
        row("aud", json!([ACCOUNT])),
        row("iss", json!("sentinel")),
        row("nbf", json!(NOW)),
        row("exp", json!(NOW as f64 + 599.5)),
        row("exp", json!(NOW + 86_400)),
        row("sub", json!(1)),
        row("jti", json!("ignored")),
        without(app_claims(), "permissions"),
    ];
    for payload in payloads {
        assert!(judge_app(&app_token(&payload)).is_ok(), "refused {payload}");
    }
}

#[test]
fn scopes_are_a_short_list_of_names() {
    let many = |count: usize| vec!["a"; count].join(" ");
    let table = [
        (json!(""), Some(0)),
        (json!("users.read"), Some(1)),
        (json!("a b c"), Some(3)),
        (json!("a a"), Some(2)),
        (json!("!#[]~"), Some(1)),
        (json!(many(128)), Some(128)),
        (json!("a".repeat(4_096)), Some(1)),
        (json!(many(129)), None),
        (json!("a".repeat(4_097)), None),
        (json!(" a"), None),
        (json!("a "), None),
        (json!(" "), None),
        (json!("a  b"), None),
        (json!("a\tb"), None),
        (json!("a\nb"), None),
        (json!("a\0"), None),
        (json!("a\"b"), None),
        (json!("a\\b"), None),
        (json!("ä"), None),
        (json!("a\u{a0}b"), None),
        (json!(null), None),
        (json!(1), None),
        (json!(true), None),
        (json!(["a"]), None),
        (json!({ "a": "b" }), None),
    ];
    for (scope, count) in table {
        let verdict = judge_app(&app_token(&with(app_claims(), "scope", scope.clone())));
        let verdict = verdict.map(|claims| claims.scopes.len());
        assert_eq!(verdict, count.ok_or(Refusal::Scope), "for {scope}");
    }
    let silent = judge_app(&app_token(&without(app_claims(), "scope")));
    assert_eq!(silent.unwrap().scopes, Box::default());
}

/// E10, E14, E17, H07, H08, H09.
#[test]
fn a_wrong_claim_of_an_app_jwt_is_refused_under_a_right_signature() {
    let mut table = vec![
        (without(app_claims(), "iss"), Refusal::Issuer),
        (without(app_claims(), "aud"), Refusal::Audience),
        (without(app_claims(), "azp"), Refusal::AuthorizedParty),
        (without(app_claims(), "iat"), Refusal::Time),
        (without(app_claims(), "exp"), Refusal::Time),
        (with(app_claims(), "exp", json!(NOW - 3_600)), Refusal::Expired),
        (with(app_claims(), "exp", json!(NOW + 86_401)), Refusal::LifeTooLong),
        (with(app_claims(), "iat", json!(NOW - 86_400)), Refusal::LifeTooLong),
        (with(app_claims(), "iat", json!(0)), Refusal::LifeTooLong),
    ];
    let mut rows = |name: &str, values: Vec<Value>, refusal| {
        let row = |value| (with(app_claims(), name, value), refusal);
        table.extend(values.into_iter().map(row));
    };
    let issuers = ["Sentinel/", "SENTINEL", "https://Sentinel", " Sentinel", ""];
    rows("iss", issuers.map(Value::from).to_vec(), Refusal::Issuer);
    rows("iss", vec![json!(["Sentinel"]), json!(null), json!({})], Refusal::Issuer);
    let audiences = vec![
        json!("12345678"),
        json!(ACCOUNT.to_uppercase()),
        json!(format!("{ACCOUNT} ")),
        json!(APP),
        json!([]),
        json!([ACCOUNT, ACCOUNT]),
        json!([ACCOUNT, CLIENT]),
        json!([[ACCOUNT]]),
        json!({}),
        json!(null),
        json!(81_823_118),
    ];
    rows("aud", audiences, Refusal::Audience);
    let parties = vec![
        json!("another"),
        json!(CLIENT),
        json!(APP.to_uppercase()),
        json!(""),
        json!([APP]),
        json!(null),
        json!(1),
    ];
    rows("azp", parties, Refusal::AuthorizedParty);
    let consumers = vec![json!("a consumer"), json!(""), json!(null), json!(false)];
    rows("https://liveperson.com/consumer_id", consumers, Refusal::Delegated);
    let times = vec![
        json!("9999999999"),
        json!(null),
        json!([NOW]),
        json!(1e300),
        json!(-1),
        json!("NaN"),
        json!(true),
        json!(u64::MAX),
    ];
    for name in ["exp", "iat", "nbf"] {
        rows(name, times.clone(), Refusal::Time);
    }
    for (payload, refusal) in table {
        assert_eq!(judge_app(&app_token(&payload)), Err(refusal), "for {payload}");
    }
}

/// E11, H09: two readers could see two tokens.
#[test]
fn no_claim_of_an_app_jwt_stands_twice() {
    for (name, value) in app_claims().as_object().unwrap() {
        let again = format!("{{{}:{value},", json!(name));
        let payload = app_claims().to_string().replacen('{', &again, 1);
        assert_eq!(judge_app(&app_token(&payload)), Err(Refusal::Payload), "for {payload}");
    }
}

/// E15: on the boundary `exp` has passed, `iat` and `nbf` have come.
#[test]
fn clocks_may_be_a_minute_apart_for_app_jwts_too() {
    let expired = Some(Refusal::Expired);
    let table = [
        ("exp", NOW - 59, None),
        ("exp", NOW - 60, expired),
        ("exp", NOW - 61, expired),
        ("iat", NOW + 60, None),
        ("iat", NOW + 61, Some(Refusal::IssuedInFuture)),
        ("nbf", NOW + 60, None),
        ("nbf", NOW + 61, Some(Refusal::NotYetValid)),
        ("iat", NOW - 82_800, None),
        ("iat", NOW - 82_801, Some(Refusal::LifeTooLong)),
    ];
    for (name, value, refusal) in table {
        let verdict = judge_app(&app_token(&with(app_claims(), name, json!(value))));
        assert_eq!(verdict.err(), refusal, "for {name} {value}");
    }
}

/// E17.
#[test]
fn a_configured_issuer_is_the_only_one_of_app_jwts_too() {
    let keys = key_set(&[KEY.jwk("k")]);
    let mut rules = rules(IdTokenSignature::Published);
    rules.issuer = Some("https://a".into());
    for (issuer, accepted) in [("https://a", true), ("https://a/", false), ("Sentinel", false)] {
        let token = app_token(&with(app_claims(), "iss", json!(issuer)));
        assert_eq!(judge_bearer(&rules, &keys, &token).is_ok(), accepted, "for {issuer}");
    }
}
