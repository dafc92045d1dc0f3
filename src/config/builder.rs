//! Collects the settings of a layer.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;

use crate::{
    caller::{Access, AccessPolicy, PathRules},
    clock::{Clock, SystemClock},
    jwt::IdTokenSignature,
    login::{LoginDecision, LoginHookError, OnLogin},
    refresh::{LEASE, OnSessionEnd, SessionEnd},
    respond::{ByClosure, DefaultResponses, Rejection, ResponseForRejection},
    secret::{ClientSecret, SessionKey},
    sentinel::{HttpSettings, TokenApiVersion},
    session::SessionStore,
    user::LpUser,
};

/// The settings of an [`LpAuthLayer`](crate::LpAuthLayer); [`Builder::build`] checks the whole.
///
/// Needed are the account, client id and secret, redirect URI and a session key. Paths are those
/// that the layer sees: [`Builder::external_prefix`] is added where the browser's are meant.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::{LpAuthLayer, SessionKey};
///
/// let auth = LpAuthLayer::builder()
///     .account("12345678")
///     .client_id("e9d8b7a6-0000-4000-8000-123456789abc")
///     .client_secret("the secret of the installation")
///     .redirect_uri("https://app.example.com/callback")
///     .session_key(SessionKey::random())
///     .public("/healthz")
///     .public_under("/assets")
///     .optional("/")
///     .idle_lifetime(Duration::from_secs(4 * 60 * 60))
///     .build()?;
/// # Ok::<(), tower_lp_auth::ConfigError>(())
/// ```
#[must_use]
pub struct Builder {
    pub(super) account: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<ClientSecret>,
    pub(super) redirect_uri: Option<String>,
    pub(super) session_keys: Vec<SessionKey>,
    pub(super) sentinel_url: Option<String>,
    pub(super) domain_api_url: Option<String>,
    pub(super) host_suffixes: Vec<String>,
    pub(super) issuer: Option<String>,
    pub(super) id_token_signature: IdTokenSignature,
    pub(super) token_api_version: TokenApiVersion,
    pub(super) pkce: bool,
    pub(super) rules: PathRules,
    pub(super) rule_paths: Vec<(Access, String)>,
    pub(super) login_path: String,
    pub(super) logout_path: String,
    pub(super) landing: String,
    pub(super) after_logout: Option<String>,
    pub(super) cookie_name: Option<String>,
    pub(super) trusted_origins: Vec<String>,
    pub(super) external_prefix: String,
    pub(super) allow_preflight: bool,
    pub(super) ignored_schemes: Vec<String>,
    pub(super) session_tokens: bool,
    pub(super) id_token_bearers: bool,
    pub(super) apps: Vec<String>,
    pub(super) idle_lifetime: Duration,
    pub(super) absolute_lifetime: Duration,
    pub(super) login_lifetime: Duration,
    pub(super) refresh_after: Duration,
    pub(super) revoke_on_logout: bool,
    pub(super) end_streams: bool,
    pub(super) http: HttpSettings,
    pub(super) ledger_entries: usize,
    pub(super) ledger_results: usize,
    pub(super) opened_sessions: usize,
    pub(super) store: Option<Arc<dyn SessionStore>>,
    pub(super) key_prefix: String,
    pub(super) record_user_agent: bool,
    pub(super) lease: Duration,
    pub(super) responder: Box<dyn ResponseForRejection>,
    pub(super) on_login: Option<OnLogin>,
    pub(super) on_session_end: Option<OnSessionEnd>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Tokens older than this are refreshed: LivePerson's recommendation.
const REFRESH_AFTER: Duration = Duration::from_secs(30 * 60);

/// The documented life of an access token.
const IDLE_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
const ABSOLUTE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// As long as Sentinel keeps a login open itself.
const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);

const LEDGER_ENTRIES: usize = 100_000;
const LEDGER_RESULTS: usize = 10_000;
const OPENED_SESSIONS: usize = 10_000;

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            account: None,
            client_id: None,
            client_secret: None,
            redirect_uri: None,
            session_keys: Vec::new(),
            sentinel_url: None,
            domain_api_url: None,
            host_suffixes: Vec::new(),
            issuer: None,
            id_token_signature: IdTokenSignature::default(),
            token_api_version: TokenApiVersion::default(),
            pkce: false,
            rules: PathRules::default(),
            rule_paths: Vec::new(),
            login_path: "/login".into(),
            logout_path: "/logout".into(),
            landing: "/".into(),
            after_logout: None,
            cookie_name: None,
            trusted_origins: Vec::new(),
            external_prefix: String::new(),
            allow_preflight: false,
            ignored_schemes: Vec::new(),
            session_tokens: true,
            id_token_bearers: false,
            apps: Vec::new(),
            idle_lifetime: IDLE_LIFETIME,
            absolute_lifetime: ABSOLUTE_LIFETIME,
            login_lifetime: LOGIN_LIFETIME,
            refresh_after: REFRESH_AFTER,
            revoke_on_logout: false,
            end_streams: true,
            http: HttpSettings::default(),
            ledger_entries: LEDGER_ENTRIES,
            ledger_results: LEDGER_RESULTS,
            opened_sessions: OPENED_SESSIONS,
            store: None,
            key_prefix: String::new(),
            record_user_agent: false,
            lease: LEASE,
            responder: Box::new(DefaultResponses),
            on_login: None,
            on_session_end: None,
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// The LivePerson account (site) that users sign in to.
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.account = Some(id.into());
        self
    }

    /// The client id of the application's installation: a UUID that LivePerson assigns.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// The client secret of the application's installation.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.client_secret = Some(ClientSecret::new(secret));
        self
    }

    /// Where Sentinel sends the browser back to, exactly as it is registered: an https URL whose
    /// path the layer answers. Plain http is accepted for loopback hosts and switches to cookies
    /// without `Secure`, for development.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// Adds a session key. The first seals, all open: to rotate, put the new one first and remove
    /// the old one after the absolute lifetime.
    pub fn session_key(mut self, key: SessionKey) -> Self {
        self.session_keys.push(key);
        self
    }

    /// The origin of Sentinel, where it is known: the Domain API is then not asked.
    pub fn sentinel_url(mut self, origin: impl Into<String>) -> Self {
        self.sentinel_url = Some(origin.into());
        self
    }

    /// The origin of the Domain API; by default `https://api.liveperson.net`.
    pub fn domain_api_url(mut self, origin: impl Into<String>) -> Self {
        self.domain_api_url = Some(origin.into());
        self
    }

    /// Adds a domain that may host Sentinel, itself or a host below it. The first call replaces
    /// the defaults, `liveperson.net` and `liveperson.com`. A configured `sentinel_url` is taken as it
    /// is.
    pub fn sentinel_host_suffix(mut self, domain: impl Into<String>) -> Self {
        self.host_suffixes.push(domain.into());
        self
    }

    /// The exact `iss` of id_tokens; by default `Sentinel` or `sentinel`.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Whether an id_token whose key is not published is accepted from the token endpoint; by
    /// default it is ([`IdTokenSignature::Published`]).
    pub fn id_token_signature(mut self, policy: IdTokenSignature) -> Self {
        self.id_token_signature = policy;
        self
    }

    /// The version of Sentinel's token API; by default 2.0.
    pub fn token_api_version(mut self, version: TokenApiVersion) -> Self {
        self.token_api_version = version;
        self
    }

    /// Sends a PKCE challenge (RFC 7636, S256) with each login. Off by default: Sentinel does not
    /// document it, and it protects nothing unless the server checks it.
    pub fn pkce(mut self, on: bool) -> Self {
        self.pkce = on;
        self
    }

    /// Declares one path public: sessions are not looked at there, so nobody is signed in; a handler
    /// that asks for an [`LpUser`] answers 401. For "whoever comes" there is [`Builder::optional`].
    ///
    /// It matches exactly, on the bytes that are forwarded; a path with `%`, `\`, `//`, `;` or dot
    /// segments never matches.
    pub fn public(self, path: impl Into<String>) -> Self {
        self.rule(Access::Public, path.into(), false)
    }

    /// Declares a path and everything below it public, by whole segments.
    pub fn public_under(self, path: impl Into<String>) -> Self {
        self.rule(Access::Public, path.into(), true)
    }

    /// Declares one path optional: a live session yields an [`LpUser`], none passes anonymously.
    pub fn optional(self, path: impl Into<String>) -> Self {
        self.rule(Access::Optional, path.into(), false)
    }

    /// Declares a path and everything below it optional, by whole segments.
    pub fn optional_under(self, path: impl Into<String>) -> Self {
        self.rule(Access::Optional, path.into(), true)
    }

    /// Decides about all paths that no other setting names.
    pub fn access_policy(mut self, policy: impl AccessPolicy) -> Self {
        self.rules.set_policy(Arc::new(policy));
        self
    }

    /// The path that starts a login; by default `/login`.
    pub fn login_path(mut self, path: impl Into<String>) -> Self {
        self.login_path = path.into();
        self
    }

    /// The path that ends a session, by POST; by default `/logout`.
    pub fn logout_path(mut self, path: impl Into<String>) -> Self {
        self.logout_path = path.into();
        self
    }

    /// Where a login ends that has no path to come back to; by default `/`.
    pub fn landing(mut self, path: impl Into<String>) -> Self {
        self.landing = path.into();
        self
    }

    /// Where a logout ends; by default the landing page if it is public or optional, else a page of
    /// the layer's (a protected page would sign the user straight in again).
    pub fn after_logout(mut self, path: impl Into<String>) -> Self {
        self.after_logout = Some(path.into());
        self
    }

    /// The name of the session cookie, without `__Host-`, which is added on https; by default
    /// `lp_session_` and six digits that tell applications on one host apart.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = Some(name.into());
        self
    }

    /// Adds an origin (`https://spa.example.com`) whose pages may send unsafe requests and open
    /// WebSockets with the session cookie.
    pub fn trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.trusted_origins.push(origin.into());
        self
    }

    /// What a proxy in front strips from paths: `/app` if the browser's `/app/callback` reaches the
    /// layer as `/callback`.
    pub fn external_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.external_prefix = prefix.into();
        self
    }

    /// Lets CORS preflights pass without a session, to a CORS layer or handler further in. Off by
    /// default: better put the CORS layer outside.
    pub fn allow_preflight(mut self, on: bool) -> Self {
        self.allow_preflight = on;
        self
    }

    /// Authorization schemes of a gate in front, such as `["Basic"]`: requests with them count as
    /// having no `Authorization` header. `Bearer` cannot be among them.
    pub fn ignore_authorization_schemes<I>(mut self, schemes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.ignored_schemes.extend(schemes.into_iter().map(Into::into));
        self
    }

    /// Whether session tokens are handed out ([`LpUser::session_token`]) and accepted as bearer tokens
    /// (RFC 6750); by default they are.
    pub fn session_tokens(mut self, on: bool) -> Self {
        self.session_tokens = on;
        self
    }

    /// Whether an id_token of this client lets its user in as a bearer token (RFC 6750); by default it
    /// does not.
    ///
    /// Such a user has no session and no access token, and is known until the id_token ends (LivePerson's
    /// live ten minutes). An id_token says who somebody is to this application, not that they have sent
    /// this request: whoever gets hold of one is its user here. It always needs the signature of a
    /// published key of at least 2048 bits.
    ///
    /// [`on_login`](Self::on_login) is not asked and [`on_session_end`](Self::on_session_end) not told:
    /// check in the handler, or with [`require_if`](crate::LpAuthLayer::require_if), what the hook
    /// checks. Neither a logout nor [`LpAuthLayer::sessions`](crate::LpAuthLayer::sessions) ends it before
    /// its time; bound that with `require_user().max_age(…)`, which counts from its `iat`.
    ///
    /// The `Authorization` header stays in the request: take it out before you pass the request on.
    pub fn allow_id_token_bearers(mut self, on: bool) -> Self {
        self.id_token_bearers = on;
        self
    }

    /// Lets the application with this client id in by its App-JWT (client credentials, V2), as an
    /// [`LpApp`](crate::LpApp). Call it once for each; by default there is none.
    ///
    /// Its requests then pass on every protected path: guard what is for users with the extractor of
    /// [`LpUser`] or `require_user`, and what is for applications with
    /// [`require_app`](crate::LpAuthLayer::require_app). Delegated tokens, by which an application acts
    /// for a consumer, are refused.
    ///
    /// The `Authorization` header stays in the request: take it out before you pass the request on.
    pub fn allow_app(mut self, client_id: impl Into<String>) -> Self {
        self.apps.push(client_id.into());
        self
    }

    /// A session ends after this long without a request; by default 8 hours.
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Self {
        self.idle_lifetime = lifetime;
        self
    }

    /// A session ends this long after its login, whatever happens; by default 24 hours.
    pub fn absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.absolute_lifetime = lifetime;
        self
    }

    /// A login has to be finished within this time; by default 10 minutes.
    pub fn login_lifetime(mut self, lifetime: Duration) -> Self {
        self.login_lifetime = lifetime;
        self
    }

    /// Tokens older than this are refreshed beside a request; by default 30 minutes. A delay of up
    /// to a tenth is added, different for each session.
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = age;
        self
    }

    /// Keeps sessions in a store instead of the browser: they are then not limited in size, a logout
    /// holds everywhere at once, and any number of instances refreshes a session once.
    ///
    /// All instances of a service share the store and the session keys. Without a store sessions
    /// travel sealed in the cookie.
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// What the keys of this application begin with in the store; visible ASCII, at most 64
    /// characters, none by default.
    ///
    /// Not needed to tell applications apart: a hash of redirect URI and client id follows.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// Whether the list of a user's sessions in the store names the browser of each login
    /// (`User-Agent`, at most 256 characters); not by default. It is kept sealed.
    pub fn record_user_agent(mut self, on: bool) -> Self {
        self.record_user_agent = on;
        self
    }

    /// How long a lease on a refresh lasts that is not renewed: short ones for tests.
    #[cfg(feature = "test-kit")]
    pub(crate) fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Whether a logout revokes the session's refresh token at Sentinel. Off by default: it logs the
    /// user out of every LivePerson application.
    pub fn revoke_on_logout(mut self, on: bool) -> Self {
        self.revoke_on_logout = on;
        self
    }

    /// Whether a user's streams end when their session ends; by default they do, within a second or
    /// so, whatever they have still to say: event streams (`text/event-stream`) cleanly, bodies of
    /// gRPC and grpc-web with status 16 (UNAUTHENTICATED) in their trailers. Streams of callers with a
    /// JWT end so with the token. Switched off, handlers see to it with [`LpUser::ended`] and
    /// [`LpApp::ended`](crate::LpApp::ended).
    ///
    /// A first piece that is ready with the head goes out in any case: the one answer of a method
    /// that ends the session arrives. Responses to anonymous callers, and bodies whose length has
    /// been told, are left alone.
    pub fn end_streams(mut self, on: bool) -> Self {
        self.end_streams = on;
        self
    }

    /// Adds a certificate authority (PEM) that calls to LivePerson trust besides the system's.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.ca_certificates_pem.push(pem.into());
        self
    }

    /// The proxy for calls to LivePerson, in place of the environment's. Calls to loopback never use
    /// one.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.proxy = Some(url.into());
        self
    }

    /// How long connecting to LivePerson may take, TLS included; by default 2 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.http.connect_timeout = timeout;
        self
    }

    /// How long a whole call to LivePerson may take; by default 5 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = timeout;
        self
    }

    /// How many changed sessions (refreshed, re-sealed, logged out) the process remembers; by
    /// default 100,000. A logged-out session that is forgotten can be used again by whoever has
    /// copied its cookie.
    pub fn ledger_entries(mut self, entries: usize) -> Self {
        self.ledger_entries = entries;
        self
    }

    /// How many refreshed sessions the process keeps for requests that still bring the cookie of
    /// before; by default 10,000.
    pub fn ledger_results(mut self, results: usize) -> Self {
        self.ledger_results = results;
        self
    }

    /// How many opened sessions are cached; by default 10,000.
    pub fn opened_sessions(mut self, sessions: usize) -> Self {
        self.opened_sessions = sessions;
        self
    }

    /// Answers requests that do not get through, in place of [`DefaultResponses`].
    pub fn responses(mut self, respond: impl ResponseForRejection) -> Self {
        self.responder = Box::new(respond);
        self
    }

    /// The same with a closure.
    pub fn responses_fn<F>(self, respond: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.responses(ByClosure(respond))
    }

    /// Is asked at each login, with a user who has not got the session yet: to store them, or to
    /// deny them. It has 2 seconds; a failure or a longer wait is answered with 503.
    ///
    /// Not asked for callers with an id_token ([`allow_id_token_bearers`](Self::allow_id_token_bearers)):
    /// these do not log in here.
    pub fn on_login<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(LpUser) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<LoginDecision, LoginHookError>> + Send + 'static,
    {
        self.on_login = Some(Arc::new(move |user| Box::pin(hook(user))));
        self
    }

    /// Is told of each session that ends here, in a task of its own that a shutdown waits for.
    pub fn on_session_end<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(SessionEnd) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_session_end = Some(Arc::new(move |end| Box::pin(hook(end))));
        self
    }

    /// The source of time, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn rule(mut self, access: Access, path: String, under: bool) -> Self {
        if under {
            self.rules.add_under(&path, access);
        } else {
            self.rules.add_exact(&path, access);
        }
        self.rule_paths.push((access, path));
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("account", &self.account)
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("redirect_uri", &self.redirect_uri)
            .field("session_keys", &self.session_keys.len())
            .field("idle_lifetime", &self.idle_lifetime)
            .field("absolute_lifetime", &self.absolute_lifetime)
            .field("login_lifetime", &self.login_lifetime)
            .field("refresh_after", &self.refresh_after)
            .field("revoke_on_logout", &self.revoke_on_logout)
            .field("end_streams", &self.end_streams)
            .finish_non_exhaustive()
    }
}
