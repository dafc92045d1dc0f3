//! Single tokens against fixed keys: no clock moves, nothing is fetched.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use proptest::prelude::*;

use super::*;

/// E01.
#[test]
fn a_right_token_gives_its_claims() {
    let claims = judge_strictly(&token("k", &KEY)).unwrap();
    assert_eq!(
        claims,
        IdClaims {
            subject: "3552833710".into(),
            issuer: "Sentinel".into(),
            is_admin: true,
            is_lpa: false,
            issued_at: Timestamp::from_secs(NOW),
            expires_at: Timestamp::from_secs(NOW + 600),
            signature_checked: true,
        }
    );
}

/// E01.
#[test]
fn what_a_token_may_vary_is_accepted() {
    let payloads = [
        claims_with("aud", json!([CLIENT])),
        claims_with("azp", json!(CLIENT)),
        claims_with("exp", json!(NOW as f64 + 599.5)),
        claims_with("nonce", json!("ignored")),
        claims_without("is_admin"),
        claims_without("is_lpa"),
    ];
    for payload in payloads {
        let token = sign(&header("k"), &payload, &KEY);
        assert!(judge_strictly(&token).is_ok(), "refused {payload}");
    }
    for header in [r#"{"alg":"RS256","kid":"k"}"#, r#"{"alg":"RS256","kid":"k","typ":"jwt"}"#] {
        let token = sign(header, &claims().to_string(), &KEY);
        assert!(judge_strictly(&token).is_ok(), "refused {header}");
    }
}

#[test]
fn roles_that_are_not_claimed_are_not_held() {
    let payload = claims_without("is_admin");
    let claims = judge_strictly(&sign(&header("k"), &payload, &KEY)).unwrap();
    assert!(!claims.is_admin && !claims.is_lpa);
}

/// E02, E10, E14, E17, H08, H09.
#[test]
fn a_wrong_claim_is_refused_under_any_signature() {
    let other = json!("another");
    let mut table = vec![
        (claims_without("iss"), Refusal::Issuer),
        (claims_without("aud"), Refusal::Audience),
        (claims_without("sub"), Refusal::Subject),
        (claims_without("iat"), Refusal::Time),
        (claims_without("exp"), Refusal::Time),
        (claims_with("iat", json!(NOW - 7 * 86_400)), Refusal::TooOld),
        (claims_with("exp", json!(NOW - 3_600)), Refusal::Expired),
        (claims_with("azp", other.clone()), Refusal::AuthorizedParty),
        (claims_with("azp", json!(null)), Refusal::AuthorizedParty),
        (claims_with("azp", json!([CLIENT])), Refusal::AuthorizedParty),
        (claims_with("at_hash", json!(1)), Refusal::AccessTokenHash),
    ];
    let mut rows = |name: &str, values: Vec<Value>, refusal| {
        table.extend(values.into_iter().map(|value| (claims_with(name, value), refusal)));
    };
    let issuers = ["Sentinel/", "SENTINEL", "https://Sentinel", " Sentinel", "Sentinel:443", ""];
    rows("iss", issuers.map(Value::from).to_vec(), Refusal::Issuer);
    rows("iss", vec![json!(["Sentinel"]), json!(null), json!({})], Refusal::Issuer);
    let audiences = vec![
        other,
        json!([]),
        json!({}),
        json!(null),
        json!([CLIENT, "another"]),
        json!([CLIENT, CLIENT]),
        json!([[CLIENT]]),
        json!(CLIENT.to_uppercase()),
    ];
    rows("aud", audiences, Refusal::Audience);
    let subjects = vec![json!(1), json!(null), json!(""), json!("a\nb"), json!("a".repeat(257))];
    rows("sub", subjects, Refusal::Subject);
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
    for name in ["is_admin", "is_lpa"] {
        rows(name, vec![json!("true"), json!(1), json!(null)], Refusal::Role);
    }
    for (payload, refusal) in table {
        let token = sign(&header("k"), &payload, &KEY);
        assert_eq!(judge_strictly(&token).unwrap_err(), refusal, "for {payload}");
    }
}

/// E14: not even a right `azp` excuses a second audience.
#[test]
fn a_second_audience_is_refused_with_a_right_party_too() {
    let mut claims = claims();
    claims["aud"] = json!([CLIENT, "another"]);
    claims["azp"] = json!(CLIENT);
    let token = sign(&header("k"), &claims.to_string(), &KEY);
    assert_eq!(judge_strictly(&token).unwrap_err(), Refusal::Audience);
}

/// E17.
#[test]
fn a_configured_issuer_is_compared_exactly() {
    let keys = key_set(&[KEY.jwk("k")]);
    let verdict = |only: Option<&str>, issuer: &str| {
        let mut rules = rules(IdTokenSignature::Required);
        rules.issuer = only.map(Into::into);
        let token = sign(&header("k"), &claims_with("iss", json!(issuer)), &KEY);
        judge(&rules, &keys, &token, TokenSource::Bearer).is_ok()
    };
    assert!(verdict(None, "Sentinel") && verdict(None, "sentinel"));
    assert!(verdict(Some("https://a"), "https://a"));
    for issuer in ["https://a/", "http://a", "https://a:443", "https://A", "Sentinel"] {
        assert!(!verdict(Some("https://a"), issuer), "accepted {issuer}");
    }
}

/// E15: on the boundary `exp` has passed, `iat` and `nbf` have come.
#[test]
fn clocks_may_be_a_minute_apart() {
    let expired = Some(Refusal::Expired);
    let table = [
        ("exp", NOW - 59, None),
        ("exp", NOW - 60, expired),
        ("exp", NOW - 61, expired),
        ("iat", NOW + 59, None),
        ("iat", NOW + 60, None),
        ("iat", NOW + 61, Some(Refusal::IssuedInFuture)),
        ("nbf", NOW + 59, None),
        ("nbf", NOW + 60, None),
        ("nbf", NOW + 61, Some(Refusal::NotYetValid)),
        ("iat", NOW - 3_599, None),
        ("iat", NOW - 3_600, Some(Refusal::TooOld)),
    ];
    for (name, value, refusal) in table {
        let token = sign(&header("k"), &claims_with(name, json!(value)), &KEY);
        assert_eq!(judge_strictly(&token).err(), refusal, "for {name} {value}");
    }
}

#[test]
fn a_refusal_that_a_wrong_clock_explains_says_so() {
    for refusal in [Refusal::Expired, Refusal::IssuedInFuture, Refusal::NotYetValid] {
        assert!(refusal.is_clock_skew());
        assert!(refusal.to_string().contains("clock skew"), "{refusal}");
    }
    assert!(!Refusal::Signature.is_clock_skew());
}

/// E16.
#[test]
fn an_access_token_hash_must_belong_to_the_access_token() {
    let right = base64(&digest(&SHA256, b"access").as_ref()[..16]);
    let whole = base64(digest(&SHA256, b"access"));
    let table = [
        (claims().to_string(), Some("access"), true),
        (claims_with("at_hash", json!(right)), Some("access"), true),
        (claims_with("at_hash", json!(right)), None, true),
        (claims_with("at_hash", json!(right)), Some("another"), false),
        (claims_with("at_hash", json!(whole)), Some("access"), false),
        (claims_with("at_hash", json!("")), Some("access"), false),
        (claims_with("at_hash", json!(null)), Some("access"), false),
    ];
    let (rules, keys) = (rules(IdTokenSignature::Required), key_set(&[KEY.jwk("k")]));
    for (payload, access_token, accepted) in table {
        let (token, now) = (sign(&header("k"), &payload, &KEY), Timestamp::from_secs(NOW));
        let verdict = Candidate::id_token(&rules, &token, access_token, now)
            .and_then(|candidate| candidate.decide(&keys));
        assert_eq!(verdict.is_ok(), accepted, "for {payload} with {access_token:?}");
    }
}

/// E04, H09.
#[test]
fn everything_right_by_the_wrong_key_is_refused() {
    for kind in KINDS {
        assert_eq!((kind.judge)(&kind.token("k", &KEY)), Ok(()), "{}", kind.name);
        for key in [&OTHER, &SMALL] {
            let verdict = (kind.judge)(&kind.token("k", key));
            assert_eq!(verdict, Err(Refusal::Signature), "{}", kind.name);
        }
    }
}

/// E05, E06, H09.
#[test]
fn no_algorithm_but_rs256_exists() {
    let algorithms = [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(""),
        json!("RS512"),
        json!("PS256"),
        json!("ES256"),
        json!("HS256"),
        json!("rs256"),
        json!("RS256 "),
        json!(["RS256"]),
        json!(null),
        json!(256),
    ];
    let headers = algorithms.map(|alg| json!({ "alg": alg, "kid": "k", "typ": "JWT" }).to_string());
    for header in headers.iter().map(String::as_str).chain([r#"{"kid":"k"}"#]) {
        for kind in KINDS {
            let signed = sign(header, &kind.payload(), &KEY);
            let (bare, _) = signed.rsplit_once('.').unwrap();
            for token in [&signed, &format!("{bare}.")] {
                let verdict = (kind.judge)(token);
                assert_eq!(verdict, Err(Refusal::Algorithm), "{} with {header}", kind.name);
            }
        }
    }
}

/// E05, H09: no form of the public key is a secret, whatever `alg` says.
#[test]
fn the_public_key_signs_nothing() {
    let jwk = KEY.jwk("k").to_string();
    let secrets = [jwk.as_bytes(), &KEY.modulus, &*pem(), base64(&KEY.modulus).as_bytes()]
        .map(<[u8]>::to_vec);
    for secret in secrets {
        for (alg, refusal) in [("HS256", Refusal::Algorithm), ("RS256", Refusal::Signature)] {
            for kind in KINDS {
                let header = json!({ "alg": alg, "kid": "k" }).to_string();
                let signed = format!("{}.{}", base64(header), base64(kind.payload()));
                let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                let mac = hmac::sign(&key, signed.as_bytes());
                let token = format!("{signed}.{}", base64(mac));
                assert_eq!((kind.judge)(&token), Err(refusal), "{} with {alg}", kind.name);
            }
        }
    }
}

fn pem() -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let Private::Full(pair) = &KEY.private else {
        unreachable!("the key has 2048 bits");
    };
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let text = base64_simd::STANDARD.encode_to_string(der.as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
}

/// E07, H09.
#[test]
fn a_token_cannot_bring_its_own_key() {
    let jwk = OTHER.jwk("k");
    let table = [
        ("jwk", jwk),
        ("jku", json!("https://evil")),
        ("x5u", json!("https://evil")),
        ("x5c", json!(["AA"])),
    ];
    for (name, value) in table {
        let mut header = json!({ "alg": "RS256", "kid": "k" });
        header[name] = value;
        let header = header.to_string();
        for kind in KINDS {
            let verdict = (kind.judge)(&sign(&header, &kind.payload(), &OTHER));
            assert_eq!(verdict, Err(Refusal::Signature), "{} with {name}", kind.name);
            assert_eq!((kind.judge)(&sign(&header, &kind.payload(), &KEY)), Ok(()));
        }
    }
}

/// E08, H09.
#[test]
fn a_strange_key_id_is_unknown_or_malformed() {
    let table = [
        (json!("../../etc/passwd"), Refusal::UnknownKey),
        (json!("https://evil/jwks"), Refusal::UnknownKey),
        (json!("' OR 1=1 --"), Refusal::UnknownKey),
        (json!("k\0"), Refusal::UnknownKey),
        (json!("K"), Refusal::UnknownKey),
        (json!(""), Refusal::UnknownKey),
        (json!("k".repeat(257)), Refusal::KeyId),
        (json!("k".repeat(100 * 1024)), Refusal::TooLong),
        (json!(1), Refusal::KeyId),
        (json!(null), Refusal::KeyId),
        (json!(["k"]), Refusal::KeyId),
    ];
    for (id, refusal) in table {
        let header = json!({ "alg": "RS256", "kid": id }).to_string();
        for kind in KINDS {
            let verdict = (kind.judge)(&sign(&header, &kind.payload(), &KEY));
            let start = &header[..header.len().min(80)];
            assert_eq!(verdict, Err(refusal), "{} with {start}", kind.name);
        }
    }
}

/// E09, H09.
#[test]
fn extensions_and_other_kinds_of_token_are_refused() {
    let table = [
        ("crit", json!(["exp"]), Refusal::Critical),
        ("crit", json!([]), Refusal::Critical),
        ("crit", json!(null), Refusal::Critical),
        ("b64", json!(false), Refusal::Critical),
        ("b64", json!(true), Refusal::Critical),
        ("typ", json!("at+jwt"), Refusal::Type),
        ("typ", json!("logout+jwt"), Refusal::Type),
        ("typ", json!(""), Refusal::Type),
        ("typ", json!(null), Refusal::Type),
    ];
    for (name, value, refusal) in table {
        let mut header = json!({ "alg": "RS256", "kid": "k" });
        header[name] = value;
        for kind in KINDS {
            let verdict = (kind.judge)(&sign(&header.to_string(), &kind.payload(), &KEY));
            assert_eq!(verdict, Err(refusal), "{} with {header}", kind.name);
        }
    }
}

/// E11, H09.
#[test]
fn header_and_payload_are_objects_with_distinct_names() {
    for kind in KINDS {
        let valid = kind.payload();
        let twice = valid.replacen('{', r#"{"iss":"1","#, 1);
        let escaped = valid.replacen('{', r#"{"i\u0073s":"1","#, 1);
        for text in ["", "[]", r#""x""#, "1", "null", "{", "{} {}", "\u{feff}{}", &twice, &escaped]
        {
            let verdict = (kind.judge)(&sign(&header("k"), text, &KEY));
            assert_eq!(verdict, Err(Refusal::Payload), "{} for {text}", kind.name);
            let verdict = (kind.judge)(&sign(text, &valid, &KEY));
            let refused = [Refusal::Header, Refusal::Algorithm].contains(&verdict.unwrap_err());
            assert!(refused, "{} for {text}", kind.name);
        }
        let listed = format!("[{valid}]");
        assert_eq!((kind.judge)(&sign(&header("k"), &listed, &KEY)), Err(Refusal::Payload));
        let twice = r#"{"alg":"none","alg":"RS256","kid":"k"}"#;
        assert_eq!((kind.judge)(&sign(twice, &valid, &KEY)), Err(Refusal::Header));
    }
}

/// E12, H09.
#[test]
fn a_token_has_one_spelling() {
    for kind in KINDS {
        let token = kind.token("k", &KEY);
        for spelling in other_spellings(&token) {
            let refusal = (kind.judge)(&spelling).unwrap_err();
            let refused = [Refusal::Malformed, Refusal::Header].contains(&refusal);
            assert!(refused, "{refusal:?} for {spelling:?}");
        }
    }
}

fn other_spellings(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts");
    };
    vec![
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.\t{payload}.{signature}"),
        format!("{token}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}AAA"),
        format!("{header}.{payload}.{}", standard(signature)),
    ]
}

/// The standard alphabet, and made sure to differ.
fn standard(part: &str) -> String {
    format!("+/{}", &part.replace('-', "+").replace('_', "/")[2..])
}

/// E12, H09: 256 bytes leave four bits of the last letter unused.
#[test]
fn unused_bits_are_zero() {
    for kind in KINDS {
        let token = kind.token("k", &KEY);
        let (rest, last) = token.split_at(token.len() - 1);
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
            let verdict = (kind.judge)(&format!("{rest}{letter}"));
            assert_eq!(verdict.is_ok(), last == letter.to_string(), "{} for {letter}", kind.name);
        }
    }
}

/// E13.
#[test]
fn huge_and_deep_tokens_are_refused() {
    let verdict = judge_strictly(&"a".repeat(1024 * 1024));
    assert_eq!(verdict.unwrap_err(), Refusal::TooLong);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let verdict = judge_strictly(&sign(&header("k"), &deep, &KEY));
    assert_eq!(verdict.unwrap_err(), Refusal::Payload);
    let verdict = judge_strictly(&sign(&deep, "{}", &KEY));
    assert_eq!(verdict.unwrap_err(), Refusal::Header);
    let unclosed = "[".repeat(10_000);
    let verdict = judge_strictly(&format!("{}.e30.AAAA", base64(&unclosed)));
    assert_eq!(verdict.unwrap_err(), Refusal::Header);
}

/// E02 to E12 under the default policy: what is published counts.
#[test]
fn a_published_key_is_decisive_under_every_policy() {
    let keys = key_set(&[KEY.jwk("k")]);
    let table = [
        (token("k", &KEY), TokenSource::TokenEndpoint, Ok(true)),
        (token("k", &OTHER), TokenSource::TokenEndpoint, Err(Refusal::Signature)),
        (token("new", &OTHER), TokenSource::TokenEndpoint, Ok(false)),
        (token("k", &KEY), TokenSource::Bearer, Ok(true)),
        (token("k", &OTHER), TokenSource::Bearer, Err(Refusal::Signature)),
        (token("new", &KEY), TokenSource::Bearer, Err(Refusal::UnknownKey)),
    ];
    let rules = rules(IdTokenSignature::Published);
    for (token, source, expected) in table {
        let verdict = judge(&rules, &keys, &token, source);
        assert_eq!(verdict.map(|claims| claims.signature_checked), expected, "{source:?}");
    }
}

/// E06: the exception is for a signature that nobody can check, not for none.
#[test]
fn a_token_without_any_signature_is_refused_even_where_no_key_is_published() {
    let token = token("new", &OTHER);
    let (signed, _) = token.rsplit_once('.').unwrap();
    let keys = KeySet::default();
    for signature in ["", "AAAA", &base64([0; 127]), &base64([0; 1025])] {
        let token = format!("{signed}.{signature}");
        let rules = rules(IdTokenSignature::Published);
        let verdict = judge(&rules, &keys, &token, TokenSource::TokenEndpoint);
        assert_eq!(verdict.unwrap_err(), Refusal::Signature);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
        prop_assert!(judge_strictly(&text).is_err());
        let joined = format!("{}.{}.{}", base64(&a), base64(&b), base64([1; 256]));
        prop_assert!(judge_strictly(&joined).is_err());
        let token = format!("{}.{}.{}", base64(header("k")), base64(&b), base64([1; 256]));
        prop_assert!(judge_strictly(&token).is_err());
    }
}
