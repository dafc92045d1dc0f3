//! What must hold of return paths and callbacks, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use url::{Url, form_urlencoded};

use super::{
    ReturnGuard,
    callback::{Outcome, Parameters},
};
use crate::site::Site;

/// A return path that is accepted leads to our own origin: as it is, and decoded by whoever stands
/// between.
pub fn return_path(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let redirect_uri = Url::parse("https://rp.example/callback").expect("a URL");
    let guard = ReturnGuard::new(Site {
        origin: "https://rp.example".into(),
        prefix: "".into(),
        callback_path: "/callback".into(),
        login_path: "/login".into(),
        logout_path: "/logout".into(),
        landing: "/".into(),
        after_logout: None,
        redirect_uri: redirect_uri.clone(),
    });
    let stays = |path: &str| {
        let end = redirect_uri.join(path).expect("a path that a browser can follow");
        assert_eq!(end.origin(), redirect_uri.origin(), "{path:?} leaves");
    };
    let _ = guard.query_target(text).inspect(|path| stays(path.as_str()));
    let Some(path) = guard.check(text) else { return false };
    assert_eq!(path.as_str(), text, "a path is sent as it came");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?} is no header value");
    stays(text);
    let mut decoded = text.to_owned();
    for _ in 0..3 {
        decoded = decode(&decoded);
        stays(&decoded);
    }
    true
}

/// One round of percent-decoding, as a careless proxy does it.
fn decode(text: &str) -> String {
    // `+` is a space to forms alone.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// A callback that is accepted names one state, spelt as we write it, and at most one code.
pub fn callback_query(data: &[u8]) -> bool {
    let Ok(query) = std::str::from_utf8(data) else { return false };
    let Some(parameters) = Parameters::parse(query) else { return false };
    let all = |wanted: &str| -> Vec<String> {
        form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
            .collect()
    };
    assert_eq!(all("state"), [parameters.state.to_text()]);
    assert!(all("error").len() <= 1 && all("iss").len() <= 1);
    if let Outcome::Code(code) = parameters.outcome {
        assert_eq!(all("code"), [code.expose_secret()]);
        assert!(all("error").is_empty(), "a code beside an error");
        assert!(code.expose_secret().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
    true
}
