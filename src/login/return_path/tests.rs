use proptest::prelude::*;

use super::*;
use crate::site::tests::site;

fn guard() -> ReturnGuard {
    ReturnGuard::new(site("https://rp.example/callback", ""))
}

/// A01 to A12, A15: the families by hand; `tests/return_paths.rs` generates the rest.
#[test]
fn nothing_that_leaves_our_origin_is_a_return_path() {
    for path in [
        "",
        "home",
        "?x",
        "#x",
        "//evil.example",
        "/\\evil.example",
        "\\evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "/\t/evil.example",
        "/\n/evil",
        "/\r\n/evil",
        " //evil",
        "\u{1}//evil",
        "/ /evil",
        "/%09/evil.example",
        "/%0a/evil",
        "/%0d%0aSet-Cookie:x=1",
        "/%00/evil",
        "/%2f%2fevil.example",
        "/%2F/evil",
        "/%5cevil",
        "/%5C%5Cevil",
        "/%252f%252fevil",
        "/%25252fevil",
        "/.//evil.example",
        "/..//evil",
        "/x/..//evil",
        "/./\\evil",
        "/%2e//evil",
        "https://evil.example",
        "HTTPS:evil.example",
        "http:evil.example",
        "https:/evil",
        "https:\\\\evil",
        "https://rp.example@evil.example/",
        "https://rp.example.evil.example",
        "https://rp.example/x",
        "javascript:alert(1)",
        "data:text/html,x",
        "//2130706433",
        "//[::ffff:1.2.3.4]",
        "/\u{2215}evil",
        "\u{ff0f}\u{ff0f}evil",
        "/a\u{202e}b",
        "/%",
        "/%zz",
        "/%c0%af",
        "/%ed%a0%80",
        "/x y",
        "/x\"",
        "/a/../b",
    ] {
        assert_eq!(guard().check(path), None, "accepted {path:?}");
    }
}

/// A19, A20.
#[test]
fn our_own_paths_are_kept_byte_for_byte() {
    for path in [
        "/",
        "/a/b?x=1&y=%2F%20&y=2",
        "/a//b",
        "/a:b@c",
        "/%C3%A9t%C3%A9",
        "/?//evil.example",
        "/x?next=https://evil.example",
        "/a;b=c",
        "/~user/",
        "/a?b#c",
    ] {
        assert_eq!(guard().check(path).as_ref().map(ReturnPath::as_str), Some(path));
    }
}

/// A14.
#[test]
fn a_path_of_more_than_a_kibibyte_is_none() {
    let path = format!("/{}", "a".repeat(MAX_LEN - 1));
    assert!(guard().check(&path).is_some());
    assert!(guard().check(&format!("{path}a")).is_none());
}

/// A16.
#[test]
fn a_login_never_comes_back_to_our_own_routes() {
    for path in
        ["/login", "/LOGIN", "/login/", "/login?x", "/callback?code=1", "/logout//", "/Logout#x"]
    {
        assert_eq!(guard().check(path), None, "accepted {path:?}");
    }
    assert!(guard().check("/login-help").is_some());
    let prefixed = ReturnGuard::new(site("https://rp.example/app/callback", "/app"));
    assert!(prefixed.check("/app/login").is_none());
    assert!(prefixed.check("/login").is_some(), "another application's");
}

/// A13.
#[test]
fn a_repeated_parameter_is_none() {
    for query in [
        "return_to=/a&return_to=//evil",
        "return_to=//evil&return_to=/a",
        "return_to=/a&return_to=/a",
        "x=/a",
    ] {
        assert_eq!(guard().query_target(query), None, "accepted {query}");
    }
    let path = guard().query_target("return_to=%2Fa%3Fb%3D1&prompt=none").unwrap();
    assert_eq!(path.as_str(), "/a?b=1");
}

/// A17, A18: the request's own path is a stranger's text too.
#[test]
fn a_requests_path_is_judged_like_any_other() {
    let from = |uri: &'static str| guard().request_target(&http::Uri::from_static(uri));
    assert_eq!(from("//google.com"), None);
    assert_eq!(from("*"), None);
    assert_eq!(from("http://evil.example/x?y").unwrap().as_str(), "/x?y");
    let prefixed = ReturnGuard::new(site("https://rp.example/app/callback", "/app"));
    let path = prefixed.request_target(&http::Uri::from_static("/deep?q=1")).unwrap();
    assert_eq!(path.as_str(), "/app/deep?q=1");
    assert_eq!(
        prefixed.request_target(&http::Uri::from_static("//evil")).unwrap().as_str(),
        "/app//evil"
    );
}

proptest! {
    #[test]
    fn whatever_is_accepted_stays_on_our_origin(path in "[/\\\\.%0-9a-fA-F\t @:?#]{0,24}") {
        if let Some(accepted) = guard().check(&path) {
            let base = Url::parse("https://rp.example/callback").unwrap();
            let end = base.join(accepted.as_str()).unwrap();
            prop_assert_eq!(end.origin(), base.origin());
            // A proxy that decodes the Location once must not send the browser elsewhere either.
            let decoded = percent::decode_until_stable(accepted.as_str());
            if let Some(Ok(text)) = decoded.map(String::from_utf8) {
                let end = base.join(&text).unwrap();
                prop_assert_eq!(end.origin(), base.origin(), "decoded {:?}", text);
            }
        }
    }
}
