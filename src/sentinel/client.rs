//! The calls to Sentinel.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;

use super::{
    domain::Domains,
    endpoint::{
        SentinelHost, ServerOrigin, TokenApiVersion, app_token_url, authorize_url, jwks_url,
        revoke_url, token_url,
    },
    error::{FetchError, HttpSetupError, MalformedAnswer, TokenError, root_cause},
    http_client::{Answer, BodyEnd, HttpClient, HttpSettings},
    throttle::{DEFAULT_PAUSE, Throttle, retry_after},
    token::{self, TokenSet},
};
use crate::{
    AccountId, Clock,
    secret::{AuthorizationCode, ClientSecret, CodeVerifier, RefreshToken},
};

/// What the client has to know.
#[derive(Clone, Debug)]
pub(crate) struct SentinelSettings {
    pub client_id: Box<str>,
    pub client_secret: ClientSecret,
    pub redirect_uri: Box<str>,
    /// The Sentinel of every account; the Domain API is not asked then.
    pub sentinel_url: Option<ServerOrigin>,
    pub domain_api_url: ServerOrigin,
    /// What the Domain API may answer: these names and those below them.
    pub host_suffixes: Vec<Box<str>>,
    pub token_api_version: TokenApiVersion,
    pub http: HttpSettings,
}

impl SentinelSettings {
    /// The production hosts of LivePerson.
    pub(crate) const DOMAIN_API: &str = "https://api.liveperson.net";
    pub(crate) const HOST_SUFFIXES: [&str; 2] = ["liveperson.net", "liveperson.com"];
}

/// Room for tokens of every size seen, many times over.
const MAX_TOKEN_ANSWER: usize = 64 * 1024;
/// A key set may hold many keys with their certificates.
const MAX_KEY_DOCUMENT: usize = 512 * 1024;

/// Asks Sentinel for tokens and keys.
pub(crate) struct SentinelClient {
    client_id: Box<str>,
    client_secret: ClientSecret,
    redirect_uri: Box<str>,
    token_api_version: TokenApiVersion,
    hosts: Hosts,
    http: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    codes: Throttle,
    refreshes: Throttle,
    revocations: Throttle,
    app_tokens: Throttle,
}

#[derive(Debug)]
enum Hosts {
    Configured(SentinelHost),
    Domains(Domains),
}

/// The key set of a Sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyDocument {
    /// The document; nothing of it is checked.
    Found(Bytes),
    /// The server says that it publishes none (404, 410).
    Missing,
}

impl SentinelClient {
    /// Checks the settings; opens no connection and reads no CA certificates of the system.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`] if a certificate, the proxy or a time-out cannot be used.
    pub(crate) fn new(
        settings: SentinelSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpSetupError> {
        let http = Arc::new(HttpClient::new(settings.http, Arc::clone(&clock))?);
        let hosts = match settings.sentinel_url {
            Some(origin) => Hosts::Configured(origin.into()),
            None => Hosts::Domains(Domains::new(
                settings.domain_api_url,
                settings.host_suffixes,
                Arc::clone(&http),
                Arc::clone(&clock),
            )),
        };
        Ok(Self {
            client_id: settings.client_id,
            client_secret: settings.client_secret,
            redirect_uri: settings.redirect_uri,
            token_api_version: settings.token_api_version,
            hosts,
            http,
            clock,
            codes: Throttle::default(),
            refreshes: Throttle::default(),
            revocations: Throttle::default(),
            app_tokens: Throttle::default(),
        })
    }

    /// The account's host if it is configured or freshly cached; asks nobody.
    pub(crate) fn known_host(&self, account: &AccountId) -> Option<SentinelHost> {
        match &self.hosts {
            Hosts::Configured(host) => Some(host.clone()),
            Hosts::Domains(domains) => domains.known(account),
        }
    }

    /// The account's host.
    ///
    /// A host once found serves on while the Domain API fails.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if the host was never found; the failure is shared for a second.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn host(&self, account: &AccountId) -> Result<SentinelHost, FetchError> {
        match &self.hosts {
            Hosts::Configured(host) => Ok(host.clone()),
            Hosts::Domains(domains) => domains.host(account).await,
        }
    }

    /// The URL that a browser is sent to (RFC 6749 §4.1.1, RFC 7636 §4.3).
    pub(crate) fn authorize_url(
        &self,
        host: &SentinelHost,
        account: &AccountId,
        state: &str,
        code_challenge: Option<&str>,
    ) -> String {
        let mut parameters = vec![
            ("v", "1.0"),
            ("response_type", "code"),
            ("client_id", &*self.client_id),
            ("redirect_uri", &*self.redirect_uri),
            ("state", state),
        ];
        if let Some(challenge) = code_challenge {
            parameters.push(("code_challenge", challenge));
            parameters.push(("code_challenge_method", "S256"));
        }
        authorize_url(host, account, &parameters)
    }

    /// Exchanges an authorization code for tokens (RFC 6749 §4.1.3).
    ///
    /// One `POST` at most, never sent again: a code works once (§4.1.2).
    ///
    /// # Errors
    ///
    /// [`TokenError`]; its [`is_unspent`](TokenError::is_unspent) speaks of the code.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a request already sent has used up the code.
    pub(crate) async fn exchange(
        &self,
        account: &AccountId,
        code: &AuthorizationCode,
        verifier: Option<&CodeVerifier>,
    ) -> Result<TokenSet, TokenError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &*self.redirect_uri),
        ];
        form.extend(self.credentials());
        form.extend(verifier.map(|verifier| ("code_verifier", verifier.expose_secret())));
        let url = |host: &_| token_url(host, account, self.token_api_version);
        self.tokens("exchange", &self.codes, account, url, &form).await
    }

    /// Presents a refresh token (RFC 6749 §6).
    ///
    /// One `POST` at most, never sent again: the token may be rotated by the first.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; its [`is_unspent`](TokenError::is_unspent) speaks of `token`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: tokens that a request already sent has won are lost.
    pub(crate) async fn refresh(
        &self,
        account: &AccountId,
        token: &RefreshToken,
    ) -> Result<TokenSet, TokenError> {
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
        form.extend(self.credentials());
        let url = |host: &_| token_url(host, account, self.token_api_version);
        self.tokens("refresh", &self.refreshes, account, url, &form).await
    }

    /// Asks for an App-JWT, the application's own token in an account (RFC 6749 §4.4.2).
    ///
    /// One `POST` at most; none while Sentinel wants to be left alone with them.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; asking again does no harm.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but nothing is kept.
    pub(crate) async fn app_token(&self, account: &AccountId) -> Result<TokenSet, TokenError> {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.credentials());
        let url = |host: &_| app_token_url(host, account);
        self.tokens("app_token", &self.app_tokens, account, url, &form).await
    }

    /// Revokes a refresh token: the user is logged out of **all** LivePerson applications.
    ///
    /// One `POST` at most; none while Sentinel wants to be left alone with revocations.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if Sentinel did not confirm it.
    ///
    /// # Cancel safety
    ///
    /// A request already sent has its effect.
    pub(crate) async fn revoke(
        &self,
        account: &AccountId,
        token: &RefreshToken,
    ) -> Result<(), TokenError> {
        let mut form = vec![("token", token.expose_secret())];
        form.extend(self.credentials());
        let started = self.clock.monotonic();
        if let Some(retry_after) = self.revocations.remaining(started) {
            return Err(TokenError::Throttled { retry_after });
        }
        let revoked = async {
            let host = self.token_host(account).await?;
            let url = revoke_url(&host, account);
            self.post_heedfully(&self.revocations, &host, &url, &form).await.map(drop)
        };
        let outcome = revoked.await;
        self.report("revoke", account, started, outcome.as_ref().err());
        outcome
    }

    /// Fetches the key set of a Sentinel, given as [`SentinelHost::as_str`].
    ///
    /// # Errors
    ///
    /// [`FetchError`] if no document came; that the server has none is no error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but nothing is kept.
    pub(crate) async fn jwks(&self, host: &str) -> Result<KeyDocument, FetchError> {
        let started = self.clock.monotonic();
        let error = match self.fetch_keys(host).await {
            Ok(document) => return Ok(document),
            Err(error) => error,
        };
        tracing::warn!(
            endpoint = "jwks",
            class = error.class(),
            status = error.status().map(|status| status.as_u16()),
            elapsed_ms = self.elapsed_ms(started),
            cause = %root_cause(&error),
            "the key set could not be fetched"
        );
        Err(error)
    }

    async fn fetch_keys(&self, host: &str) -> Result<KeyDocument, FetchError> {
        let origin = host.parse().map_err(FetchError::Origin)?;
        let url = jwks_url(&origin);
        match self.http.get(&origin, &url, MAX_KEY_DOCUMENT).await {
            Ok(document) => Ok(KeyDocument::Found(document)),
            Err(FetchError::Status(StatusCode::NOT_FOUND | StatusCode::GONE)) => {
                Ok(KeyDocument::Missing)
            }
            Err(error) => Err(error),
        }
    }

    /// In the body only, as documented: no `Authorization` header is ever sent.
    fn credentials(&self) -> [(&str, &str); 2] {
        [("client_id", &self.client_id), ("client_secret", self.client_secret.expose_secret())]
    }

    async fn tokens(
        &self,
        endpoint: &'static str,
        throttle: &Throttle,
        account: &AccountId,
        url: impl Fn(&SentinelHost) -> String,
        form: &[(&str, &str)],
    ) -> Result<TokenSet, TokenError> {
        let started = self.clock.monotonic();
        if let Some(retry_after) = throttle.remaining(started) {
            return Err(TokenError::Throttled { retry_after });
        }
        let outcome = self.request_tokens(throttle, account, url, form).await;
        self.report(endpoint, account, started, outcome.as_ref().err());
        outcome
    }

    async fn request_tokens(
        &self,
        throttle: &Throttle,
        account: &AccountId,
        url: impl Fn(&SentinelHost) -> String,
        form: &[(&str, &str)],
    ) -> Result<TokenSet, TokenError> {
        let host = self.token_host(account).await?;
        // Others may have been told to wait while the host was looked up.
        if let Some(retry_after) = throttle.remaining(self.clock.monotonic()) {
            return Err(TokenError::Throttled { retry_after });
        }
        let answer = self.post_heedfully(throttle, &host, &url(&host), form).await?;
        read_tokens(answer).await
    }

    async fn token_host(&self, account: &AccountId) -> Result<SentinelHost, TokenError> {
        let host = self.host(account).await;
        host.map_err(|error| TokenError::NotSent(Arc::new(error)))
    }

    /// Sends a form; a 429 holds back the calls of its kind.
    async fn post_heedfully(
        &self,
        throttle: &Throttle,
        host: &SentinelHost,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, TokenError> {
        self.post(host, url, form).await.inspect_err(|error| {
            if let TokenError::Throttled { retry_after } = error {
                throttle.hold(self.clock.monotonic(), *retry_after);
            }
        })
    }

    /// Sends a form; whatever is no success is an error.
    async fn post(
        &self,
        host: &SentinelHost,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, TokenError> {
        let answer = self.http.post(host.origin(), url, form).await?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers(), self.clock.now());
        if status.is_success() {
            Ok(answer)
        } else if status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = retry_after.unwrap_or(DEFAULT_PAUSE);
            Err(TokenError::Throttled { retry_after })
        } else if status.is_client_error() {
            let body = answer.body(MAX_TOKEN_ANSWER).await;
            let error = token::error_code(&body.bytes);
            Err(TokenError::Refused { error, status })
        } else {
            Err(TokenError::Server { status, retry_after })
        }
    }

    fn report(
        &self,
        endpoint: &'static str,
        account: &AccountId,
        started: Duration,
        error: Option<&TokenError>,
    ) {
        let Some(error) = error else { return };
        let code = match error {
            TokenError::Refused { error, .. } => Some(tracing::field::display(*error)),
            _ => None,
        };
        tracing::warn!(
            endpoint,
            %account,
            class = error.class(),
            status = error.status().map(|status| status.as_u16()),
            code,
            elapsed_ms = self.elapsed_ms(started),
            cause = %root_cause(error),
            "a call to sentinel failed"
        );
    }

    fn elapsed_ms(&self, started: Duration) -> u64 {
        let elapsed = self.clock.monotonic().saturating_sub(started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for SentinelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelClient")
            .field("client_id", &self.client_id)
            .field("hosts", &self.hosts)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

/// Reads the tokens of a success. What arrived before a connection broke counts if it is whole.
async fn read_tokens(answer: Answer) -> Result<TokenSet, TokenError> {
    let body = answer.body(MAX_TOKEN_ANSWER).await;
    match (token::parse(&body.bytes), body.end) {
        (_, BodyEnd::TooLarge) => {
            let too_large = MalformedAnswer::TooLarge(MAX_TOKEN_ANSWER);
            Err(TokenError::Malformed(too_large))
        }
        (Ok(tokens), _) => Ok(tokens),
        (Err(_), BodyEnd::Broken(cause)) => Err(TokenError::Unknown(cause)),
        (Err(malformed), BodyEnd::Complete) => Err(TokenError::Malformed(malformed)),
    }
}

#[cfg(test)]
mod tests;
