//! What a request costs without a session, and behind a layer that does as little as a layer can.

use axum::{Extension, Router, http::HeaderMap, routing::get};

use super::Contender;
use crate::{
    session::USER,
    shared::{FloorLayer, Guest, WrapLayer, browser, cookie, fields},
};

/// A session cookie as long as this crate's, which nobody reads.
fn session_cookie() -> String {
    format!("__Host-lp_session_000000={}", "A".repeat(700))
}

/// The application without a layer.
pub fn bare() -> Contender {
    let app = Router::new().route("/me", get(async || USER.to_owned()));
    Contender::new("bare", app, vec![cookie(&session_cookie())]).noted("the router without a layer")
}

pub fn start(name: &'static str) -> Contender {
    let app = Router::new()
        .route("/me", get(async |guest: Extension<Guest>| guest.name().to_owned()))
        .route("/public", get(async || "hi"));
    let (app, note) = if name == "floor+" {
        let app = app.layer(FloorLayer::named(USER));
        (app, "a layer that only clones an `Arc` into the request's extensions")
    } else {
        let app = app.layer((WrapLayer, FloorLayer::named(USER)));
        (app, "the same with a body type of its own, which axum boxes")
    };
    let contender = Contender::new(name, app, vec![headers(name)]).over(name);
    match name {
        "floor+" | "floor+wrap" => contender.noted(note),
        "floor+wrap, browser" => contender.noted("with the 16 header fields of a browser"),
        "floor+wrap, foreign" => contender.noted("with three foreign cookies in the same field"),
        "floor+wrap, fields" => contender.noted("with the four cookies as four fields"),
        _ => contender.at("/public").noted("a request without a cookie"),
    }
}

fn headers(name: &str) -> HeaderMap {
    let ours = session_cookie();
    match name {
        "floor+wrap, browser" => browser(cookie(&ours)),
        "floor+wrap, foreign" => cookie(&beside_foreign(&ours)),
        "floor+wrap, fields" => fields(&ours),
        "floor+wrap, no cookie" => HeaderMap::new(),
        _ => cookie(&ours),
    }
}

/// Our cookie among three of other applications, in one field.
pub fn beside_foreign(ours: &str) -> String {
    format!("theme=dark; {ours}; _ga=GA1.1.1234567890; lang=en-GB")
}
