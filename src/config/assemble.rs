//! Makes a layer of checked settings.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use super::{
    builder::Builder,
    error::{ConfigError, Setting},
    validate::server,
};
use crate::{
    account::AccountId,
    caller::{CsrfPolicy, IgnoredSchemes, Rank},
    clock::Clock,
    error::{BoxError, BoxFuture},
    jwt::{BearerRules, BearerVerifier, FetchKeys, IdTokenRules, IdTokenVerifier, KeySetDocument},
    login::{DoubtfulClaims, Exchanges, LoginDesk, MAX_UNCLAIMING, ReturnGuard},
    middleware::{LpAuthLayer, Routes, Shared},
    refresh::{Depot, Keeper, Lifetimes, MAX_WAITING, Outbox, Tasks},
    seal::{Purpose, Sealer, VaultSealer},
    sentinel::{HttpSetupError, KeyDocument, SentinelClient, SentinelSettings},
    session::{Caches, CookieNames, KeyNames, Ledger, LedgerLimits, Mint, Sealers, Vault},
    telemetry::Telemetry,
};

impl Builder {
    /// Checks the settings and makes the layer. Does no I/O.
    ///
    /// Handles of metrics are made here, so install a recorder before.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and the remedy.
    pub fn build(self) -> Result<LpAuthLayer, ConfigError> {
        assemble(self)
    }

    /// Checks the settings of a client that signs nobody in, and makes it. Does no I/O.
    pub(crate) fn build_client(self) -> Result<AppClient, ConfigError> {
        self.check_client()?;
        let account = self.checked_account()?;
        let (client_id, client_secret) = self.checked_client()?;
        let sentinel = sentinel(&self, &client_id, client_secret)?;
        Ok(AppClient { sentinel, account, clock: self.clock })
    }
}

/// An application in its account, as its own.
pub(crate) struct AppClient {
    pub(crate) sentinel: Arc<SentinelClient>,
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<dyn Clock>,
}

fn assemble(builder: Builder) -> Result<LpAuthLayer, ConfigError> {
    builder.check_needed()?;
    let account = builder.checked_account()?;
    let (client_id, client_secret) = builder.checked_client()?;
    let site = builder.checked_site()?;
    let rules = builder.checked_rules(&site)?;
    let trusted = builder.checked_trusted_origins()?;
    let ignored_schemes = IgnoredSchemes::new(builder.checked_schemes()?);
    let issuer = builder.checked_issuer()?;
    builder.check_lifetimes()?;
    let secure = site.redirect_uri.scheme() == "https";
    let tag = redirect_tag(site.redirect_uri.as_str());
    let names = CookieNames::new(secure, &tag, builder.checked_cookie_name()?);
    let (cookie, token) = match builder.store {
        Some(_) => (Purpose::StoredSession, Purpose::StoredSessionToken),
        None => (Purpose::Session, Purpose::SessionToken),
    };
    let sealers = Sealers {
        cookie: Sealer::new(builder.checked_keys()?, cookie, &site.origin),
        token: Sealer::new(builder.checked_keys()?, token, &site.origin),
    };
    let login_sealer = Sealer::new(builder.checked_keys()?, Purpose::Login, &site.origin);
    let lifetimes = Lifetimes {
        idle: builder.idle_lifetime,
        absolute: builder.absolute_lifetime,
        refresh_after: builder.refresh_after,
    };
    let clock = Arc::clone(&builder.clock);
    let sentinel = sentinel(&builder, &client_id, client_secret)?;
    let keys = Arc::new(SentinelKeys(Arc::clone(&sentinel)));
    let id_token_rules = IdTokenRules {
        client_id: client_id.clone(),
        issuer,
        signature: builder.id_token_signature,
    };
    let telemetry = Telemetry::new();
    let key_names =
        KeyNames::new(builder.checked_key_prefix()?, site.redirect_uri.as_str(), &client_id);
    let depot = match builder.store.clone() {
        Some(store) => {
            let sealer = VaultSealer::new(builder.checked_keys()?);
            let vault =
                Vault::new(store, sealer, key_names, &client_id, lifetimes, telemetry.clone());
            Some(Depot::new(vault, builder.opened_sessions, builder.lease))
        }
        None => None,
    };
    if !secure {
        tracing::warn!(
            "the redirect URI is plain http: cookies go without `Secure` and `__Host-`, which is \
             for development only"
        );
    }
    let verifier = IdTokenVerifier::new(id_token_rules, keys, Arc::clone(&clock));
    let jwts = BearerRules {
        account: account.clone(),
        id_tokens: builder.id_token_bearers,
        apps: builder.checked_apps()?,
    };
    let any_jwt = jwts.id_tokens || !jwts.apps.is_empty();
    let jwts = any_jwt.then(|| Arc::new(BearerVerifier::new(jwts, &verifier)));
    let telemetry = Telemetry::new();
    let keeper = Arc::new(Keeper {
        rank: Rank::next(),
        verifier,
        clock,
        mint: Mint::new(
            sealers,
            names,
            site.redirect_uri.as_str(),
            &client_id,
            account.clone(),
            lifetimes,
        ),
        opened: Caches::new(builder.opened_sessions),
        session_tokens: builder.session_tokens,
        ledger: Ledger::new(LedgerLimits {
            entries: builder.ledger_entries,
            results: builder.ledger_results,
        }),
        depot,
        lifetimes,
        sentinel,
        revoke_on_logout: builder.revoke_on_logout,
        outbox: Arc::new(Outbox::new(MAX_WAITING, telemetry.clone())),
        on_session_end: builder.on_session_end,
        tasks: Tasks::new(),
        telemetry,
    });
    let desk = LoginDesk {
        keeper: Arc::clone(&keeper),
        guard: ReturnGuard::new(site.clone()),
        sealer: login_sealer,
        account,
        csrf: CsrfPolicy::new(&site.origin, trusted),
        pkce: builder.pkce,
        patience: builder.login_lifetime,
        doubtful_claims: DoubtfulClaims::default(),
        unclaiming: Arc::new(Semaphore::new(MAX_UNCLAIMING)),
        exchanges: Exchanges::new(builder.login_lifetime),
        on_login: builder.on_login,
        record_user_agent: builder.record_user_agent,
        site,
    };
    let routes = Routes::new(&desk.site, rules, builder.allow_preflight);
    Ok(LpAuthLayer::new(Arc::new(Shared {
        keeper,
        desk: Arc::new(desk),
        routes,
        ignored_schemes,
        jwts,
        responder: builder.responder,
        end_streams: builder.end_streams,
    })))
}

fn sentinel(
    builder: &Builder,
    client_id: &str,
    client_secret: crate::secret::ClientSecret,
) -> Result<Arc<SentinelClient>, ConfigError> {
    let domain_api = builder.domain_api_url.as_deref().unwrap_or(SentinelSettings::DOMAIN_API);
    let sentinel_url = builder.sentinel_url.as_deref();
    let mut host_suffixes = builder.checked_host_suffixes()?;
    if host_suffixes.is_empty() {
        host_suffixes = SentinelSettings::HOST_SUFFIXES.map(Into::into).to_vec();
    }
    let settings = SentinelSettings {
        client_id: client_id.into(),
        client_secret,
        redirect_uri: builder.redirect_uri.as_deref().unwrap_or_default().into(),
        sentinel_url: sentinel_url.map(|url| server(url, Setting::SentinelUrl)).transpose()?,
        domain_api_url: server(domain_api, Setting::DomainApiUrl)?,
        host_suffixes,
        token_api_version: builder.token_api_version,
        http: builder.http.clone(),
    };
    let client = SentinelClient::new(settings, Arc::clone(&builder.clock)).map_err(|error| {
        let setting = match error {
            HttpSetupError::CaCertificate => Setting::CaCertificate,
            HttpSetupError::Proxy => Setting::Proxy,
            HttpSetupError::Timeout => Setting::Timeout,
        };
        ConfigError::says(setting, &error)
    })?;
    Ok(Arc::new(client))
}

/// Six hex digits that tell applications on one host apart: cookies ignore ports.
fn redirect_tag(redirect_uri: &str) -> String {
    let hash = digest(&SHA256, redirect_uri.as_bytes());
    hash.as_ref().iter().take(3).map(|byte| format!("{byte:02x}")).collect()
}

/// id_token keys come from Sentinel.
struct SentinelKeys(Arc<SentinelClient>);

impl FetchKeys for SentinelKeys {
    fn fetch_keys<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<KeySetDocument, BoxError>> {
        Box::pin(async move {
            match self.0.jwks(host).await {
                Ok(KeyDocument::Found(bytes)) => Ok(KeySetDocument::Found(bytes)),
                Ok(KeyDocument::Missing) => Ok(KeySetDocument::Missing),
                Err(error) => Err(error.into()),
            }
        })
    }
}
