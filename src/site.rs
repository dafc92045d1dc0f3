//! Where the application lives, as its users' browsers see it: origin, prefix and our own paths.

use url::Url;

/// The addresses of one layer. Paths as the layer sees them are *internal*; a proxy may have
/// stripped [`Site::prefix`] from what the browser sees, the *external* path.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) redirect_uri: Url,
    /// `scheme://host[:port]` of the redirect URI.
    pub(crate) origin: Box<str>,
    /// What a proxy strips: empty, or a path that begins with a slash and does not end with one.
    pub(crate) prefix: Box<str>,
    pub(crate) callback_path: Box<str>,
    pub(crate) login_path: Box<str>,
    pub(crate) logout_path: Box<str>,
    /// External: where a login goes that has no return path.
    pub(crate) landing: Box<str>,
    /// External: where a logout goes; `None` for a page of ours.
    pub(crate) after_logout: Option<Box<str>>,
}

impl Site {
    /// The external path of an internal one.
    pub(crate) fn external(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The external URL (path and query) that starts a login and comes back to `return_to`.
    pub(crate) fn login_link(&self, return_to: Option<&str>) -> String {
        self.link_with_return(&self.login_path, return_to)
    }

    /// The same for a logout.
    pub(crate) fn logout_link(&self, return_to: Option<&str>) -> String {
        self.link_with_return(&self.logout_path, return_to)
    }

    fn link_with_return(&self, path: &str, return_to: Option<&str>) -> String {
        let mut link = self.external(path);
        if let Some(return_to) = return_to {
            link.push('?');
            url::form_urlencoded::Serializer::for_suffix(
                &mut link,
                path.len() + self.prefix.len() + 1,
            )
            .append_pair("return_to", return_to);
        }
        link
    }

    /// Whether an external path is one of ours, in whatever case and with slashes at its end: a
    /// login must not come back to it.
    pub(crate) fn is_own(&self, path: &str) -> bool {
        let Some(internal) = path.strip_prefix(&*self.prefix) else { return false };
        let internal = internal.trim_end_matches('/');
        [&self.callback_path, &self.login_path, &self.logout_path]
            .iter()
            .any(|own| own.trim_end_matches('/').eq_ignore_ascii_case(internal))
    }
}

/// Whether a URL is an origin (RFC 6454 §4) and nothing more.
pub(crate) fn is_origin(url: &Url) -> bool {
    url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn site(redirect_uri: &str, prefix: &str) -> Site {
        let redirect_uri = Url::parse(redirect_uri).unwrap();
        Site {
            origin: redirect_uri.origin().ascii_serialization().into(),
            callback_path: redirect_uri.path().strip_prefix(prefix).unwrap().into(),
            redirect_uri,
            prefix: prefix.into(),
            login_path: "/login".into(),
            logout_path: "/logout".into(),
            landing: format!("{prefix}/").into(),
            after_logout: None,
        }
    }

    #[test]
    fn links_carry_the_prefix_and_one_encoded_parameter() {
        let site = site("https://rp.example/app/callback", "/app");
        assert_eq!(site.login_link(None), "/app/login");
        assert_eq!(
            site.login_link(Some("/app/a?b=1&c=2")),
            "/app/login?return_to=%2Fapp%2Fa%3Fb%3D1%26c%3D2"
        );
    }
}
