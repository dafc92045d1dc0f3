//! Why nobody got through.

use std::{fmt, sync::Arc};

use http::StatusCode;

use crate::caller::{GrpcFlavor, RequestKind};

/// A request that does not get through, as [`ResponseForRejection`](super::ResponseForRejection) is
/// told.
///
/// Nothing in it was written by the caller, except that [`Rejection::login`] holds the checked and
/// encoded path to come back to, and that [`Rejection::way_forward`] may be the callback once more,
/// with its unspent code: show it to this caller alone. `Debug` leaves it out.
#[derive(Clone)]
pub struct Rejection {
    pub(crate) reason: RejectionReason,
    pub(crate) kind: RequestKind,
    pub(crate) retry_after: Option<u64>,
    /// External path and query of the login.
    pub(crate) login: Box<str>,
    /// External path of the landing page.
    pub(crate) landing: Box<str>,
    /// The way forward is the same request once more.
    pub(crate) again: bool,
    pub(crate) reference: Box<str>,
    /// `Allow` of a 405.
    pub(crate) allow: Option<&'static str>,
    /// The scope that is missing.
    pub(crate) scope: Option<Arc<str>>,
}

/// What a caller who does not get through can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WayForward<'a> {
    /// Sign in: path and query of the login, as in [`Rejection::login`].
    Login(&'a str),
    /// Open this path, the landing page.
    Landing(&'a str),
    /// Make the same request once more.
    Retry,
}

/// In which language a caller is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Audience {
    /// A person in front of a browser: HTML.
    Person,
    /// A program: `application/problem+json`.
    Program,
    /// A gRPC or grpc-web client: a trailers-only status.
    Grpc,
}

/// Declares the reasons with their label, status and words.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $status:ident, $title:literal, $text:literal;)+) => {
        /// Why a request does not get through: the label of metrics and logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RejectionReason {
            $($(#[$doc])* $name,)+
        }

        impl RejectionReason {
            /// All of them, for metrics that are made ahead.
            #[allow(dead_code, reason = "for metrics and tests")]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The reason as it stands in logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// The HTTP status it is answered with (gRPC answers are 200 with a `grpc-status`).
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Whether an operator should hear of it: a login that failed, or a fault.
            pub(crate) fn is_notable(self) -> bool {
                self.status().is_server_error() && self != Self::Prefetch
                    || matches!(
                        self,
                        Self::InvalidCallback
                            | Self::UnknownLogin
                            | Self::CookiesMissing
                            | Self::LoginExpired
                            | Self::ConflictingCookies
                            | Self::AccessDenied
                            | Self::AuthorizationFailed
                            | Self::LoginDenied
                    )
            }

            /// A few words for a heading.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// A sentence or two for a person: what happened, and what to do.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// No session, or one that is over.
    NotSignedIn = "not_signed_in", UNAUTHORIZED, "Please sign in",
        "You are not signed in, or your session has ended. What you sent has not been saved: sign in and send it again.";
    /// The login is older than this route allows.
    LoginTooOld = "login_too_old", UNAUTHORIZED, "Please sign in again",
        "This page asks for a recent sign-in.";
    /// An `Authorization` header that signs nobody in here.
    CredentialRefused = "credential_refused", UNAUTHORIZED, "Not accepted",
        "The credential in the Authorization header is not accepted here.";
    /// An `Authorization` header of a scheme by which nobody is known here (RFC 6750 §3.1).
    UnsupportedCredential = "unsupported_credential", UNAUTHORIZED, "Not accepted",
        "Nobody is known here by this kind of Authorization header.";
    /// More than one `Authorization` header, or a token in the address beside it.
    AmbiguousCredential = "ambiguous_credential", BAD_REQUEST, "One credential at a time",
        "The request says in more than one way who makes it. Send one Authorization header and no token in the address.";
    /// A page of another site sent an unsafe request with our cookie.
    CrossSite = "cross_site", FORBIDDEN, "Not allowed from another site",
        "This request came from a page of another site and was not carried out. Open the application itself and try again there.";
    /// Signed in, but not allowed.
    Forbidden = "forbidden", FORBIDDEN, "Not allowed",
        "You are known here, but this address is not open to you.";
    /// The route is for applications, and none has called.
    NotAnApp = "not_an_app", UNAUTHORIZED, "For applications only",
        "This address is for other applications, which identify themselves with an App-JWT.";
    /// The application's token lacks the scope that the route asks for (RFC 6750 §3.1).
    InsufficientScope = "insufficient_scope", FORBIDDEN, "Not allowed",
        "The application's token does not have the scope that this address asks for.";
    /// Whether the caller is signed in cannot be said now.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Just a moment",
        "Your session could not be renewed because LivePerson does not answer. You are not signed out: try again shortly.";
    /// The callback was called with missing, repeated or malformed parameters.
    InvalidCallback = "invalid_callback", BAD_REQUEST, "This sign-in link is not valid",
        "The address is incomplete or was changed on the way. Start signing in again.";
    /// No login of this browser is waiting for this callback.
    UnknownLogin = "unknown_login", BAD_REQUEST, "This sign-in is not known here",
        "It was finished already, was started in another browser, or has taken too long. Start signing in again.";
    /// The same, and the browser sends none of our cookies.
    CookiesMissing = "cookies_missing", BAD_REQUEST, "Your browser sent no cookie",
        "Signing in needs cookies. If they are blocked for this site, allow them; if this link came from another browser, use that one. Then start signing in again.";
    /// The login was started more than its lifetime ago.
    LoginExpired = "login_expired", BAD_REQUEST, "This sign-in has taken too long",
        "For your safety a sign-in has to be finished within a few minutes. Start signing in again.";
    /// The browser sends two session cookies of different sessions.
    ConflictingCookies = "conflicting_cookies", BAD_REQUEST, "Two sessions at once",
        "Your browser sends two different session cookies for this site. Delete this site's cookies and sign in again.";
    /// The user, or LivePerson, declined.
    AccessDenied = "access_denied", FORBIDDEN, "Access was declined",
        "LivePerson did not let this sign-in through. If you did not decline it yourself, ask the administrator of your account.";
    /// Sentinel sent the user back with an error.
    AuthorizationFailed = "authorization_failed", BAD_REQUEST, "LivePerson could not sign you in",
        "LivePerson reported an error. Start signing in again; if it happens again, tell the operator of this application.";
    /// The application's own hook said no.
    LoginDenied = "login_denied", FORBIDDEN, "No access to this application",
        "You are signed in at LivePerson, but this application does not let you in.";
    /// Sentinel refused the code, or its answer or id_token does not hold.
    LoginRefused = "login_refused", BAD_GATEWAY, "Signing in did not work",
        "LivePerson's answer could not be used. Start signing in again; if it happens again, tell the operator of this application.";
    /// The id_token's times do not fit this server's clock.
    ClockSkew = "clock_skew", BAD_GATEWAY, "Signing in did not work",
        "The clocks of this application and of LivePerson differ too much. Please tell the operator of this application.";
    /// Sentinel cannot be reached for a login.
    SentinelUnavailable = "sentinel_unavailable", SERVICE_UNAVAILABLE, "LivePerson does not answer",
        "Signing in is not possible at the moment. Try again shortly.";
    /// Too many logins at once; the same callback works in a moment.
    LoginBusy = "login_busy", SERVICE_UNAVAILABLE, "Just a moment",
        "Many people are signing in right now. Your sign-in is not lost: try again in a moment.";
    /// The session store could not be asked, or has not taken a session: for a login or a logout.
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "Just a moment",
        "This application cannot look after sessions right now. Try again in a moment.";
    /// The session does not fit into a cookie.
    SessionTooLarge = "session_too_large", INTERNAL_SERVER_ERROR, "Signing in did not work",
        "Your session is too large for this application's settings. Please tell the operator of this application.";
    /// The application's hook failed or took too long.
    HookFailed = "hook_failed", SERVICE_UNAVAILABLE, "Signing in did not work",
        "The application could not finish your sign-in. Try again shortly.";
    /// One of our paths was called with another method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Not possible this way",
        "This address does not answer this kind of request.";
    /// One of our paths was fetched ahead.
    Prefetch = "prefetch", SERVICE_UNAVAILABLE, "Not fetched ahead",
        "This address answers only when it is really opened.";
}

impl Rejection {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        self.reason
    }

    /// The HTTP status of the answer (for gRPC: of what it stands for).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reason.status()
    }

    /// A few words for a heading.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.reason.title()
    }

    /// A sentence or two for a person.
    #[must_use]
    pub fn explanation(&self) -> &'static str {
        self.reason.explanation()
    }

    /// In which language the caller is answered.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self.kind {
            RequestKind::Navigation | RequestKind::HeadNavigation | RequestKind::Form => {
                Audience::Person
            }
            RequestKind::Grpc(_) => Audience::Grpc,
            RequestKind::Api | RequestKind::Upgrade | RequestKind::Prefetch => Audience::Program,
        }
    }

    /// Path and query, on our own origin, of the page that starts a login and comes back.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// The one thing to do next.
    #[must_use]
    pub fn way_forward(&self) -> WayForward<'_> {
        match self.reason {
            _ if self.again => WayForward::Retry,
            // The caller may well be signed in, or no login of a person's helps.
            RejectionReason::Forbidden
            | RejectionReason::CrossSite
            | RejectionReason::NotAnApp
            | RejectionReason::InsufficientScope => WayForward::Landing(&self.landing),
            RejectionReason::Unavailable => WayForward::Retry,
            _ => WayForward::Login(&self.login),
        }
    }

    /// Whole seconds for `Retry-After`, where waiting helps; at least 1.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after
    }

    /// Eight hex digits that stand in the answer and in its log event: at `warn` for failed logins
    /// and faults, at `info` for 403, at `debug` for the rest.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The methods that a 405 allows.
    #[must_use]
    pub fn allow(&self) -> Option<&'static str> {
        self.allow
    }

    /// The scope that a 403 for want of it asks for.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn grpc_flavor(&self) -> GrpcFlavor {
        match self.kind {
            RequestKind::Grpc(flavor) => flavor,
            _ => GrpcFlavor::Native,
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("reason", &self.reason)
            .field("kind", &self.kind)
            .field("retry_after", &self.retry_after)
            .field("again", &self.again)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}
