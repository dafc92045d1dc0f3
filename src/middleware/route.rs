//! Where a request goes, from its method and raw path alone.

use http::{
    HeaderMap, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};

use crate::{
    caller::{Access, PathRules},
    site::Site,
};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Public,
    Optional,
    Protected,
    Callback,
    Login,
    Logout,
}

/// The routes of one layer: our own paths first, then the configured ones.
#[derive(Clone)]
pub(crate) struct Routes {
    callback: Box<str>,
    login: Box<str>,
    logout: Box<str>,
    rules: PathRules,
    allow_preflight: bool,
}

impl Routes {
    pub(crate) fn new(site: &Site, rules: PathRules, allow_preflight: bool) -> Self {
        Self {
            callback: site.callback_path.clone(),
            login: site.login_path.clone(),
            logout: site.logout_path.clone(),
            rules,
            allow_preflight,
        }
    }

    #[inline]
    pub(crate) fn route(&self, method: &Method, path: &str) -> Route {
        if *path == *self.callback {
            Route::Callback
        } else if *path == *self.login {
            Route::Login
        } else if *path == *self.logout {
            Route::Logout
        } else {
            match self.rules.access(method, path) {
                Access::Public => Route::Public,
                Access::Optional => Route::Optional,
                Access::Protected => Route::Protected,
            }
        }
    }

    /// Whether a request is a CORS preflight (W3C Fetch) that configuration lets pass: browsers send
    /// it without credentials.
    pub(crate) fn passes_as_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        self.allow_preflight
            && method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::tests::site;

    /// J13, J14.
    #[test]
    fn our_own_paths_are_exact_and_shadow_the_applications() {
        let mut rules = PathRules::default();
        rules.add_under("/", Access::Public);
        let routes = Routes::new(&site("https://rp.example/callback", ""), rules, false);
        for (path, expected) in [
            ("/callback", Route::Callback),
            ("/login", Route::Login),
            ("/logout", Route::Logout),
            ("/login/", Route::Public),
            ("/LOGIN", Route::Public),
            ("/log%69n", Route::Protected),
        ] {
            assert_eq!(routes.route(&Method::GET, path), expected, "{path}");
        }
    }

    /// J07.
    #[test]
    fn only_a_real_preflight_passes_and_only_if_allowed() {
        let site = site("https://rp.example/callback", "");
        let preflight: HeaderMap = [
            (ORIGIN, "https://spa.example".parse().unwrap()),
            (ACCESS_CONTROL_REQUEST_METHOD, "PUT".parse().unwrap()),
        ]
        .into_iter()
        .collect();
        for (allowed, method, headers, passes) in [
            (true, Method::OPTIONS, preflight.clone(), true),
            (false, Method::OPTIONS, preflight.clone(), false),
            (true, Method::GET, preflight, false),
            (true, Method::OPTIONS, HeaderMap::new(), false),
        ] {
            let routes = Routes::new(&site, PathRules::default(), allowed);
            assert_eq!(routes.passes_as_preflight(&method, &headers), passes);
        }
    }
}
