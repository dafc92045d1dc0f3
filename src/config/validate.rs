//! Checks settings one by one and against each other.

use std::time::Duration;

use url::{Host, Url};

use super::{
    builder::Builder,
    error::{ConfigError, Setting},
};
use crate::{
    account::AccountId,
    caller::{Access, PathRules},
    login::ReturnGuard,
    loopback::is_secure,
    secret::{ClientSecret, SessionKey},
    sentinel::ServerOrigin,
    site::{Site, is_origin},
};

/// LivePerson's limit for a redirect URI.
const MAX_REDIRECT_URI: usize = 128;

/// Bounds that keep arithmetic and cookies sane (RFC 6265bis caps a Max-Age at 400 days).
const LONGEST_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);
const LONGEST_LOGIN: Duration = Duration::from_secs(60 * 60);

/// What every layer needs, and where its value comes from; the first of it is
/// [what a client needs](CLIENT).
const NEEDED: [(Setting, &str); 5] = [
    (Setting::Account, "it is the account (site) id that users see in Conversational Cloud"),
    (Setting::ClientId, "LivePerson shows it where the application is installed"),
    (Setting::ClientSecret, "LivePerson shows it where the application is installed"),
    (
        Setting::RedirectUri,
        "it is one of the redirect URIs that the application was installed with",
    ),
    (Setting::SessionKey, "make one with `openssl rand -base64 32`"),
];

/// How much of [`NEEDED`] is needed to ask Sentinel for the application's own token.
const CLIENT: usize = 3;

impl Builder {
    /// Names all that is missing at once.
    pub(super) fn check_needed(&self) -> Result<(), ConfigError> {
        self.check_set(&NEEDED)
    }

    /// The same for a client that signs nobody in.
    pub(super) fn check_client(&self) -> Result<(), ConfigError> {
        self.check_set(&NEEDED[..CLIENT])
    }

    fn check_set(&self, needed: &[(Setting, &'static str)]) -> Result<(), ConfigError> {
        let is_missing = |setting: &Setting| match setting {
            Setting::Account => self.account.is_none(),
            Setting::ClientId => self.client_id.is_none(),
            Setting::ClientSecret => self.client_secret.is_none(),
            Setting::RedirectUri => self.redirect_uri.is_none(),
            _ => self.session_keys.is_empty(),
        };
        let mut missing = needed.iter().filter(|(setting, _)| is_missing(setting));
        let Some(&(setting, remedy)) = missing.next() else { return Ok(()) };
        let also = missing.map(|(setting, _)| *setting).collect();
        Err(ConfigError::Missing { setting, remedy, also })
    }

    pub(super) fn checked_account(&self) -> Result<AccountId, ConfigError> {
        let text = self.account.as_deref().unwrap_or_default();
        text.parse().map_err(|error| ConfigError::says(Setting::Account, &error))
    }

    pub(super) fn checked_client(&self) -> Result<(Box<str>, ClientSecret), ConfigError> {
        let id = self.client_id.as_deref().unwrap_or_default();
        if id.is_empty() || id.len() > 256 || !id.bytes().all(|b| b.is_ascii_graphic()) {
            let problem = "a client id is a UUID, without spaces";
            return Err(ConfigError::invalid(Setting::ClientId, problem));
        }
        let secret = self.client_secret.clone().unwrap_or_else(|| ClientSecret::new(""));
        let text = secret.expose_secret();
        if text.is_empty() {
            return Err(ConfigError::invalid(Setting::ClientSecret, "it is empty"));
        }
        // RFC 6749 Appendix A.2.
        if text.trim() != text || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            let problem =
                "it has spaces or line breaks around it, or characters that no secret has";
            return Err(ConfigError::invalid(Setting::ClientSecret, problem));
        }
        Ok((id.into(), secret))
    }

    pub(super) fn checked_keys(&self) -> Result<&[SessionKey], ConfigError> {
        let keys = &self.session_keys;
        let repeated = keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key));
        if repeated {
            let problem = "the same key is listed twice: the first seals, all open";
            return Err(ConfigError::invalid(Setting::SessionKey, problem));
        }
        Ok(keys)
    }

    pub(super) fn checked_site(&self) -> Result<Site, ConfigError> {
        let text = self.redirect_uri.as_deref().unwrap_or_default();
        let redirect_uri = redirect_uri(text)
            .map_err(|problem| ConfigError::invalid(Setting::RedirectUri, problem))?;
        let prefix = self.checked_prefix()?;
        let outside = || {
            let problem = format!(
                "the path of the redirect URI, {:?}, does not begin with the prefix",
                redirect_uri.path()
            );
            ConfigError::invalid(Setting::ExternalPrefix, problem)
        };
        let callback = redirect_uri.path().strip_prefix(prefix).ok_or_else(outside)?;
        if !callback.starts_with('/') {
            return Err(outside());
        }
        let login = own_path(&self.login_path, Setting::LoginPath)?;
        let logout = own_path(&self.logout_path, Setting::LogoutPath)?;
        let own = [
            (callback, Setting::RedirectUri),
            (login, Setting::LoginPath),
            (logout, Setting::LogoutPath),
        ];
        for (index, (path, setting)) in own.iter().enumerate() {
            if let Some((_, other)) = own[..index].iter().find(|(earlier, _)| earlier == path) {
                let problem = format!("both are {path:?}: each needs a path of its own");
                return Err(ConfigError::Conflict { setting: *setting, other: *other, problem });
            }
        }
        let mut site = Site {
            origin: redirect_uri.origin().ascii_serialization().into(),
            callback_path: callback.into(),
            prefix: prefix.into(),
            login_path: login.into(),
            logout_path: logout.into(),
            landing: "/".into(),
            after_logout: None,
            redirect_uri,
        };
        let guard = ReturnGuard::new(site.clone());
        let target = |path: &str, setting| {
            guard.check(&site.external(path)).map(|path| path.as_str().into()).ok_or_else(|| {
                let problem = "it has to be a path of the application itself, such as `/`";
                ConfigError::invalid(setting, problem)
            })
        };
        let landing = target(&self.landing, Setting::Landing)?;
        let after_logout = match &self.after_logout {
            Some(path) => Some(target(path, Setting::AfterLogout)?),
            None => self.landing_is_open().then(|| Box::clone(&landing)),
        };
        site.landing = landing;
        site.after_logout = after_logout;
        Ok(site)
    }

    /// Whether the landing page does not ask for a session.
    fn landing_is_open(&self) -> bool {
        let path = self.landing.split(['?', '#']).next().unwrap_or_default();
        self.rules.access(&http::Method::GET, path) != Access::Protected
    }

    fn checked_prefix(&self) -> Result<&str, ConfigError> {
        let prefix = &*self.external_prefix;
        if prefix.is_empty() {
            return Ok(prefix);
        }
        if prefix.ends_with('/') {
            let problem = "it must not end with a slash: `/app`";
            return Err(ConfigError::invalid(Setting::ExternalPrefix, problem));
        }
        own_path(prefix, Setting::ExternalPrefix)
    }

    /// The path rules, none of which may be without effect.
    pub(super) fn checked_rules(&self, site: &Site) -> Result<PathRules, ConfigError> {
        for (access, path) in &self.rule_paths {
            let setting = rule_setting(*access);
            if !path.starts_with('/') {
                let problem = format!("{path:?} does not begin with a slash");
                return Err(ConfigError::invalid(setting, problem));
            }
            let mut probe = PathRules::default();
            probe.add_exact(path, Access::Public);
            let is_plain = probe.access(&http::Method::GET, path) == Access::Public;
            let is_pattern = path.contains(['*', '{', '}']) || path.contains("/:");
            if is_pattern {
                let problem = format!(
                    "{path:?} is taken literally, not as a pattern: for a path and everything below \
                     it there are `public_under` and `optional_under`"
                );
                return Err(ConfigError::invalid(setting, problem));
            }
            if !is_plain || path.contains(['?', '#']) {
                let problem = format!(
                    "{path:?} would never match: write it without `%`, `\\`, `;`, `?`, `#`, `//` and \
                     dot segments"
                );
                return Err(ConfigError::invalid(setting, problem));
            }
            let own = [
                (&site.callback_path, "the redirect URI's"),
                (&site.login_path, "the login's"),
                (&site.logout_path, "the logout's"),
            ];
            if let Some((_, whose)) = own.iter().find(|(own, _)| ***own == *path.as_str()) {
                let problem = format!("{path:?} is {whose}, which the layer answers itself");
                return Err(ConfigError::invalid(setting, problem));
            }
        }
        if let Some(path) = self.rules.conflict() {
            let problem = format!("{path:?} is declared both");
            let (setting, other) = (Setting::Public, Setting::Optional);
            return Err(ConfigError::Conflict { setting, other, problem });
        }
        Ok(self.rules.clone())
    }

    pub(super) fn checked_key_prefix(&self) -> Result<&str, ConfigError> {
        let visible = self.key_prefix.bytes().all(|b| b.is_ascii_graphic());
        if !visible || self.key_prefix.len() > 64 {
            let problem = "use at most 64 visible ASCII characters";
            return Err(ConfigError::invalid(Setting::KeyPrefix, problem));
        }
        Ok(&self.key_prefix)
    }

    pub(super) fn checked_cookie_name(&self) -> Result<Option<&str>, ConfigError> {
        let Some(name) = self.cookie_name.as_deref() else { return Ok(None) };
        let lower = name.to_ascii_lowercase();
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let problem = if lower.starts_with("__host-") || lower.starts_with("__secure-") {
            "leave out the prefix: it is added on https"
        } else if name.is_empty() || name.len() > 64 || !name.bytes().all(is_token) {
            "use 1 to 64 letters, digits, `_` or `-`"
        } else if lower.starts_with("lp_login_") {
            "it would be taken for a pending login's"
        } else {
            return Ok(Some(name));
        };
        Err(ConfigError::invalid(Setting::CookieName, problem))
    }

    pub(super) fn checked_trusted_origins(&self) -> Result<Vec<Box<str>>, ConfigError> {
        let origin = |text: &String| {
            let url = Url::parse(text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && is_origin(url));
            let invalid = || {
                let problem =
                    format!("{text:?} is no origin: write `https://host` or `https://host:port`");
                ConfigError::invalid(Setting::TrustedOrigin, problem)
            };
            url.map(|url| url.origin().ascii_serialization().into()).ok_or_else(invalid)
        };
        self.trusted_origins.iter().map(origin).collect()
    }

    pub(super) fn checked_apps(&self) -> Result<Box<[Box<str>]>, ConfigError> {
        let app = |client_id: &String| {
            if client_id.is_empty() || !client_id.bytes().all(|b| b.is_ascii_graphic()) {
                let problem = "a client id is a UUID that LivePerson has assigned";
                return Err(ConfigError::invalid(Setting::Apps, problem));
            }
            Ok(client_id.as_str().into())
        };
        self.apps.iter().map(app).collect()
    }

    pub(super) fn checked_schemes(&self) -> Result<Vec<Box<str>>, ConfigError> {
        let scheme = |name: &String| {
            let problem = if name.eq_ignore_ascii_case("bearer") {
                "`Bearer` decides who is calling and cannot be ignored"
            } else if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                "a scheme is one word, such as `Basic`"
            } else {
                return Ok(name.as_str().into());
            };
            Err(ConfigError::invalid(Setting::IgnoredSchemes, problem))
        };
        self.ignored_schemes.iter().map(scheme).collect()
    }

    /// N08: a login is shorter than a session, idling no longer than living.
    pub(super) fn check_lifetimes(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let bounded = |value: Duration, most: Duration, setting| {
            if (second..=most).contains(&value) {
                return Ok(());
            }
            let problem =
                format!("{} s is not between 1 s and {} s", value.as_secs(), most.as_secs());
            Err(ConfigError::invalid(setting, problem))
        };
        bounded(self.absolute_lifetime, LONGEST_LIFETIME, Setting::AbsoluteLifetime)?;
        bounded(self.idle_lifetime, LONGEST_LIFETIME, Setting::IdleLifetime)?;
        bounded(self.login_lifetime, LONGEST_LOGIN, Setting::LoginLifetime)?;
        bounded(self.refresh_after, Duration::MAX, Setting::RefreshAfter)?;
        let conflict = |setting, problem: &str| ConfigError::Conflict {
            setting,
            other: Setting::AbsoluteLifetime,
            problem: problem.into(),
        };
        if self.idle_lifetime > self.absolute_lifetime {
            return Err(conflict(
                Setting::IdleLifetime,
                "a session cannot idle longer than it lives",
            ));
        }
        if self.login_lifetime >= self.absolute_lifetime {
            return Err(conflict(
                Setting::LoginLifetime,
                "a login has to be shorter than the session it makes",
            ));
        }
        let limits = [
            (self.ledger_entries, Setting::LedgerEntries),
            (self.ledger_results, Setting::LedgerResults),
            (self.opened_sessions, Setting::OpenedSessions),
        ];
        match limits.into_iter().find(|(limit, _)| *limit == 0) {
            Some((_, setting)) => Err(ConfigError::invalid(setting, "it has to be at least 1")),
            None => Ok(()),
        }
    }

    pub(super) fn checked_issuer(&self) -> Result<Option<Box<str>>, ConfigError> {
        match self.issuer.as_deref() {
            Some("") => Err(ConfigError::invalid(Setting::Issuer, "it is empty: leave it out")),
            issuer => Ok(issuer.map(Into::into)),
        }
    }

    pub(super) fn checked_host_suffixes(&self) -> Result<Vec<Box<str>>, ConfigError> {
        let suffix = |text: &String| {
            let name = text.trim_start_matches('.').to_ascii_lowercase();
            match Host::parse(&name) {
                Ok(Host::Domain(domain)) if domain.contains('.') => Ok(domain.into()),
                _ => {
                    let problem = format!("{text:?} is no domain: write `example.com`");
                    Err(ConfigError::invalid(Setting::HostSuffix, problem))
                }
            }
        };
        self.host_suffixes.iter().map(suffix).collect()
    }
}

pub(super) fn server(text: &str, setting: Setting) -> Result<ServerOrigin, ConfigError> {
    text.parse().map_err(|error| ConfigError::says(setting, &error))
}

/// N02.
pub(super) fn redirect_uri(text: &str) -> Result<Url, &'static str> {
    let invalid = |problem| Err(problem);
    let Ok(url) = Url::parse(text) else {
        return invalid("it is no absolute URL: write `https://app.example.com/callback`");
    };
    let problem = match url.scheme() {
        _ if is_secure(&url) => None,
        "http" => Some("plain http is for loopback hosts only: use https"),
        _ => Some(
            "it has to begin with https:// (or http://localhost or another loopback host, for \
             development)",
        ),
    };
    if let Some(problem) = problem {
        return invalid(problem);
    }
    if text.len() > MAX_REDIRECT_URI {
        return invalid("LivePerson accepts at most 128 characters");
    }
    if text.contains('*') {
        return invalid("wildcards are not possible: it has to be the registered URL itself");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return invalid("leave out query and fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("leave out user name and password");
    }
    if url.path() == "/" {
        return invalid("it needs a path of its own, such as `/callback`");
    }
    if url[..url::Position::AfterPath] != *text {
        return invalid(
            "write it as browsers do: lower-case host, no default port, no dot segments, nothing \
             that needs encoding",
        );
    }
    Ok(url)
}

/// A path that the layer answers itself: matched exactly, so nothing ambiguous.
fn own_path(path: &str, setting: Setting) -> Result<&str, ConfigError> {
    let mut rules = PathRules::default();
    rules.add_exact(path, Access::Public);
    let plain = rules.access(&http::Method::GET, path) == Access::Public;
    if !plain
        || path.len() < 2
        || !path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>`{}|^".contains(&b))
    {
        let problem = format!("{path:?} is no plain path: write `/name`, without encoding");
        return Err(ConfigError::invalid(setting, problem));
    }
    Ok(path)
}

fn rule_setting(access: Access) -> Setting {
    if access == Access::Optional { Setting::Optional } else { Setting::Public }
}

#[cfg(test)]
mod tests;
