//! What LivePerson needs to know to install an application.

use serde::Serialize;
use url::Url;

use super::validate::redirect_uri;
use crate::loopback::is_secure;

/// The manifest of an application: the JSON with which LivePerson installs it, and gives it a client
/// id and secret. It is the first step of real use.
///
/// The format is that of LivePerson's page "Installing Conversational Cloud applications".
///
/// # Examples
///
/// ```
/// use tower_lp_auth::AppManifest;
///
/// let manifest = AppManifest::builder("com.example.desk", ["https://desk.example.com/callback"])
///     .display_name("Example Desk")
///     .build()?;
/// println!("{}", manifest.to_json());
/// # Ok::<(), tower_lp_auth::ManifestError>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct AppManifest {
    client_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    grant_types: [&'static str; 2],
    redirect_uris: Vec<String>,
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quick_launch_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enabled_for_profiles: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

/// Builds an [`AppManifest`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AppManifestBuilder {
    manifest: AppManifest,
}

/// A manifest that LivePerson would refuse, or that would not work with this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A member is empty.
    #[error("`{member}` is empty")]
    #[non_exhaustive]
    Empty {
        /// Which.
        member: &'static str,
    },
    /// A member is longer than LivePerson accepts.
    #[error("`{member}` has {length} characters, and LivePerson accepts at most {limit}")]
    #[non_exhaustive]
    TooLong {
        /// Which.
        member: &'static str,
        /// How many characters it has.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// There is no redirect URI.
    #[error(
        "`redirect_uris` is empty: name at least one, such as https://app.example.com/callback"
    )]
    NoRedirectUri,
    /// A redirect URI would not work with a layer.
    #[error("`redirect_uris` holds {value:?}: {problem}")]
    #[non_exhaustive]
    InvalidRedirectUri {
        /// Which.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// A redirect URI is listed twice.
    #[error("`redirect_uris` holds {value:?} twice")]
    #[non_exhaustive]
    RepeatedRedirectUri {
        /// Which.
        value: String,
    },
    /// A URI is not absolute, or neither https nor http on a loopback host.
    #[error("`{member}` holds {value:?}: use an absolute https URL (http for loopback hosts only)")]
    #[non_exhaustive]
    InvalidUri {
        /// Which.
        member: &'static str,
        /// What it holds.
        value: String,
    },
    /// Quick launch has nothing to launch, or nobody to launch it.
    #[error("`quick_launch_enabled` needs `entry_uri` and at least one of `enabled_for_profiles`")]
    QuickLaunch,
}

const SHORT: usize = 128;
const MIDDLE: usize = 256;
const LONG: usize = 1024;

impl AppManifest {
    /// Starts a manifest with what it needs.
    ///
    /// `client_name` is unique at LivePerson, in reverse-domain style: `com.example.desk`. Each of
    /// `redirect_uris` may serve as the `redirect_uri` of a layer.
    pub fn builder<I>(client_name: impl Into<String>, redirect_uris: I) -> AppManifestBuilder
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        AppManifestBuilder {
            manifest: Self {
                client_name: client_name.into(),
                display_name: None,
                description: None,
                grant_types: ["authorization_code", "refresh_token"],
                redirect_uris: redirect_uris.into_iter().map(Into::into).collect(),
                response_types: ["code"],
                scope: None,
                entry_uri: None,
                logo_uri: None,
                quick_launch_enabled: None,
                enabled_for_profiles: Vec::new(),
                enabled: None,
            },
        }
    }

    /// The JSON that LivePerson reads, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl AppManifestBuilder {
    /// The name that users see; at most 128 characters.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.manifest.display_name = Some(name.into());
        self
    }

    /// What the application is for; at most 256 characters.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.manifest.description = Some(text.into());
        self
    }

    /// Scopes, separated by spaces; at most 128 characters. Not needed to sign users in.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.manifest.scope = Some(scope.into());
        self
    }

    /// Where the application is launched from Conversational Cloud; at most 1,024 characters. The
    /// login path of the layer is a good choice.
    pub fn entry_uri(mut self, uri: impl Into<String>) -> Self {
        self.manifest.entry_uri = Some(uri.into());
        self
    }

    /// A logo of 70 by 70 pixels; at most 1,024 characters.
    pub fn logo_uri(mut self, uri: impl Into<String>) -> Self {
        self.manifest.logo_uri = Some(uri.into());
        self
    }

    /// Whether users can launch the application from Conversational Cloud. Needs
    /// [`entry_uri`](Self::entry_uri) and [`enabled_for_profiles`](Self::enabled_for_profiles).
    pub fn quick_launch_enabled(mut self, on: bool) -> Self {
        self.manifest.quick_launch_enabled = Some(on);
        self
    }

    /// The profiles whose users see the application; `[0, 1, 2, 3]` in practice.
    pub fn enabled_for_profiles(mut self, profiles: impl IntoIterator<Item = u32>) -> Self {
        self.manifest.enabled_for_profiles = profiles.into_iter().collect();
        self
    }

    /// Whether the installation starts out enabled; LivePerson's default is `true`.
    pub fn enabled(mut self, on: bool) -> Self {
        self.manifest.enabled = Some(on);
        self
    }

    /// Checks the manifest against LivePerson's limits.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] names the member and the limit.
    pub fn build(self) -> Result<AppManifest, ManifestError> {
        let manifest = self.manifest;
        text("client_name", Some(&manifest.client_name), SHORT)?;
        text("display_name", manifest.display_name.as_deref(), SHORT)?;
        text("description", manifest.description.as_deref(), MIDDLE)?;
        text("scope", manifest.scope.as_deref(), SHORT)?;
        if manifest.redirect_uris.is_empty() {
            return Err(ManifestError::NoRedirectUri);
        }
        for (index, uri) in manifest.redirect_uris.iter().enumerate() {
            text("redirect_uris", Some(uri), SHORT)?;
            let value = || uri.clone();
            redirect_uri(uri)
                .map_err(|problem| ManifestError::InvalidRedirectUri { value: value(), problem })?;
            if manifest.redirect_uris[..index].contains(uri) {
                return Err(ManifestError::RepeatedRedirectUri { value: value() });
            }
        }
        uri("entry_uri", manifest.entry_uri.as_deref(), LONG)?;
        uri("logo_uri", manifest.logo_uri.as_deref(), LONG)?;
        let launchable = manifest.entry_uri.is_some() && !manifest.enabled_for_profiles.is_empty();
        if manifest.quick_launch_enabled == Some(true) && !launchable {
            return Err(ManifestError::QuickLaunch);
        }
        Ok(manifest)
    }
}

fn text(member: &'static str, value: Option<&str>, limit: usize) -> Result<(), ManifestError> {
    let Some(value) = value else { return Ok(()) };
    if value.trim().is_empty() {
        return Err(ManifestError::Empty { member });
    }
    let length = value.chars().count();
    if length > limit {
        return Err(ManifestError::TooLong { member, length, limit });
    }
    Ok(())
}

fn uri(member: &'static str, value: Option<&str>, limit: usize) -> Result<(), ManifestError> {
    let Some(value) = value else { return Ok(()) };
    text(member, Some(value), limit)?;
    let usable = Url::parse(value).is_ok_and(|url| is_secure(&url));
    if !usable {
        return Err(ManifestError::InvalidUri { member, value: value.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "https://app.example.com/callback";

    fn start() -> AppManifestBuilder {
        AppManifest::builder("com.example.app", [CALLBACK])
    }

    #[test]
    fn a_name_and_a_redirect_uri_are_enough() {
        let json = start().build().unwrap().to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "client_name": "com.example.app",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [CALLBACK],
            "response_types": ["code"],
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn every_optional_member_has_its_place() {
        let manifest = start()
            .display_name("App")
            .description("Does things")
            .scope("msg.consumer")
            .entry_uri("https://app.example.com/login")
            .logo_uri("https://app.example.com/logo.png")
            .enabled_for_profiles([0, 1, 2, 3])
            .quick_launch_enabled(true)
            .enabled(false);
        let value = serde_json::to_value(manifest.build().unwrap()).unwrap();
        assert_eq!(value["enabled_for_profiles"], serde_json::json!([0, 1, 2, 3]));
        assert_eq!(value["quick_launch_enabled"], true);
        assert_eq!(value["enabled"], false);
        assert_eq!(value["entry_uri"], "https://app.example.com/login");
    }

    #[test]
    fn what_liveperson_would_refuse_is_refused_with_its_limit() {
        let long = |length| "x".repeat(length);
        let url = |length: usize| format!("https://a.example/{}", long(length - 18));
        let fits = [
            start().display_name(long(128)),
            start().description(long(256)),
            start().entry_uri(url(1024)),
            AppManifest::builder(long(128), [url(128)]),
            AppManifest::builder("x", ["http://127.0.0.1:3000/callback"]),
        ];
        for builder in fits {
            assert!(builder.clone().build().is_ok(), "{builder:?}");
        }
        let too_long = |member, length, limit| ManifestError::TooLong { member, length, limit };
        let invalid =
            |member, value: &str| ManifestError::InvalidUri { member, value: value.into() };
        let table = [
            (AppManifest::builder("", [CALLBACK]), ManifestError::Empty { member: "client_name" }),
            (AppManifest::builder("x", [""; 0]), ManifestError::NoRedirectUri),
            (AppManifest::builder(long(129), [CALLBACK]), too_long("client_name", 129, 128)),
            (start().display_name(long(129)), too_long("display_name", 129, 128)),
            (start().description(long(257)), too_long("description", 257, 256)),
            (start().scope(long(129)), too_long("scope", 129, 128)),
            (start().entry_uri(url(1025)), too_long("entry_uri", 1025, 1024)),
            (AppManifest::builder("x", [url(129)]), too_long("redirect_uris", 129, 128)),
            (start().entry_uri("/login"), invalid("entry_uri", "/login")),
            (start().logo_uri("http://a.example/x"), invalid("logo_uri", "http://a.example/x")),
            (
                AppManifest::builder("x", [CALLBACK, CALLBACK]),
                ManifestError::RepeatedRedirectUri { value: CALLBACK.into() },
            ),
            (start().quick_launch_enabled(true), ManifestError::QuickLaunch),
        ];
        for (builder, expected) in table {
            assert_eq!(builder.build().unwrap_err(), expected);
        }
        for uri in
            ["/callback", "http://a.example/cb", "https://a.example/", "https://a.example/c#x"]
        {
            let error = AppManifest::builder("x", [uri]).build().unwrap_err();
            assert!(matches!(error, ManifestError::InvalidRedirectUri { .. }), "{uri}: {error}");
        }
    }
}
