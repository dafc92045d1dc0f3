//! The one exception from https: this machine.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether a host is this machine, by its name alone: 127.0.0.0/8, `[::1]`, `localhost` and names
/// below it (RFC 6761 §6.3).
pub(crate) fn is_loopback(host: Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::from(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(address).is_loopback(),
    }
}

/// Whether a URL is https, or plain http to this machine.
pub(crate) fn is_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host().is_some_and(is_loopback),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_exempt_from_https() {
        for (url, secure) in [
            ("https://app.example", true),
            ("http://127.0.0.1:3000", true),
            ("http://127.1.2.3", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://app.localhost", true),
            ("http://localhost.example", false),
            ("http://notlocalhost", false),
            ("http://128.0.0.1", false),
            ("http://[::2]", false),
            ("http://app.example", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_secure(&Url::parse(url).unwrap()), secure, "{url}");
        }
    }
}
