use std::{
    io::ErrorKind::ConnectionReset,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::*;

const JWKS: &str = "GET /sentinel/well-known/jwks";
const TICK: Duration = Duration::from_millis(60);

async fn faulty(fault: Fault) -> MockSentinel {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.inject(Endpoint::Jwks, fault);
    sentinel
}

#[expect(clippy::disallowed_methods, reason = "delays of faults are real time")]
fn now() -> Instant {
    Instant::now()
}

/// How the refresh of a fresh login ends under a fault, and whether its token was rotated.
async fn refresh_under(fault: Fault) -> (Vec<u8>, io::Result<usize>, bool) {
    let sentinel = MockSentinel::start().await.unwrap();
    let tokens = log_in(&sentinel).await;
    sentinel.inject(Endpoint::Refresh, fault);
    let body = encode(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", sentinel.client_id()),
        ("client_secret", sentinel.client_secret()),
    ]);
    let line = format!("POST {}", account_path(&sentinel, "token?v=2.0"));
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let (received, end) = exchange(&sentinel, &line, form, &body).await;
    let rotated = refresh(&sentinel, &tokens["refresh_token"]).await.status == 400;
    assert_eq!(sentinel.counts().refreshes, 2, "a faulty call counts");
    (received, end, rotated)
}

#[tokio::test]
async fn a_made_up_answer_does_no_work() {
    for (fault, status, header) in [
        (Fault::status(503), 503, None),
        (Fault::throttled(7), 429, Some(("retry-after", "7"))),
        (Fault::oauth_error("invalid_scope"), 400, Some(("content-type", "application/json"))),
        (Fault::Body(b"{".to_vec()), 200, Some(("content-type", "application/json"))),
    ] {
        let (received, end, rotated) = refresh_under(fault).await;
        assert!(end.is_ok() && !rotated, "{status}");
        let answer = Answer::parse(&received);
        assert_eq!(answer.status, status);
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value));
        }
    }
}

#[tokio::test]
async fn half_a_body_ends_with_a_fin() {
    let (received, end, rotated) = refresh_under(Fault::HalfBody).await;
    assert!(end.is_ok(), "{end:?}");
    let answer = Answer::parse(&received);
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), promised / 2);
    assert!(rotated);
}

#[tokio::test]
async fn a_reset_comes_before_the_work_and_a_lost_response_after_it() {
    for (fault, worked) in [(Fault::Reset, false), (Fault::LostResponse, true)] {
        let (received, end, rotated) = refresh_under(fault).await;
        assert!(received.is_empty());
        assert_eq!(end.unwrap_err().kind(), ConnectionReset);
        assert_eq!(rotated, worked);
    }
}

#[tokio::test]
async fn a_reset_after_the_body_lets_the_whole_answer_through() {
    for _ in 0..50 {
        let sentinel = faulty(Fault::ResetAfterBody).await;
        let mut stream = connect(&sentinel).await;
        let request = format!("{JWKS} HTTP/1.1\r\nhost: mock\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let end = stream.read_to_end(&mut received).await;
        assert_eq!(end.unwrap_err().kind(), ConnectionReset);
        let answer = Answer::parse(&received);
        let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(answer.body.len(), promised);
    }
}

#[tokio::test]
async fn a_delay_holds_the_answer_back() {
    for fault in [Fault::Delay(TICK), Fault::Late(TICK), Fault::after(TICK, Fault::status(500))] {
        let sentinel = faulty(fault).await;
        let start = now();
        let (received, _) = exchange(&sentinel, JWKS, "", "").await;
        assert!(start.elapsed() >= TICK);
        assert!(!received.is_empty());
    }
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_a_delay_undone_and_a_late_answer_done() {
    for (fault, worked) in [
        (Fault::Delay(Duration::from_secs(60)), false),
        (Fault::Late(Duration::from_secs(60)), true),
    ] {
        let sentinel = MockSentinel::start().await.unwrap();
        let tokens = log_in(&sentinel).await;
        sentinel.inject(Endpoint::Refresh, fault);
        let call = refresh(&sentinel, &tokens["refresh_token"]);
        assert!(timeout(TICK, call).await.is_err());
        let again = refresh(&sentinel, &tokens["refresh_token"]).await;
        assert_eq!(again.status == 400, worked);
    }
}

#[tokio::test]
async fn a_hanging_call_never_ends() {
    let sentinel = faulty(Fault::Hang).await;
    let call = exchange(&sentinel, JWKS, "", "");
    assert!(timeout(TICK, call).await.is_err());
}

#[tokio::test]
async fn a_dripping_body_starts_and_goes_on_slowly() {
    let sentinel = faulty(Fault::Drip).await;
    sentinel.set_jwks_body(Some(b"{}".to_vec()));
    let start = now();
    let (received, end) = exchange(&sentinel, JWKS, "", "").await;
    assert!(end.is_ok());
    assert_eq!(Answer::parse(&received).text(), "{}");
    assert!(start.elapsed() >= Duration::from_millis(1900));
}

#[tokio::test]
async fn a_standing_fault_stays_until_it_is_cleared() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.inject_always(Endpoint::Jwks, Fault::status(500));
    let path = "/sentinel/well-known/jwks";
    for _ in 0..3 {
        assert_eq!(get(&sentinel, path, "").await.status, 500);
    }
    sentinel.clear_faults();
    assert_eq!(get(&sentinel, path, "").await.status, 200);
}

#[tokio::test]
async fn an_impossible_answer_says_what_is_wrong_with_it() {
    let header = ("no such\nname".to_owned(), String::new());
    let sentinel =
        faulty(Fault::Status { status: 200, headers: vec![header], body: Vec::new() }).await;
    let answer = get(&sentinel, "/sentinel/well-known/jwks", "").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("header"), "{answer:?}");
}
