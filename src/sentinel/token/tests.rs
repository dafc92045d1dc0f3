use super::*;

const DAY: u64 = 24 * 60 * 60;

fn parse_text(body: &str) -> Result<TokenSet, MalformedAnswer> {
    parse(body.as_bytes())
}

#[test]
fn the_documented_answer_is_read_in_full() {
    let set = parse_text(
        r#"{"access_token":"0a1b","token_type":"Bearer","refresh_token":"c2d3",
            "id_token":"a.b.c","expires_in":28800,"scope":"openid"}"#,
    )
    .unwrap();
    assert_eq!(set.access_token.expose_secret(), "0a1b");
    assert_eq!(set.token_type.as_deref(), Some("Bearer"));
    assert_eq!(set.refresh_token, Some(RefreshToken::new("c2d3")));
    assert_eq!(set.id_token.as_deref(), Some("a.b.c"));
    assert_eq!(set.expires_in, Some(Duration::from_secs(28800)));
    assert_eq!(set.scope.as_deref(), Some("openid"));
    let printed = format!("{:?}", (set.access_token, set.refresh_token));
    assert!(!printed.contains("0a1b") && !printed.contains("c2d3"));
}

/// F14, B26.
#[test]
fn what_is_optional_may_be_absent_null_or_unknown() {
    for body in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","refresh_token":null,"expires_in":null,"error":null}"#,
        r#"{"access_token":"a","refresh_token":"","id_token":"","error":""}"#,
        r#"{"access_token":"a","token_type":5,"id_token":{},"scope":["x",{"y":1}]}"#,
        r#"{"x":1,"access_token":"a","deep":[[[{"refresh_token":"no"}]]],"x":2}"#,
        "\u{20}\n{\"access_token\" : \"a\"}\r\n",
    ] {
        let set = parse_text(body).expect(body);
        assert_eq!(set.access_token.expose_secret(), "a");
        assert_eq!(set.refresh_token, None, "for {body}");
        assert_eq!(set.token_type, None);
        assert_eq!(set.id_token, None);
        assert_eq!(set.expires_in, None);
        assert_eq!(set.scope, None);
    }
}

/// F11, B24, and X10 to X12.
#[test]
fn an_answer_without_usable_tokens_is_malformed() {
    use MalformedAnswer::{AccessToken, Error, NotJson, RefreshToken};
    let long = "a".repeat(MAX_TOKEN_LEN + 1);
    let access_too_long = format!(r#"{{"access_token":"{long}"}}"#);
    let refresh_too_long = format!(r#"{{"access_token":"a","refresh_token":"{long}"}}"#);
    let nested = format!("{{\"access_token\":{}1{}}}", "[".repeat(9000), "]".repeat(9000));
    for (body, expected) in [
        ("", NotJson),
        ("null", NotJson),
        ("5", NotJson),
        ("\"a\"", NotJson),
        (r#"["a","Bearer"]"#, NotJson),
        ("<html>welcome to the hotel</html>", NotJson),
        (r#"{"access_token":"a""#, NotJson),
        (r#"{"access_token":"a"} {}"#, NotJson),
        (r#"{"access_token":"a","access_token":"b"}"#, NotJson),
        (r#"{"access_token":"a","access_token":"a"}"#, NotJson),
        (r#"{"access_token":"a","refresh_token":"r","refresh_token":"s"}"#, NotJson),
        (r#"{"error":"invalid_grant"}"#, Error),
        (r#"{"access_token":"a","error":"invalid_grant"}"#, Error),
        (r#"{"access_token":"a","error":{"code":1}}"#, Error),
        ("{}", AccessToken),
        (r#"{"access_token":5}"#, AccessToken),
        (r#"{"access_token":null}"#, AccessToken),
        (r#"{"access_token":""}"#, AccessToken),
        (r#"{"access_token":"a b"}"#, AccessToken),
        (r#"{"access_token":"a\r\nx: y"}"#, AccessToken),
        (r#"{"access_token":"ä"}"#, AccessToken),
        (r#"{"access_token":["a"]}"#, AccessToken),
        (&access_too_long, AccessToken),
        (r#"{"access_token":"a","refresh_token":5}"#, RefreshToken),
        (r#"{"access_token":"a","refresh_token":["r"]}"#, RefreshToken),
        (r#"{"access_token":"a","refresh_token":"r\n"}"#, RefreshToken),
        (&refresh_too_long, RefreshToken),
    ] {
        assert_eq!(parse_text(body).unwrap_err(), expected, "for {body:.80}");
    }
    assert!(parse_text(&nested).is_err());
    assert!(parse(b"{\"access_token\":\"\xff\"}").is_err());
}

#[test]
fn a_lifetime_is_a_number_or_a_string_of_one() {
    let ms = |millis| Some(Duration::from_millis(millis));
    let secs = |secs| Some(Duration::from_secs(secs));
    for (json, expected) in [
        ("3600", secs(3600)),
        ("3600.5", ms(3_600_500)),
        ("\"3600\"", secs(3600)),
        ("\" 3600 \"", secs(3600)),
        ("\"3600.0\"", secs(3600)),
        ("0", secs(0)),
        ("\"0\"", secs(0)),
        ("-1", secs(0)),
        ("-1e300", secs(0)),
        ("\"-5\"", secs(0)),
        ("1e300", secs(400 * DAY)),
        ("18446744073709551615", secs(400 * DAY)),
        ("99999999999999999999999", secs(400 * DAY)),
        ("\"99999999999999999999999\"", secs(400 * DAY)),
        ("\"1e999\"", secs(400 * DAY)),
        ("null", None),
        ("true", None),
        ("[]", None),
        ("{}", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("\"0x10\"", None),
        ("\"8 h\"", None),
    ] {
        let set = parse_text(&format!(r#"{{"access_token":"a","expires_in":{json}}}"#));
        assert_eq!(set.unwrap().expires_in, expected, "for {json}");
    }
}

/// X08, X09: the parsed member decides, never a substring.
#[test]
fn a_refusal_is_known_by_its_error_member() {
    use OAuthErrorCode::{InvalidClient, InvalidGrant, Missing, Other};
    for (body, expected) in [
        (r#"{"error":"invalid_grant"}"#, InvalidGrant),
        (r#"{"error":"invalid_grant","error_description":"gone"}"#, InvalidGrant),
        (r#"{"error":"invalid_client"}"#, InvalidClient),
        (r#"{"error":"Invalid_Grant"}"#, Other),
        (r#"{"error":"slow_down"}"#, Other),
        (r#"{"error":"x","error_description":"invalid_grant"}"#, Other),
        (r#"{"error":{"code":"invalid_grant"}}"#, Missing),
        (r#"{"error":"a","error":"invalid_grant"}"#, Missing),
        (r#"["invalid_grant"]"#, Missing),
        ("invalid_grant", Missing),
        ("<html>invalid_grant", Missing),
        ("", Missing),
    ] {
        assert_eq!(error_code(body.as_bytes()), expected, "for {body}");
    }
}
