//! A cookie jar faithful to RFC 6265bis, as far as one host needs it.

/// Cookies of one browser for one host.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<(String, String)>,
}

impl Jar {
    /// The `Cookie` header, if there are cookies.
    pub fn header(&self) -> Option<String> {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes a `Set-Cookie` line in. Lines of more than 4,096 bytes are dropped, as browsers do;
    /// `__Host-` needs `Secure`, `Path=/` and no `Domain`.
    pub fn set(&mut self, line: &str) {
        if line.len() > 4096 {
            return;
        }
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let has = |wanted: &str| attributes.iter().any(|attribute| attribute == wanted);
        if name.starts_with("__Host-")
            && !(has("secure")
                && has("path=/")
                && !attributes.iter().any(|attribute| attribute.starts_with("domain")))
        {
            return;
        }
        self.remove(name);
        if !has("max-age=0") {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Puts a cookie in as it is.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    pub fn remove(&mut self, name: &str) {
        self.cookies.retain(|(known, _)| known != name);
    }

    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    pub fn names(&self) -> Vec<&str> {
        self.cookies.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Name and value of the session cookie.
    pub fn session(&self) -> Option<(&str, &str)> {
        self.with_prefix("lp_session_").next()
    }

    /// Names and values of the cookies of pending logins.
    pub fn logins(&self) -> Vec<(&str, &str)> {
        self.with_prefix("lp_login_").collect()
    }

    fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.cookies
            .iter()
            .filter(move |(name, _)| name.trim_start_matches("__Host-").starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
