use std::{path::PathBuf, process::Command};

use super::*;
use crate::{jwt::IdTokenSignature, secret::random_bytes, sentinel::TokenApiVersion};

const KEY: &str = "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8";
const OTHER_KEY: &str = "B8mV2yG9nXyH0kq4Cw3jUe0Yd1ZtQvRr5sLx6uPoMfA";

fn read(variables: &[(&str, &str)]) -> Result<Builder, ConfigError> {
    let known = |name| setting_of(name).unwrap_or_else(|| panic!("{name} is unknown"));
    Builder::from_variables(variables.iter().map(|(name, value)| (known(name), (*value).into())))
}

/// A file that is gone with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(content: &[u8]) -> Self {
        let name = format!("tower-lp-auth-{:016x}", u64::from_be_bytes(random_bytes()));
        let path = env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn every_variable_sets_what_it_is_named_after() {
    let keys = format!("{KEY}, {OTHER_KEY}");
    let builder = read(&[
        ("LP_ACCOUNT_ID", "12345678"),
        ("LP_CLIENT_ID", "client"),
        ("LP_CLIENT_SECRET", "secret"),
        ("LP_REDIRECT_URI", "https://rp.example/callback"),
        ("LP_SESSION_KEY", &keys),
        ("LP_SENTINEL_URL", "https://sentinel.example"),
        ("LP_DOMAIN_API_URL", "https://api.example"),
        ("LP_ISSUER", "sentinel"),
        ("LP_ID_TOKEN_SIGNATURE", "required"),
        ("LP_TOKEN_API_VERSION", "1.0"),
        ("LP_REFRESH_AFTER", "1"),
        ("LP_REVOKE_ON_LOGOUT", "true"),
    ])
    .unwrap();
    assert_eq!(builder.account.as_deref(), Some("12345678"));
    assert_eq!(builder.client_id.as_deref(), Some("client"));
    assert_eq!(builder.client_secret.as_ref().unwrap().expose_secret(), "secret");
    assert_eq!(builder.redirect_uri.as_deref(), Some("https://rp.example/callback"));
    let keys = [KEY, OTHER_KEY].map(|key| SessionKey::from_base64(key).unwrap());
    assert!(builder.session_keys == keys, "the first seals");
    assert_eq!(builder.sentinel_url.as_deref(), Some("https://sentinel.example"));
    assert_eq!(builder.domain_api_url.as_deref(), Some("https://api.example"));
    assert_eq!(builder.issuer.as_deref(), Some("sentinel"));
    assert_eq!(builder.id_token_signature, IdTokenSignature::Required);
    assert_eq!(builder.token_api_version, TokenApiVersion::V1);
    assert_eq!(builder.refresh_after, Duration::from_secs(1));
    assert!(builder.revoke_on_logout);
    assert!(builder.build().is_ok(), "both URLs together are allowed");
}

/// N09: what no variable says is as the builder has it.
#[test]
fn without_variables_the_builders_defaults_stand() {
    let (read, new) = (read(&[]).unwrap(), Builder::new());
    assert_eq!(format!("{read:?}"), format!("{new:?}"));
    assert_eq!(read.id_token_signature, new.id_token_signature);
    assert_eq!(read.token_api_version, new.token_api_version);
}

/// N01, N04, N05: a value that cannot be used is an error that names its variable.
#[test]
fn a_wrong_value_is_refused_with_its_variable_and_the_remedy() {
    let twice = format!("{KEY},{KEY}");
    let table = [
        ("LP_ACCOUNT_ID", "", "leave it out"),
        ("LP_CLIENT_SECRET", "", "leave it out"),
        ("LP_CLIENT_SECRET_FILE", "/nonexistent/canary-file", "cannot be read"),
        ("LP_CLIENT_SECRET_FILE", "/", "cannot be read"),
        ("LP_SESSION_KEY", "canary!", "openssl rand"),
        ("LP_SESSION_KEY", "Y2FuYXJ5", "openssl rand"),
        ("LP_SESSION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "openssl rand"),
        ("LP_SESSION_KEY", &format!("{KEY},"), "openssl rand"),
        ("LP_ID_TOKEN_SIGNATURE", "none", "`published` or `required`"),
        ("LP_ID_TOKEN_SIGNATURE", "Required", "`published` or `required`"),
        ("LP_TOKEN_API_VERSION", "2", "`2.0` or `1.0`"),
        ("LP_REFRESH_AFTER", "0", "from 1 up"),
        ("LP_REFRESH_AFTER", "+5", "from 1 up"),
        ("LP_REFRESH_AFTER", "30m", "from 1 up"),
        ("LP_REFRESH_AFTER", "1.5", "from 1 up"),
        ("LP_REFRESH_AFTER", "99999999999999999999", "from 1 up"),
        ("LP_REVOKE_ON_LOGOUT", "yes", "`true` or `false`"),
        ("LP_REVOKE_ON_LOGOUT", "TRUE", "`true` or `false`"),
    ];
    for (name, value, remedy) in table {
        let Err(error) = read(&[(name, value)]) else { panic!("accepted {name}={value}") };
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(remedy), "{name}={value}: {text}");
        let is_secret = ["LP_SESSION_KEY", "LP_CLIENT_SECRET"].contains(&name);
        let leaks = !value.is_empty() && format!("{error:?} {text}").contains(value);
        assert!(!(is_secret && leaks), "{name}: {error:?}");
    }
    let Err(error) = read(&[("LP_SESSION_KEY", &twice)]).unwrap().build() else { panic!() };
    assert_eq!(error.setting(), Setting::Account, "what is missing first is said first");
}

/// N05: one line break at the end is the editor's.
#[test]
fn a_secret_file_loses_one_line_break_at_its_end() {
    for (content, expected) in [
        ("secret", Some("secret")),
        ("secret\n", Some("secret")),
        ("secret\r\n", Some("secret")),
        ("secret\n\n", Some("secret\n")),
        ("secret \n", Some("secret ")),
        ("se\ncret", Some("se\ncret")),
        ("secret\r", Some("secret\r")),
        ("", None),
        ("\n", None),
        ("\r\n", None),
    ] {
        let file = Scratch::new(content.as_bytes());
        match (read(&[("LP_CLIENT_SECRET_FILE", file.path())]), expected) {
            (Ok(builder), Some(expected)) => {
                let secret = builder.client_secret.unwrap();
                assert_eq!(secret.expose_secret(), expected, "for {content:?}");
            }
            (Err(error), None) => {
                assert_eq!(error.setting(), Setting::ClientSecretFile, "for {content:?}");
                assert!(error.to_string().contains("the file is empty"), "for {content:?}");
            }
            (outcome, _) => panic!("for {content:?}: {outcome:?}"),
        }
    }
    let binary = Scratch::new(b"canary\xff");
    let error = read(&[("LP_CLIENT_SECRET_FILE", binary.path())]).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
}

/// N04.
#[test]
fn both_secrets_contradict_each_other() {
    let file = Scratch::new(b"secret");
    let both = [("LP_CLIENT_SECRET", "canary"), ("LP_CLIENT_SECRET_FILE", file.path())];
    let error = read(&both).unwrap_err();
    assert!(matches!(error, ConfigError::Conflict { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("LP_CLIENT_SECRET)") && text.contains("LP_CLIENT_SECRET_FILE"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

/// N04: a name that this build cannot honour.
#[cfg(not(feature = "redis"))]
#[test]
fn a_store_that_this_build_has_not_is_an_error() {
    let error = read(&[("LP_REDIS_URL", "redis://:canary@redis")]).unwrap_err();
    assert!(matches!(error, ConfigError::Unsupported { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("LP_REDIS_URL") && !text.contains("canary"), "{text}");
}

/// D18, D19: the URL makes a store without asking it anything; what is wrong with one is said without
/// repeating it.
#[cfg(feature = "redis")]
#[test]
fn a_redis_url_makes_a_store_or_says_what_is_wrong_with_it() {
    let builder = read(&[("LP_REDIS_URL", "redis://:canary@redis.invalid")]).unwrap();
    assert!(builder.store.is_some());
    assert!(!format!("{builder:?}").contains("canary"), "{builder:?}");
    assert!(read(&[]).unwrap().store.is_none());
    for (url, remedy) in [
        ("canary", "write redis://"),
        ("https://:canary@redis", "write redis://"),
        ("redis://:canary@redis/sessions", "redis://host:6379/0"),
        ("redis://:canary@redis/0?tls=1", "leave them out"),
    ] {
        let error = read(&[("LP_REDIS_URL", url)]).unwrap_err();
        assert_eq!(error.setting(), Setting::RedisUrl, "{url}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("LP_REDIS_URL") && text.contains(remedy), "{url}: {text}");
        assert!(!text.contains("canary"), "{url}: {text}");
    }
}

#[test]
fn a_misspelt_name_has_a_nearest_one() {
    for (name, expected) in [
        ("LP_ACOUNT_ID", "LP_ACCOUNT_ID"),
        ("LP_CLIENTID", "LP_CLIENT_ID"),
        ("LP_CLIENT_SECRETS", "LP_CLIENT_SECRET"),
        ("LP_CLIENT_SECRETFILE", "LP_CLIENT_SECRET_FILE"),
        ("LP_REDIRECT_URL", "LP_REDIRECT_URI"),
        ("LP_SESSION_KEYS", "LP_SESSION_KEY"),
        ("LP_SENTINEL_URI", "LP_SENTINEL_URL"),
        ("LP_DOMAIN_URL", "LP_DOMAIN_API_URL"),
        ("LP_REFRESH_AFTER_SECS", "LP_REFRESH_AFTER"),
    ] {
        assert_eq!(nearest(name), expected, "for {name}");
    }
    let _ = nearest(&"LP_".repeat(100_000)); // bounded work, whatever stands there
    for (a, b, expected) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3)] {
        assert_eq!(distance(a, b), expected, "{a:?} {b:?}");
    }
}

/// Set in the process that a test has started to run itself once more.
const APART: &str = "TOWER_LP_AUTH_TEST_APART";

/// N04: the environment itself is read, and a name that means nothing is said.
#[test]
fn a_builder_comes_from_the_environment() {
    if env::var_os(APART).is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stdout).with_ansi(false).init();
        let builder = crate::LpAuthLayer::builder_from_env();
        match builder.and_then(Builder::build) {
            Ok(layer) => println!("built for {}", layer.origin()),
            Err(error) => println!("refused: {error}"),
        }
        return;
    }
    let complete = [
        ("LP_ACCOUNT_ID", "12345678"),
        ("LP_CLIENT_ID", "client"),
        ("LP_CLIENT_SECRET", "canary"),
        ("LP_REDIRECT_URI", "https://rp.example/callback"),
        ("LP_SESSION_KEY", KEY),
    ];
    let run = |more: &[(&str, &str)]| {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "--nocapture",
                "config::env::tests::a_builder_comes_from_the_environment",
            ])
            .env_clear()
            .envs(complete)
            .envs(more.iter().copied())
            .env(APART, "1");
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        assert!(!told.contains("canary") && !told.contains(KEY), "{told}");
        told
    };
    let told = run(&[("LPX_ACCOUNT_ID", "x"), ("HOME", "/")]);
    assert!(told.contains("built for https://rp.example") && !told.contains("WARN"), "{told}");
    let told = run(&[("LP_REFRESH_AFER", "canary")]);
    assert!(told.contains("built for https://rp.example"), "{told}");
    assert!(told.contains("WARN") && told.contains("LP_REFRESH_AFER"), "{told}");
    assert!(told.contains("nearest=\"LP_REFRESH_AFTER\""), "{told}");
    let told = run(&[("LP_REFRESH_AFTER", "soon")]);
    assert!(told.contains("refused: `refresh_after` (LP_REFRESH_AFTER) cannot be used"), "{told}");
    let told = run(&[("LP_REVOKE_ON_LOGOUT", "")]);
    assert!(told.contains("refused: `revoke_on_logout` (LP_REVOKE_ON_LOGOUT)"), "{told}");
}
