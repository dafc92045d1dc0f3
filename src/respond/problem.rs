//! Answers for programs: `application/problem+json` (RFC 9457).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::{Rejection, RejectionReason};
use crate::scope::is_scope;

#[derive(Serialize)]
struct Problem<'a> {
    /// `about:blank`: the status says it all (RFC 9457 §4.2.1).
    r#type: &'static str,
    title: &'a str,
    status: u16,
    reason: &'static str,
    /// Where a person logs in; a program shows or opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
    reference: &'a str,
}

pub(super) fn rejection(rejection: &Rejection) -> Response<Bytes> {
    let status = rejection.status();
    let problem = Problem {
        r#type: "about:blank",
        title: rejection.title(),
        status: status.as_u16(),
        reason: rejection.reason().as_str(),
        login: login_helps(rejection).then_some(rejection.login()),
        reference: rejection.reference(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    add_status_headers(&mut response, rejection);
    response
}

/// Not where an application is asked for: nobody can log in as one.
fn login_helps(rejection: &Rejection) -> bool {
    rejection.status() == StatusCode::UNAUTHORIZED
        && rejection.reason() != RejectionReason::NotAnApp
}

/// The headers that a status calls for, whoever is answered.
pub(super) fn add_status_headers(response: &mut Response<Bytes>, rejection: &Rejection) {
    let headers = response.headers_mut();
    if let Some(challenge) = challenge(rejection) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    add_retry_after(headers, rejection);
    if let Some(allow) = rejection.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
}

/// RFC 6750 §3: no error code where no credential came, or one of another kind.
fn challenge(rejection: &Rejection) -> Option<HeaderValue> {
    let plain = match rejection.reason() {
        RejectionReason::CredentialRefused => "Bearer error=\"invalid_token\"",
        RejectionReason::AmbiguousCredential => "Bearer error=\"invalid_request\"",
        RejectionReason::InsufficientScope => return Some(insufficient_scope(rejection.scope())),
        _ if rejection.status() == StatusCode::UNAUTHORIZED => "Bearer",
        _ => return None,
    };
    Some(HeaderValue::from_static(plain))
}

/// Names the scope where it is one (RFC 6749 §3.3): nothing else fits between the quotes.
fn insufficient_scope(scope: Option<&str>) -> HeaderValue {
    scope
        .filter(|scope| is_scope(scope))
        .map(|scope| format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
        .and_then(|challenge| challenge.try_into().ok())
        .unwrap_or(HeaderValue::from_static("Bearer error=\"insufficient_scope\""))
}

pub(super) fn add_retry_after(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(seconds) = rejection.retry_after_secs() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}
