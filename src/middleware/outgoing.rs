//! On the way out: cookies set, renewed or deleted, caching kept honest, refusals translated.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{CACHE_CONTROL, SET_COOKIE, VARY},
    uri::PathAndQuery,
};
use http_body::Body;

use super::{
    shared::{Answer, Shared},
    streams::{Stream, Watch},
};
use crate::{
    caller::RequestKind,
    clock::Timestamp,
    error::BoxFuture,
    refresh::{Ended, Landing},
    respond::{self, Mark, MarkReason},
    session::{Carrier, Held, Phase, TOKEN_HEADER},
};

/// What the way out needs to know of a request that was let through.
#[derive(Debug)]
pub(crate) struct Passage {
    caller: Caller,
    /// The flight that this request has started.
    landing: Option<Landing>,
    /// The same session's cookie under today's key: rare, and boxed so that the others are smaller.
    renewed: Option<Box<HeaderValue>>,
    /// A session might have been there: answers differ by cookie.
    optional: bool,
    /// Where a refusal from further in sends its caller back to.
    origin: Option<Origin>,
    /// Whether a stream ends with the session.
    end_streams: bool,
}

/// By what the caller is known.
#[derive(Debug)]
enum Caller {
    Nobody,
    /// By a session, here as the request brought it.
    Session(Carrier, Held),
    /// By a JWT that ends then; there is no session to look after.
    Jwt(Timestamp),
}

/// What a refusal from further in needs to know of the request.
#[derive(Debug)]
pub(crate) struct Origin {
    /// All of the URI that counts.
    target: Option<PathAndQuery>,
    /// The browser holds cookies of ours that starting a login has to look at.
    had_cookies: bool,
    /// Whether a login changes anything: a public route does not look at the session it brings, so
    /// that a redirect to Sentinel would come back here for ever.
    login_helps: bool,
}

impl Origin {
    #[inline(always)] // it is moved once more otherwise
    pub(crate) fn of<B>(request: &Request<B>, had_cookies: bool) -> Self {
        let target = request.uri().path_and_query().cloned();
        Self { target, had_cookies, login_helps: true }
    }

    /// The same on a public route.
    pub(crate) fn where_no_login_helps(self) -> Self {
        Self { login_helps: false, ..self }
    }

    fn uri(&self) -> Uri {
        self.target.clone().map(Uri::from).unwrap_or_default()
    }
}

const PRIVATE: HeaderValue = HeaderValue::from_static("private");

impl Passage {
    /// Another layer of the same configuration looks after this request.
    pub(crate) fn nothing() -> Self {
        Self {
            caller: Caller::Nobody,
            landing: None,
            renewed: None,
            optional: false,
            origin: None,
            end_streams: false,
        }
    }

    pub(crate) fn anonymous(origin: Origin, optional: bool) -> Self {
        Self { optional, origin: Some(origin), ..Self::nothing() }
    }

    /// Somebody is known by a JWT: there is no session to look after.
    pub(crate) fn by_jwt(
        ends_at: Timestamp,
        optional: bool,
        origin: Origin,
        end_streams: bool,
    ) -> Self {
        let caller = Caller::Jwt(ends_at);
        Self { caller, end_streams, ..Self::anonymous(origin, optional) }
    }

    pub(crate) fn user(
        carrier: Carrier,
        brought: Held,
        landing: Option<Landing>,
        optional: bool,
        origin: Origin,
        end_streams: bool,
    ) -> Self {
        let (caller, origin) = (Caller::Session(carrier, brought), Some(origin));
        Self { caller, landing, renewed: None, optional, origin, end_streams }
    }

    /// The same, with a cookie that the response sets unless the session ends meanwhile.
    pub(crate) fn renewing(self, renewed: Option<HeaderValue>) -> Self {
        Self { renewed: renewed.map(Box::new), ..self }
    }

    /// What the head has to wait for before it leaves.
    #[inline]
    pub(crate) fn linger(&mut self, shared: &Arc<Shared>) -> Option<BoxFuture<'static, ()>> {
        let landing = match self.landing.take() {
            Some(landing) => landing,
            // The cookie of a stored session does not change.
            None if shared.keeper.depot.is_none() && shared.keeper.tasks.is_shutting_down() => {
                let Caller::Session(_, brought) = &self.caller else { return None };
                brought.track.lock().flight.clone()?
            }
            None => return None,
        };
        let keeper = Arc::clone(&shared.keeper);
        Some(Box::pin(async move { keeper.linger(landing).await }))
    }

    /// Finishes the head of the inner service's response, and says what leaves.
    ///
    /// The response stays where it is: it is large, and moved often enough.
    #[inline]
    pub(super) fn leave<B: Body>(
        &self,
        shared: &Arc<Shared>,
        response: &mut Response<B>,
    ) -> Departing {
        if let Some(origin) = &self.origin
            && let Some(mark) = response.extensions_mut().remove::<Mark>()
        {
            return self.translate(shared, mark.seen_outside(response.headers()), origin);
        }
        self.dress(shared, response.headers_mut());
        if self.end_streams
            && let Some(stream) = Stream::of(response)
        {
            return self.watch(shared, stream);
        }
        Departing::Now
    }

    /// The response leaves with a body that ends with its caller.
    fn watch(&self, shared: &Arc<Shared>, stream: Stream) -> Departing {
        let keeper = || Arc::clone(&shared.keeper);
        let ended = match &self.caller {
            Caller::Session(_, held) => Ended::of(keeper(), held.clone()),
            Caller::Jwt(ends_at) => Ended::at(keeper(), *ends_at),
            Caller::Nobody => return Departing::Now,
        };
        Departing::Until(Watch::new(stream, ended))
    }

    #[cold]
    fn translate(&self, shared: &Arc<Shared>, mark: Mark, origin: &Origin) -> Departing {
        let uri = &origin.uri();
        let asks_for_user =
            matches!(mark.reason, MarkReason::NotSignedIn | MarkReason::LoginTooOld);
        if asks_for_user && !origin.login_helps {
            tracing::error!(
                path = uri.path(),
                "a public path asks for a user, but nobody is looked for there: declare it optional \
                 or leave it protected"
            );
        }
        // A client with a token is not sent anywhere.
        let by_token = matches!(self.caller, Caller::Session(Carrier::Token, _) | Caller::Jwt(_));
        let wants_login = asks_for_user && origin.login_helps && !by_token;
        match mark.kind {
            // The login path sees the cookies that have been stripped here.
            RequestKind::Navigation if wants_login && !origin.had_cookies => {
                Departing::Later(shared.start_login(&HeaderMap::new(), uri))
            }
            RequestKind::Navigation | RequestKind::HeadNavigation if wants_login => {
                Departing::Instead(Box::new(shared.point_at_login(uri)))
            }
            kind => {
                let (reason, retry_after) = (mark.reason.rejection(), mark.reason.retry_after());
                let scope = match mark.reason {
                    MarkReason::InsufficientScope(scope) => Some(scope),
                    _ => None,
                };
                let mut answer = shared.refuse(reason, kind, uri, retry_after, scope);
                self.dress(shared, answer.headers_mut());
                Departing::Instead(Box::new(answer))
            }
        }
    }

    #[inline]
    fn dress(&self, shared: &Arc<Shared>, headers: &mut HeaderMap) {
        let hands_out = match &self.caller {
            Caller::Session(Carrier::Cookie, held) => {
                let line = cookie_line(shared, held, self.renewed.as_deref());
                line.map(|line| headers.append(SET_COOKIE, line)).is_some()
            }
            Caller::Session(Carrier::Token, held) => {
                if let Some(value) = token_value(shared, held) {
                    headers.insert(TOKEN_HEADER, value);
                }
                // Where it is not ours, another service of this application has renewed the token.
                headers.contains_key(TOKEN_HEADER)
            }
            Caller::Jwt(_) | Caller::Nobody => false,
        };
        if hands_out {
            respond::forbid_storing(headers);
        } else if !matches!(self.caller, Caller::Nobody) {
            keep_private(headers);
        }
        if self.optional {
            headers.append(VARY, shared.vary());
        }
    }
}

/// Lets no shared cache store the response, unless the handler has said who may.
#[inline(never)]
fn keep_private(headers: &mut HeaderMap) {
    // Of a few names each is looked at sooner than one is looked up.
    const FEW: usize = 8;
    let is_said = if headers.keys_len() > FEW {
        headers.contains_key(CACHE_CONTROL)
    } else {
        headers.keys().any(|name| *name == CACHE_CONTROL)
    };
    if !is_said {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
}

/// What leaves.
pub(super) enum Departing {
    /// The inner service's response.
    Now,
    /// The same, whose body ends with its caller.
    Until(Watch),
    /// An answer of ours in its place.
    Instead(Box<Answer>),
    /// The same, as soon as there is one: a refusal from further in starts a login.
    Later(BoxFuture<'static, Answer>),
}

/// The session cookie that this response carries: the deletion after a handler has ended the
/// session, or the newest where the request brought an older one.
#[inline]
fn cookie_line(shared: &Shared, held: &Held, renewed: Option<&HeaderValue>) -> Option<HeaderValue> {
    if held.track.take_forget_cookie(|| shared.keeper.clock.monotonic()) {
        return Some(shared.keeper.mint.delete_cookie());
    }
    if let Some(line) = renewed {
        return (held.track.phase() == Phase::Live).then(|| line.clone());
    }
    if held.track.is_highest(held.pair()) {
        return None;
    }
    let known = held.track.lock();
    if held.track.phase() != Phase::Live || known.highest <= held.pair() {
        return None;
    }
    known.result.as_ref()?.set_cookie.clone()
}

/// The session token that this response hands out: the newest where the request brought an older one.
/// That of a stored session does not change.
#[inline]
fn token_value(shared: &Shared, held: &Held) -> Option<HeaderValue> {
    if held.opened.stored.is_some() || held.track.is_highest(held.pair()) {
        return None;
    }
    let known = held.track.lock();
    if held.track.phase() != Phase::Live || known.highest <= held.pair() {
        return None;
    }
    let result = known.result.as_ref()?;
    result.token_header(&shared.keeper.mint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a handler says of caches stays as it is, all of it, however many headers there are.
    #[test]
    fn only_silence_about_caches_becomes_private() {
        for (others, said) in [(0, 0), (0, 1), (2, 2), (7, 0), (8, 0), (8, 1), (20, 0), (20, 2)] {
            let mut headers = HeaderMap::new();
            for number in 0..others {
                let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
                headers.insert(name, HeaderValue::from_static("x"));
            }
            for _ in 0..said {
                headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
            }
            keep_private(&mut headers);
            let values: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            let expected = if said == 0 { vec!["private"] } else { vec!["max-age=1"; said] };
            assert_eq!(values, expected, "{others} others, {said} said");
        }
    }
}
