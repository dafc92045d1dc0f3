//! Reads settings from the environment's `LP_*` variables.

use std::{collections::HashMap, env, fs, time::Duration};

use zeroize::Zeroizing;

use super::{
    builder::Builder,
    error::{ConfigError, Setting},
};
use crate::secret::SessionKey;

/// The values of known variables, each taken once.
struct Variables(HashMap<Setting, String>);

impl Builder {
    /// See `LpAuthLayer::builder_from_env`.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        let all = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string())));
        let mut values = Vec::new();
        for (name, value) in all.filter(|(name, _)| name.starts_with("LP_")) {
            match (setting_of(&name), value) {
                (Some(setting), Ok(value)) => values.push((setting, value)),
                (Some(setting), Err(_)) => {
                    return Err(ConfigError::invalid(setting, "it is not valid UTF-8"));
                }
                (None, _) => warn_of_unknown(&name),
            }
        }
        Self::from_variables(values)
    }

    fn from_variables(
        values: impl IntoIterator<Item = (Setting, String)>,
    ) -> Result<Self, ConfigError> {
        let mut variables = Variables(values.into_iter().collect());
        if let Some((setting, _)) = variables.0.iter().find(|(_, value)| value.is_empty()) {
            return Err(ConfigError::invalid(*setting, "it is empty: set it or leave it out"));
        }
        let mut builder = Self::new();
        if let Some(url) = variables.take(Setting::RedisUrl) {
            builder = builder.redis(&Zeroizing::new(url))?;
        }
        builder.account = variables.take(Setting::Account);
        builder.client_id = variables.take(Setting::ClientId);
        builder.redirect_uri = variables.take(Setting::RedirectUri);
        builder.sentinel_url = variables.take(Setting::SentinelUrl);
        builder.domain_api_url = variables.take(Setting::DomainApiUrl);
        builder.issuer = variables.take(Setting::Issuer);
        if let Some(secret) = variables.secret()? {
            builder = builder.client_secret(secret.as_str());
        }
        if let Some(list) = variables.take(Setting::SessionKey) {
            let list = Zeroizing::new(list);
            for (index, key) in list.split(',').enumerate() {
                let key = SessionKey::from_base64(key.trim()).map_err(|error| {
                    let problem = format!("key {} of the list: {error}", index + 1);
                    ConfigError::invalid(Setting::SessionKey, problem)
                })?;
                builder = builder.session_key(key);
            }
        }
        if let Some(policy) = variables.parse(Setting::IdTokenSignature)? {
            builder = builder.id_token_signature(policy);
        }
        if let Some(version) = variables.parse(Setting::TokenApiVersion)? {
            builder = builder.token_api_version(version);
        }
        if let Some(seconds) = variables.take(Setting::RefreshAfter) {
            let problem = "write whole seconds, from 1 up: `1800`";
            let whole = seconds.bytes().all(|b| b.is_ascii_digit());
            let seconds = seconds.parse::<u64>().ok().filter(|seconds| whole && *seconds > 0);
            let seconds =
                seconds.ok_or_else(|| ConfigError::invalid(Setting::RefreshAfter, problem))?;
            builder = builder.refresh_after(Duration::from_secs(seconds));
        }
        if let Some(value) = variables.take(Setting::RevokeOnLogout) {
            let on = match &*value {
                "true" => true,
                "false" => false,
                _ => {
                    let problem = "write `true` or `false`";
                    return Err(ConfigError::invalid(Setting::RevokeOnLogout, problem));
                }
            };
            builder = builder.revoke_on_logout(on);
        }
        Ok(builder)
    }
}

impl Builder {
    #[cfg(feature = "redis")]
    fn redis(self, url: &str) -> Result<Self, ConfigError> {
        let store = crate::RedisStore::new(url)
            .map_err(|error| ConfigError::says(Setting::RedisUrl, &error))?;
        Ok(self.store(store))
    }

    #[cfg(not(feature = "redis"))]
    fn redis(self, _: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::Unsupported {
            setting: Setting::RedisUrl,
            remedy: "switch on the feature `redis` of tower-lp-auth, or leave the variable out",
        })
    }
}

impl Variables {
    fn take(&mut self, setting: Setting) -> Option<String> {
        self.0.remove(&setting)
    }

    fn parse<T>(&mut self, setting: Setting) -> Result<Option<T>, ConfigError>
    where
        T: std::str::FromStr<Err: std::error::Error>,
    {
        let parse = |text: String| text.parse().map_err(|error| ConfigError::says(setting, &error));
        self.take(setting).map(parse).transpose()
    }

    /// The client secret, from its own variable or from a file.
    fn secret(&mut self) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let inline = self.take(Setting::ClientSecret).map(Zeroizing::new);
        let Some(path) = self.take(Setting::ClientSecretFile) else { return Ok(inline) };
        if inline.is_some() {
            return Err(ConfigError::Conflict {
                setting: Setting::ClientSecret,
                other: Setting::ClientSecretFile,
                problem: "set one of them".into(),
            });
        }
        let text = fs::read_to_string(&path).map_err(|error| ConfigError::Invalid {
            setting: Setting::ClientSecretFile,
            problem: format!("the file at the path that it holds cannot be read: {error}"),
            source: None,
        })?;
        let text = Zeroizing::new(text);
        // One line break at the end is the editor's, not the secret's.
        let secret =
            text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.is_empty() {
            return Err(ConfigError::invalid(Setting::ClientSecretFile, "the file is empty"));
        }
        Ok(Some(Zeroizing::new(secret.to_owned())))
    }
}

fn setting_of(name: &str) -> Option<Setting> {
    Setting::VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, setting)| *setting)
}

/// A name that means nothing here is probably misspelt.
fn warn_of_unknown(name: &str) {
    let nearest = nearest(name);
    tracing::warn!(name, nearest, "unknown environment variable; did you mean the nearest one?");
}

/// The known name with the fewest differences.
fn nearest(name: &str) -> &'static str {
    let names = Setting::VARIABLES.iter().map(|(known, _)| *known);
    names.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

/// How many characters have to be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(128).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
