//! What can be wrong with a configuration, and how to mend it.

use std::fmt;

use crate::error::BoxError;

/// A configuration that cannot work, found before the first request.
///
/// Its text names the setting, as the builder and the environment call it, and the remedy; it never
/// holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting that is needed is missing.
    #[error("{setting} is missing: {remedy}{}", AlsoMissing(also))]
    #[non_exhaustive]
    Missing {
        /// Which.
        setting: Setting,
        /// Where its value comes from.
        remedy: &'static str,
        /// What else is missing.
        also: Vec<Setting>,
    },
    /// A setting has a value that cannot be used.
    #[error("{setting} cannot be used: {problem}")]
    #[non_exhaustive]
    Invalid {
        /// Which.
        setting: Setting,
        /// What is wrong, and what would be right.
        problem: String,
        /// What lies beneath.
        #[source]
        source: Option<BoxError>,
    },
    /// Two settings contradict each other.
    #[error("{setting} and {other} contradict each other: {problem}")]
    #[non_exhaustive]
    Conflict {
        /// One.
        setting: Setting,
        /// The other.
        other: Setting,
        /// How, and what would be right.
        problem: String,
    },
    /// This build of the crate cannot honour a setting.
    #[error("{setting} cannot be honoured by this build: {remedy}")]
    #[non_exhaustive]
    Unsupported {
        /// Which.
        setting: Setting,
        /// What to do instead.
        remedy: &'static str,
    },
}

/// The rest of a list that has begun with another setting.
struct AlsoMissing<'a>(&'a [Setting]);

impl fmt::Display for AlsoMissing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, setting) in self.0.iter().enumerate() {
            let before = if index == 0 { "; missing too: " } else { ", " };
            write!(f, "{before}{setting}")?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// The setting to mend.
    #[must_use]
    pub fn setting(&self) -> Setting {
        match self {
            Self::Missing { setting, .. }
            | Self::Invalid { setting, .. }
            | Self::Conflict { setting, .. }
            | Self::Unsupported { setting, .. } => *setting,
        }
    }

    pub(super) fn invalid(setting: Setting, problem: impl Into<String>) -> Self {
        Self::Invalid { setting, problem: problem.into(), source: None }
    }

    /// The problem is what `source` says; it is not repeated as a source.
    pub(super) fn says(setting: Setting, source: &dyn std::error::Error) -> Self {
        Self::invalid(setting, source.to_string())
    }
}

/// Declares the settings with their names in the builder and, where they have one, the environment.
macro_rules! settings {
    ($($name:ident = $setter:literal $(, $variable:literal)?;)+) => {
        /// A setting, named as the builder's method and the environment's variable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Setting {
            $(
                #[doc = concat!("`", $setter, "`" $(, " (`", $variable, "`)")?)]
                $name,
            )+
        }

        impl Setting {
            /// All variables of the environment that mean something, with their settings.
            pub(super) const VARIABLES: &[(&str, Self)] = &[$($(($variable, Self::$name),)?)+];

            /// The builder's method.
            #[must_use]
            pub const fn setter(self) -> &'static str {
                match self { $(Self::$name => $setter,)+ }
            }
        }
    };
}

settings! {
    Account = "account", "LP_ACCOUNT_ID";
    ClientId = "client_id", "LP_CLIENT_ID";
    ClientSecret = "client_secret", "LP_CLIENT_SECRET";
    ClientSecretFile = "client_secret", "LP_CLIENT_SECRET_FILE";
    RedirectUri = "redirect_uri", "LP_REDIRECT_URI";
    SessionKey = "session_key", "LP_SESSION_KEY";
    SentinelUrl = "sentinel_url", "LP_SENTINEL_URL";
    DomainApiUrl = "domain_api_url", "LP_DOMAIN_API_URL";
    Issuer = "issuer", "LP_ISSUER";
    IdTokenSignature = "id_token_signature", "LP_ID_TOKEN_SIGNATURE";
    TokenApiVersion = "token_api_version", "LP_TOKEN_API_VERSION";
    RefreshAfter = "refresh_after", "LP_REFRESH_AFTER";
    RevokeOnLogout = "revoke_on_logout", "LP_REVOKE_ON_LOGOUT";
    RedisUrl = "store", "LP_REDIS_URL";
    KeyPrefix = "key_prefix";
    Public = "public";
    Optional = "optional";
    LoginPath = "login_path";
    LogoutPath = "logout_path";
    Landing = "landing";
    AfterLogout = "after_logout";
    CookieName = "cookie_name";
    TrustedOrigin = "trusted_origin";
    ExternalPrefix = "external_prefix";
    IgnoredSchemes = "ignore_authorization_schemes";
    Apps = "allow_app";
    IdleLifetime = "idle_lifetime";
    AbsoluteLifetime = "absolute_lifetime";
    LoginLifetime = "login_lifetime";
    HostSuffix = "sentinel_host_suffix";
    CaCertificate = "ca_certificate";
    Proxy = "proxy";
    Timeout = "connect_timeout or request_timeout";
    LedgerEntries = "ledger_entries";
    LedgerResults = "ledger_results";
    OpenedSessions = "opened_sessions";
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.setter())?;
        match Self::VARIABLES.iter().find(|(_, setting)| setting == self) {
            Some((variable, _)) => write!(f, " ({variable})"),
            None => Ok(()),
        }
    }
}
