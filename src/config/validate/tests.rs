use std::time::Duration;

use super::*;
use crate::{
    config::{ConfigError, Setting},
    jwt::IdTokenSignature,
    sentinel::TokenApiVersion,
};

type Change = fn(Builder) -> Builder;

/// A configuration that works.
fn good() -> Builder {
    Builder::new()
        .account("12345678")
        .client_id("e9d8b7a6-0000-4000-8000-123456789abc")
        .client_secret("canary-secret")
        .redirect_uri("https://rp.example/callback")
        .session_key(SessionKey::random())
}

fn key() -> SessionKey {
    SessionKey::from_base64("Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8").unwrap()
}

/// N01 to N05, N08: every refusal names its setting and the remedy.
#[test]
fn a_wrong_setting_is_refused_with_its_name_and_the_remedy() {
    use Setting::*;
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let table: &[(Setting, &str, Change)] = &[
        (Account, "is missing", |b| Builder { account: None, ..b }),
        (Account, "account", |b| b.account("")),
        (Account, "account", |b| b.account("../x")),
        (Account, "account", |b| b.account("a".repeat(65))),
        (ClientId, "is missing", |b| Builder { client_id: None, ..b }),
        (ClientId, "UUID", |b| b.client_id("")),
        (ClientId, "UUID", |b| b.client_id("a b")),
        (ClientId, "UUID", |b| b.client_id("a".repeat(257))),
        (ClientSecret, "is missing", |b| Builder { client_secret: None, ..b }),
        (ClientSecret, "empty", |b| b.client_secret("")),
        (SessionKey, "openssl rand", |b| Builder { session_keys: Vec::new(), ..b }),
        (SessionKey, "twice", |b| b.session_key(key()).session_key(key())),
        (RedirectUri, "is missing", |b| Builder { redirect_uri: None, ..b }),
        (RedirectUri, "absolute", |b| b.redirect_uri("/callback")),
        (RedirectUri, "absolute", |b| b.redirect_uri("")),
        (RedirectUri, "https", |b| b.redirect_uri("http://rp.example/callback")),
        (RedirectUri, "https", |b| b.redirect_uri("http://127.0.0.1.rp.example/callback")),
        (RedirectUri, "https", |b| b.redirect_uri("http://localhost.rp.example/callback")),
        (RedirectUri, "https", |b| b.redirect_uri("ftp://rp.example/callback")),
        (RedirectUri, "wildcards", |b| b.redirect_uri("https://*.rp.example/callback")),
        (RedirectUri, "wildcards", |b| b.redirect_uri("https://rp.example/*")),
        (RedirectUri, "fragment", |b| b.redirect_uri("https://rp.example/callback#x")),
        (RedirectUri, "query", |b| b.redirect_uri("https://rp.example/callback?x")),
        (RedirectUri, "query", |b| b.redirect_uri("https://rp.example/callback?")),
        (RedirectUri, "password", |b| b.redirect_uri("https://u:p@rp.example/callback")),
        (RedirectUri, "path of its own", |b| b.redirect_uri("https://rp.example")),
        (RedirectUri, "path of its own", |b| b.redirect_uri("https://rp.example/")),
        (RedirectUri, "browsers", |b| b.redirect_uri("https://RP.example/callback")),
        (RedirectUri, "browsers", |b| b.redirect_uri("https://rp.example:443/callback")),
        (RedirectUri, "browsers", |b| b.redirect_uri("https://rp.example/x/../callback")),
        (RedirectUri, "browsers", |b| b.redirect_uri("https://rp.example/call back")),
        (RedirectUri, "128", |b| b.redirect_uri(format!("https://rp.example/{}", "a".repeat(110)))),
        (SentinelUrl, "https", |b| b.sentinel_url("http://sentinel.example")),
        (SentinelUrl, "https", |b| b.sentinel_url("sentinel.example")),
        (SentinelUrl, "path", |b| b.sentinel_url("https://sentinel.example/x")),
        (SentinelUrl, "password", |b| b.sentinel_url("https://u:p@sentinel.example")),
        (DomainApiUrl, "https", |b| b.domain_api_url("http://api.example")),
        (DomainApiUrl, "path", |b| b.domain_api_url("https://api.example?x")),
        (Issuer, "leave it out", |b| b.issuer("")),
        (HostSuffix, "example.com", |b| b.sentinel_host_suffix("com")),
        (HostSuffix, "example.com", |b| b.sentinel_host_suffix("")),
        (HostSuffix, "example.com", |b| b.sentinel_host_suffix("10.0.0.1")),
        (HostSuffix, "example.com", |b| b.sentinel_host_suffix("https://example.com")),
        (LoginPath, "/name", |b| b.login_path("login")),
        (LoginPath, "/name", |b| b.login_path("/")),
        (LoginPath, "/name", |b| b.login_path("/log%69n")),
        (LoginPath, "/name", |b| b.login_path("/a//b")),
        (LoginPath, "/name", |b| b.login_path("/a/../b")),
        (LoginPath, "/name", |b| b.login_path("/login?x")),
        (LoginPath, "path of its own", |b| b.login_path("/callback")),
        (LogoutPath, "/name", |b| b.logout_path("/log out")),
        (LogoutPath, "path of its own", |b| b.logout_path("/login")),
        (Landing, "application itself", |b| b.landing("//evil.example")),
        (Landing, "application itself", |b| b.landing("https://evil.example/")),
        (Landing, "application itself", |b| b.landing("/login")),
        (Landing, "application itself", |b| b.landing("home")),
        (AfterLogout, "application itself", |b| b.after_logout("/\\evil.example")),
        (CookieName, "prefix", |b| b.cookie_name("__Host-mine")),
        (CookieName, "prefix", |b| b.cookie_name("__secure-mine")),
        (CookieName, "letters", |b| b.cookie_name("")),
        (CookieName, "letters", |b| b.cookie_name("a;b")),
        (CookieName, "letters", |b| b.cookie_name("a=b")),
        (CookieName, "letters", |b| b.cookie_name("a".repeat(65))),
        (CookieName, "pending login", |b| b.cookie_name("lp_login_x")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("*")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("null")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("spa.example")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("https://spa.example/x")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("https://u@spa.example")),
        (TrustedOrigin, "https://host", |b| b.trusted_origin("file:///x")),
        (ExternalPrefix, "slash", |b| b.external_prefix("/app/")),
        (ExternalPrefix, "/name", |b| b.external_prefix("app")),
        (ExternalPrefix, "redirect URI", |b| b.external_prefix("/other")),
        (ExternalPrefix, "redirect URI", |b| b.external_prefix("/call")),
        (IgnoredSchemes, "Bearer", |b| b.ignore_authorization_schemes(["bEARER"])),
        (IgnoredSchemes, "one word", |b| b.ignore_authorization_schemes([""])),
        (IgnoredSchemes, "one word", |b| b.ignore_authorization_schemes(["Basic x"])),
        (Public, "slash", |b| b.public("healthz")),
        (Public, "never match", |b| b.public("/a%20b")),
        (Public, "never match", |b| b.public("/a//b")),
        (Public, "never match", |b| b.public_under("/a/../b")),
        (Public, "never match", |b| b.public("/a;b")),
        (Public, "never match", |b| b.public("/a?b")),
        (Public, "never match", |b| b.public("/a#b")),
        (Public, "the login's", |b| b.public("/login")),
        (Public, "public_under", |b| b.public("/a/*")),
        (Public, "public_under", |b| b.public("/u/{id}")),
        (Optional, "public_under", |b| b.optional("/u/:id")),
        (ClientSecret, "around it", |b| b.client_secret(" a")),
        (ClientSecret, "line breaks", |b| b.client_secret("a\n")),
        (ClientSecret, "no secret has", |b| b.client_secret("a\0")),
        (Public, "the redirect URI's", |b| b.public_under("/callback")),
        (Optional, "never match", |b| b.optional("/a\\b")),
        (Optional, "never match", |b| b.optional_under("/a?b")),
        (Optional, "the logout's", |b| b.optional("/logout")),
        (Public, "declared both", |b| b.public("/x").optional("/x")),
        (Public, "declared both", |b| b.optional_under("/x/").public_under("/x")),
        (IdleLifetime, "between", |b| b.idle_lifetime(Duration::ZERO)),
        (IdleLifetime, "longer", |b| b.idle_lifetime(DAY + Duration::from_secs(1))),
        (AbsoluteLifetime, "between", |b| b.absolute_lifetime(Duration::from_millis(999))),
        (AbsoluteLifetime, "between", |b| b.absolute_lifetime(401 * DAY)),
        (AbsoluteLifetime, "between", |b| b.absolute_lifetime(Duration::MAX)),
        (LoginLifetime, "between", |b| b.login_lifetime(Duration::from_secs(3601))),
        (LoginLifetime, "shorter", |b| {
            let hour = Duration::from_secs(3600);
            b.login_lifetime(hour).idle_lifetime(hour).absolute_lifetime(hour)
        }),
        (RefreshAfter, "between", |b| b.refresh_after(Duration::ZERO)),
        (CaCertificate, "CERTIFICATE", |b| b.ca_certificate("no PEM")),
        (Proxy, "http://host", |b| b.proxy("socks5://proxy")),
        (Timeout, "zero", |b| b.connect_timeout(Duration::ZERO)),
        (Timeout, "zero", |b| b.request_timeout(Duration::ZERO)),
        (LedgerEntries, "at least 1", |b| b.ledger_entries(0)),
        (LedgerResults, "at least 1", |b| b.ledger_results(0)),
        (OpenedSessions, "at least 1", |b| b.opened_sessions(0)),
    ];
    for (row, (setting, remedy, change)) in table.iter().enumerate() {
        let told = format!("row {row}, {setting} ({remedy})");
        let Err(error) = change(good()).build() else { panic!("accepted {told}") };
        assert_eq!(error.setting(), *setting, "{told}: {error}");
        let text = error.to_string();
        assert!(text.contains(&setting.to_string()), "{told}: {text}");
        assert!(text.contains(remedy), "{told}: {text}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{told}: {error:?}");
    }
}

/// N02, N03: what is right at the edges of the rules.
#[test]
fn settings_at_the_edge_of_the_rules_are_accepted() {
    let table: &[Change] = &[
        |b| b,
        |b| b.account("a-B_9"),
        |b| b.redirect_uri("http://127.0.0.1:3000/callback"),
        |b| b.redirect_uri("http://127.9.9.9/callback"),
        |b| b.redirect_uri("http://[::1]:3000/callback"),
        |b| b.redirect_uri("http://localhost/callback"),
        |b| b.redirect_uri("http://app.localhost/callback"),
        |b| b.redirect_uri("https://rp.example:8443/deep/callback"),
        |b| b.redirect_uri("https://rp.example/app/callback").external_prefix("/app"),
        |b| b.redirect_uri(format!("https://rp.example/{}", "a".repeat(109))),
        |b| b.session_key(key()),
        |b| b.sentinel_url("https://sentinel.example/"),
        |b| b.sentinel_url("http://localhost:1").domain_api_url("https://api.example"),
        |b| b.sentinel_host_suffix(".Example.com"),
        |b| b.login_path("/auth/login").logout_path("/auth/logout"),
        |b| b.landing("/home?tab=1").after_logout("/bye"),
        |b| b.cookie_name("s"),
        |b| b.trusted_origin("https://spa.example/").trusted_origin("http://localhost:5173"),
        |b| b.ignore_authorization_schemes(["Basic", "Digest"]),
        |b| b.public("/").public_under("/assets/").optional("/shop"),
        |b| b.public("/x").public("/x"),
        |b| b.public_under("/x").optional("/x"),
        |b| b.refresh_after(Duration::from_secs(1)),
        |b| b.absolute_lifetime(Duration::from_secs(400 * 24 * 3600)),
        |b| b.proxy("http://user:canary@proxy:3128"),
    ];
    for (row, change) in table.iter().enumerate() {
        let built = change(good()).build();
        assert!(built.is_ok(), "row {row}: {built:?}");
    }
}

/// N05, N09, M02.
#[test]
fn a_builder_prints_its_settings_and_no_secret() {
    let builder = good().proxy("http://user:canary@proxy:3128").session_key(key());
    let shown = format!("{builder:?} {builder:#?}");
    for expected in ["12345678", "e9d8b7a6", "https://rp.example/callback", "session_keys: 2"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    for secret in ["canary", "Vvo3gM1zqm1dIXoZ"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// N09: the defaults that the documentation names.
#[test]
fn defaults_are_the_documented_ones() {
    let builder = Builder::new();
    let seconds = |duration: Duration| duration.as_secs();
    let hour = 3600;
    assert_eq!(seconds(builder.idle_lifetime), 8 * hour);
    assert_eq!(seconds(builder.absolute_lifetime), 24 * hour);
    assert_eq!(seconds(builder.login_lifetime), 600);
    assert_eq!(seconds(builder.refresh_after), 1800);
    assert_eq!(seconds(builder.http.connect_timeout), 2);
    assert_eq!(seconds(builder.http.timeout), 5);
    assert_eq!((builder.ledger_entries, builder.ledger_results), (100_000, 10_000));
    assert_eq!(builder.opened_sessions, 10_000);
    assert_eq!(builder.id_token_signature, IdTokenSignature::Published);
    assert_eq!(builder.token_api_version, TokenApiVersion::V2);
    assert_eq!(
        [&*builder.login_path, &*builder.logout_path, &*builder.landing],
        ["/login", "/logout", "/"]
    );
    assert_eq!([builder.revoke_on_logout, builder.pkce, builder.allow_preflight], [false; 3]);
    assert!(builder.trusted_origins.is_empty() && builder.ignored_schemes.is_empty());
}

/// The landing page is where a logout ends only if it does not ask for a session.
#[test]
fn a_logout_ends_at_an_open_landing_page_alone() {
    let table: &[(Change, Option<&str>)] = &[
        (|b| b, None),
        (|b| b.public("/"), Some("/")),
        (|b| b.optional("/home").landing("/home?x"), Some("/home?x")),
        (|b| b.landing("/home").after_logout("/bye"), Some("/bye")),
    ];
    for (row, (change, expected)) in table.iter().enumerate() {
        let site = change(good()).checked_site().unwrap();
        assert_eq!(site.after_logout.as_deref(), *expected, "row {row}");
    }
}

/// N04: the name that an error prints is the one that the environment and the builder know.
#[test]
fn every_setting_is_shown_as_builder_and_environment_call_it() {
    assert_eq!(Setting::Account.to_string(), "`account` (LP_ACCOUNT_ID)");
    assert_eq!(Setting::Landing.to_string(), "`landing`");
    let error = ConfigError::invalid(Setting::RefreshAfter, "it is odd");
    assert_eq!(error.to_string(), "`refresh_after` (LP_REFRESH_AFTER) cannot be used: it is odd");
}
