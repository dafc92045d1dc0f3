use std::{env, error::Error as _, process::Command};

use super::*;
use crate::{
    SystemClock,
    sentinel::test_support::{TestServer, answer},
};

/// A certificate that was made for this test; its key is gone.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUShxJJqPKbYMFxpeJrtW9oMsD2VMwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHdGVzdCBjYTAgFw0yNjExMjQxNDM1MDBaGA8yMTI2MTAzMTE0
MzUwMFowEjEQMA4GA1UEAwwHdGVzdCBjYTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABBa+qh8v9rCah3BFOFHk7CR7MfNVtQJhRV12VcGmEeiHP2mkvOMf/+mn0ugv
NfSh2FZJwO5CTfUd764YAZFfjOujUzBRMB0GA1UdDgQWBBRohQCQ6OZ8RLprSalR
K73I+/jf7zAfBgNVHSMEGDAWgBRohQCQ6OZ8RLprSalRK73I+/jf7zAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCwKPqsBsZxW9zfdn/fCy5dZa5G
sNYmam3YhNbBbMyukgIgCDJdPPyPBecUMp9oyN2j4v+vAriudArIcD96oKO1glo=
-----END CERTIFICATE-----
";

fn check(settings: HttpSettings) -> Result<(), HttpSetupError> {
    HttpClient::new(settings, Arc::new(SystemClock)).map(drop)
}

#[test]
fn certificates_are_looked_at_when_they_are_given() {
    let with = |pem: &str| {
        check(HttpSettings {
            ca_certificates_pem: vec![pem.as_bytes().to_vec()],
            ..HttpSettings::default()
        })
    };
    assert_eq!(with(CERTIFICATE), Ok(()));
    assert_eq!(with(&CERTIFICATE.repeat(2)), Ok(()));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_base64 = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    for bad in ["", "certificate", garbage, not_base64] {
        assert_eq!(with(bad), Err(HttpSetupError::CaCertificate), "for {bad:?}");
    }
}

#[test]
fn a_proxy_is_an_http_url() {
    let with = |proxy: &str| {
        check(HttpSettings { proxy: Some(proxy.to_owned()), ..HttpSettings::default() })
    };
    for good in ["http://proxy:3128", "https://u:p@proxy.example/", "http://10.0.0.1"] {
        assert_eq!(with(good), Ok(()), "for {good}");
    }
    for bad in ["", "proxy", "proxy:3128", "socks5://proxy", "http://", "http://p/x"] {
        assert_eq!(with(bad), Err(HttpSetupError::Proxy), "for {bad}");
    }
}

#[test]
fn a_time_out_of_zero_is_refused() {
    let zero = HttpSettings { timeout: Duration::ZERO, ..HttpSettings::default() };
    assert_eq!(check(zero), Err(HttpSetupError::Timeout));
}

#[test]
fn settings_do_not_print_the_proxys_password() {
    let settings = HttpSettings {
        proxy: Some("http://user:canary@proxy".to_owned()),
        ..HttpSettings::default()
    };
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn a_form_is_written_without_growing() {
    let form = [("client secret", "ä+&=/ ~"), ("token", "")];
    let longest: usize = form.iter().map(|(n, v)| 3 * (n.len() + v.len()) + 2).sum();
    let body = encode(&form);
    assert_eq!(&*body, b"client+secret=%C3%A4%2B%26%3D%2F+%7E&token=");
    assert!(body.len() <= longest);
}

#[test]
fn pauses_between_attempts_are_short_and_differ() {
    let pauses: Vec<_> = (0..64).map(|_| retry_pause().as_millis()).collect();
    assert!(pauses.iter().all(|pause| (100..=300).contains(pause)));
    assert!(pauses.iter().any(|pause| *pause != pauses[0]));
}

#[tokio::test]
async fn names_of_loopback_reach_this_machine_without_dns() {
    let server = TestServer::start(|_, _| answer(200, "{}")).await;
    let client = HttpClient::new(HttpSettings::default(), Arc::new(SystemClock)).unwrap();
    for name in ["localhost", "no-such-name.localhost", "127.0.0.1"] {
        let origin: ServerOrigin = format!("http://{name}:{}", server.port).parse().unwrap();
        let body = client.get(&origin, &format!("{origin}/"), 10).await;
        assert_eq!(body.expect(name), "{}");
    }
}

/// Set in the process that a test has started to run itself once more.
const APART: &str = "TOWER_LP_AUTH_TEST_APART";

fn is_apart() -> bool {
    env::var_os(APART).is_some()
}

/// Runs the calling test once more, in a process with other environment variables; there
/// [`is_apart`] is true.
fn run_apart(test: &str, variables: &[(&str, &str)]) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("sentinel::http_client::tests::{test}"))
        .envs(variables.iter().copied())
        .env(APART, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn missing_ca_certificates_stop_https_alone() {
    if !is_apart() {
        let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
        run_apart("missing_ca_certificates_stop_https_alone", &nowhere);
        return;
    }
    let server = TestServer::start(|_, _| answer(200, "{}")).await;
    let client = HttpClient::new(HttpSettings::default(), Arc::new(SystemClock)).unwrap();
    let origin = server.origin();
    let body = client.get(&origin, &format!("{origin}/"), 10).await;
    assert_eq!(body.expect("plain http needs no certificates"), "{}");

    let origin: ServerOrigin = "https://va.sentinel.liveperson.net".parse().unwrap();
    let error = client.post(&origin, &format!("{origin}/"), &[]).await;
    let Err(CallError::NotSent(cause)) = error else {
        panic!("{error:?}");
    };
    let text = cause.to_string();
    assert!(text.contains("`ca-certificates`") && text.contains("`ca_certificate`"));
    assert!(cause.source().is_some());
    assert!(client.remote.failed.lock().await.is_some());

    let own = HttpSettings {
        ca_certificates_pem: vec![CERTIFICATE.as_bytes().to_vec()],
        ..HttpSettings::default()
    };
    let client = HttpClient::new(own, Arc::new(SystemClock)).unwrap();
    client.client(&origin).await.expect("own certificates do");
}

#[tokio::test]
async fn proxy_variables_serve_other_machines_and_never_loopback() {
    if is_apart() {
        call_behind_a_proxy().await;
        return;
    }
    let proxy = TestServer::start(|_, _| answer(502, "")).await;
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"];
    let variables = names.map(|name| (name, url.clone()));
    let apart = task::spawn_blocking(move || {
        let mut variables: Vec<_> = variables.iter().map(|(n, v)| (*n, &**v)).collect();
        variables.extend([("NO_PROXY", ""), ("no_proxy", "")]);
        run_apart("proxy_variables_serve_other_machines_and_never_loopback", &variables);
    });
    apart.await.unwrap();
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("CONNECT sentinel.example:443 HTTP/1.1\r\n"));
}

/// What the test does in the process with proxy variables.
async fn call_behind_a_proxy() {
    let server = TestServer::start(|_, _| answer(200, "{}")).await;
    let own = HttpSettings {
        ca_certificates_pem: vec![CERTIFICATE.as_bytes().to_vec()],
        ..HttpSettings::default()
    };
    let client = HttpClient::new(own, Arc::new(SystemClock)).unwrap();
    let origin = server.origin();
    let body = client.get(&origin, &format!("{origin}/"), 10).await;
    assert_eq!(body.unwrap(), "{}");

    let origin: ServerOrigin = format!("https://localhost:{}", server.port).parse().unwrap();
    let local = client.post(&origin, &format!("{origin}/"), &[]).await;
    assert!(matches!(local, Err(CallError::NotSent(_))), "{local:?}");

    let origin: ServerOrigin = "https://sentinel.example".parse().unwrap();
    let remote = client.post(&origin, &format!("{origin}/"), &[]).await;
    assert!(matches!(remote, Err(CallError::NotSent(_))), "{remote:?}");
}

#[tokio::test]
async fn the_configured_proxy_serves_other_machines() {
    let proxy = TestServer::start(|_, _| answer(502, "")).await;
    let settings = HttpSettings {
        proxy: Some(format!("http://user:word@127.0.0.1:{}", proxy.port)),
        ca_certificates_pem: vec![CERTIFICATE.as_bytes().to_vec()],
        ..HttpSettings::default()
    };
    let client = HttpClient::new(settings, Arc::new(SystemClock)).unwrap();
    let origin: ServerOrigin = "https://sentinel.example".parse().unwrap();
    let error = client.post(&origin, &format!("{origin}/"), &[("a", "canary")]).await;
    let Err(CallError::NotSent(cause)) = error else {
        panic!("{error:?}");
    };
    assert!(!format!("{cause:?}").contains("word"), "{cause:?}");
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("CONNECT sentinel.example:443"));
    assert!(!requests[0].contains("canary"));
}
