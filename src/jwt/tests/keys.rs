//! Which published keys count.

use proptest::prelude::*;

use super::*;

/// A key that is usable but for one member.
fn spoilt(name: &str, value: Value) -> Value {
    let mut jwk = KEY.jwk("k");
    jwk[name] = value;
    jwk
}

fn number_of_keys(keys: &[Value]) -> usize {
    key_set(keys).candidates(None, 0).count()
}

/// E24.
#[test]
fn keys_that_cannot_verify_rs256_are_skipped() {
    let mut even = KEY.modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let table = [
        json!({ "kty": "EC", "kid": "k", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "AA" }),
        json!({ "kty": "oct", "kid": "k", "k": "c2VjcmV0" }),
        json!({ "kty": "oct", "kid": "k", "n": base64(&KEY.modulus), "e": "AQAB" }),
        json!({ "kid": "k", "n": base64(&KEY.modulus), "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "k", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "k", "n": base64(&KEY.modulus) }),
        spoilt("kty", json!("rsa")),
        spoilt("kid", json!(1)),
        spoilt("kid", json!(null)),
        spoilt("use", json!("enc")),
        spoilt("use", json!(null)),
        spoilt("alg", json!("RS512")),
        spoilt("alg", json!("PS256")),
        spoilt("key_ops", json!(["sign"])),
        spoilt("key_ops", json!("verify")),
        spoilt("d", json!("AQAB")),
        spoilt("e", json!("AQ")),
        spoilt("e", json!("Ag")),
        spoilt("e", json!("AA")),
        spoilt("e", json!("")),
        spoilt("e", json!(65537)),
        spoilt("e", json!(base64([2, 0, 0, 0, 1]))),
        spoilt("e", json!("AQAB=")),
        spoilt("n", json!(base64(&even))),
        spoilt("n", json!("")),
        spoilt("n", json!(base64([0xff; 127]))),
        spoilt("n", json!(base64([0xff; 1025]))),
        json!("RSA"),
        json!(null),
        json!([]),
    ];
    for jwk in table {
        assert_eq!(number_of_keys(std::slice::from_ref(&jwk)), 0, "used {jwk}");
        assert_eq!(number_of_keys(&[jwk.clone(), KEY.jwk("k")]), 1, "after {jwk}");
    }
}

/// E24.
#[test]
fn members_that_allow_rs256_are_accepted_and_unknown_ones_ignored() {
    let mut padded = vec![0, 0];
    padded.extend_from_slice(&KEY.modulus);
    let table = [
        spoilt("use", json!("sig")),
        spoilt("alg", json!("RS256")),
        spoilt("key_ops", json!(["verify"])),
        spoilt("x5t#S256", json!({ "deep": [1] })),
        spoilt("n", json!(base64(&padded))),
        spoilt("e", json!("Aw")),
        spoilt("e", json!(base64([1, 0, 0, 0, 1]))),
    ];
    for jwk in table {
        assert_eq!(number_of_keys(std::slice::from_ref(&jwk)), 1, "skipped {jwk}");
    }
}

/// E24.
#[test]
fn the_first_32_usable_keys_count() {
    let unusable = vec![json!({ "kty": "oct" }); 1_000];
    let mut keys = unusable;
    keys.extend(vec![KEY.jwk("k"); 500]);
    assert_eq!(number_of_keys(&keys), 32);
}

/// E20.
#[test]
fn what_is_no_key_set_is_an_error() {
    let huge = format!(r#"{{"keys":[],"pad":"{}"}}"#, "a".repeat(512 * 1024));
    let deep = format!(r#"{{"keys":{}{}}}"#, "[".repeat(9_000), "]".repeat(9_000));
    let texts = [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[}"#,
        r#"{"keys":[],"keys":[]}"#,
        &huge,
        &deep,
    ];
    for text in texts {
        let verdict = KeySet::parse(text.as_bytes());
        assert!(verdict.is_err(), "accepted {}", &text[..text.len().min(40)]);
    }
    assert!(KeySet::parse(br#"{"keys":[]}"#).unwrap().is_empty());
}

/// E24: every key of the name is tried, wherever the right one stands.
#[test]
fn a_name_that_several_keys_bear_is_tried_with_each() {
    let rules = rules(IdTokenSignature::Required);
    for keys in [[KEY.jwk("k"), OTHER.jwk("k")], [OTHER.jwk("k"), KEY.jwk("k")]] {
        let verdict = judge(&rules, &key_set(&keys), &token("k", &KEY), TokenSource::Bearer);
        assert!(verdict.is_ok());
    }
}

/// E01, E03: one of the keys must verify; only where there is none does the exception apply.
#[test]
fn a_token_without_key_id_is_tried_with_every_key() {
    let nameless = |key| sign(r#"{"alg":"RS256"}"#, &claims().to_string(), key);
    let verdict = |signature, keys: &[Value], token: &str| {
        let (rules, keys) = (rules(signature), key_set(keys));
        let verdict = judge(&rules, &keys, token, TokenSource::TokenEndpoint);
        verdict.map(|claims| claims.signature_checked)
    };
    let both = [OTHER.jwk("a"), KEY.jwk("b")];
    for signature in [IdTokenSignature::Published, IdTokenSignature::Required] {
        assert_eq!(verdict(signature, &[KEY.jwk("a")], &nameless(&KEY)), Ok(true));
        assert_eq!(verdict(signature, &both, &nameless(&KEY)), Ok(true));
        assert_eq!(verdict(signature, &both, &nameless(&SMALL)), Err(Refusal::Signature));
    }
    let none = |signature| verdict(signature, &[], &nameless(&KEY));
    assert_eq!(none(IdTokenSignature::Published), Ok(false));
    assert_eq!(none(IdTokenSignature::Required), Err(Refusal::UnknownKey));
}

/// E24: the documented example has a signature of 1024 bits.
#[test]
fn small_keys_count_for_the_token_endpoint_under_published_only() {
    use IdTokenSignature::{Published, Required};
    use TokenSource::{Bearer, TokenEndpoint};
    let table = [
        (Published, TokenEndpoint, Ok(true)),
        (Published, Bearer, Err(Refusal::UnknownKey)),
        (Required, TokenEndpoint, Err(Refusal::UnknownKey)),
        (Required, Bearer, Err(Refusal::UnknownKey)),
    ];
    let keys = key_set(&[SMALL.jwk("small")]);
    for (signature, source, expected) in table {
        let verdict = judge(&rules(signature), &keys, &token("small", &SMALL), source);
        let verdict = verdict.map(|claims| claims.signature_checked);
        assert_eq!(verdict, expected, "{signature:?} {source:?}");
    }
    let forged = judge(&rules(Published), &keys, &token("small", &OTHER), TokenEndpoint);
    assert_eq!(forged.unwrap_err(), Refusal::Signature);
}

proptest! {
    #[test]
    fn no_document_panics(bytes in any::<Vec<u8>>(), n in any::<Vec<u8>>(), e in any::<Vec<u8>>()) {
        let _ = KeySet::parse(&bytes);
        let keys = key_set(&[json!({ "kty": "RSA", "n": base64(&n), "e": base64(&e) })]);
        for key in keys.candidates(None, 0) {
            prop_assert!(!key.verifies(b"message", &n));
        }
    }
}

/// Numbers of a usable size that are no RSA key make no trouble either.
#[test]
fn a_key_of_nonsense_verifies_nothing() {
    for len in [128, 255, 256, 257, 1024] {
        let mut jwk = KEY.jwk("k");
        jwk["n"] = json!(base64(vec![0xff; len]));
        let keys = key_set(&[jwk]);
        let key = keys.candidates(None, 0).next().unwrap();
        for signature in [vec![], vec![0; len], vec![1; len], vec![0xff; len], vec![0; len + 1]] {
            assert!(!key.verifies(b"message", &signature), "for {len} bytes");
        }
    }
}
