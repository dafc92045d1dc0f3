//! Our verdicts compared with those of another implementation, where both mean the same.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;

use super::*;

/// The oracle's verdict. It reads the system's clock, so it judges no times.
fn oracle(token: &str) -> bool {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[CLIENT]);
    validation.set_issuer(&["Sentinel", "sentinel"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.validate_exp = false;
    let (modulus, exponent) = (base64(&KEY.modulus), base64(&KEY.exponent));
    let key = DecodingKey::from_rsa_components(&modulus, &exponent).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

#[test]
fn the_oracle_agrees_on_right_and_wrong_tokens() {
    let signed = |payload: String, key| sign(&header("k"), &payload, key);
    let table = [
        (token("k", &KEY), true),
        (signed(claims_with("iss", json!("sentinel")), &KEY), true),
        (signed(claims_with("aud", json!([CLIENT])), &KEY), true),
        (token("k", &OTHER), false),
        (token("k", &SMALL), false),
        (signed(claims_with("aud", json!("another")), &KEY), false),
        (signed(claims_with("iss", json!("another")), &KEY), false),
        (signed(claims_without("sub"), &KEY), false),
        (signed(claims_without("exp"), &KEY), false),
        (sign(r#"{"alg":"none"}"#, &claims().to_string(), &KEY), false),
        (sign(r#"{"alg":"RS512","kid":"k"}"#, &claims().to_string(), &KEY), false),
        ("a.b.c".to_owned(), false),
    ];
    for (row, (token, expected)) in table.into_iter().enumerate() {
        assert_eq!(judge_strictly(&token).is_ok(), expected, "ours, row {row}");
        assert_eq!(oracle(&token), expected, "the oracle's, row {row}");
    }
}

#[test]
fn the_oracle_agrees_on_every_change_of_one_letter() {
    let token = token("k", &KEY);
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(judge_strictly(&changed).is_err(), "accepted a change at {at}");
        assert!(!oracle(&changed), "the oracle accepted a change at {at}");
    }
}

proptest! {
    #[test]
    fn the_oracle_agrees_on_random_changes(at in 0..400_usize, letter in "[A-Za-z0-9_.=+ -]", cut in any::<bool>()) {
        let mut token = token("k", &KEY);
        token.insert_str(at.min(token.len()), &letter);
        if cut {
            token.truncate(token.len() - 1);
        }
        prop_assert_eq!(judge_strictly(&token).is_ok(), oracle(&token));
    }
}
