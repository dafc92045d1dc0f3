//! Calls of a signed-in user, in the four ways of gRPC.

use futures_util::stream;
use tonic::Code;

use super::{
    echo::{Client, Echoes, Scene, client_of, client_with, proto::Repetition, read_all, words},
    support::{AGENT, App, Browser},
};

/// Calls in each of the four ways, as a user.
async fn assert_all_ways_lead_to_the_user(client: &mut Client) {
    let said = client.say(words("one")).await.expect("an answer").into_inner();
    assert_eq!((&*said.text, &*said.user_id), ("one", AGENT));

    let spoken = stream::iter(["a", "bc", "def"].map(words));
    let all = client.collect(spoken.clone()).await.expect("an answer").into_inner();
    assert_eq!((all.messages, all.bytes, &*all.user_id), (3, 6, AGENT));

    let repetition = Repetition { text: "again".into(), times: 3 };
    let repeated = client.repeat(repetition).await.expect("a stream").into_inner();
    let again = ("again".to_owned(), AGENT.to_owned());
    assert_eq!(read_all(repeated).await.expect("status 0"), vec![again; 3]);

    let chat = client.chat(spoken).await.expect("a stream").into_inner();
    let expected = ["a", "bc", "def"].map(|text| (text.to_owned(), AGENT.to_owned()));
    assert_eq!(read_all(chat).await.expect("status 0"), expected);
}

/// I01, O08: in a tonic server, unary, client, server and bidirectional calls find their user.
#[tokio::test]
async fn every_way_of_calling_leads_to_the_user() {
    let scene = Scene::start().await;
    let (_, mut client) = scene.agent().await;
    assert_all_ways_lead_to_the_user(&mut client).await;
    assert_eq!(scene.echoes.calls(), 4);
}

/// O08: gRPC services and pages in one router, on one port, behind one layer.
#[tokio::test]
async fn pages_and_grpc_services_share_one_layer() {
    let echoes = Echoes::new();
    let service = echoes.clone();
    let app = App::builder().routes(move |router, _| router.merge(service.router()));
    let app = app.start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut client = client_of(&app.url, &browser).await;
    assert_all_ways_lead_to_the_user(&mut client).await;
    assert_eq!(browser.fetch("/me").await.json()["user_id"], AGENT);
    browser.post("/logout").await;
    let refused = client.say(words("after")).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(echoes.calls(), 4);
}

/// I13, K01: what a client says of itself in its metadata makes nobody of it, and no other user.
#[tokio::test]
async fn metadata_is_no_identity() {
    let scene = Scene::start().await;
    let (browser, _) = scene.agent().await;
    let cookies = browser.jar.header().expect("a session");
    let claims = [
        ("x-user-id", "admin"),
        ("x-lp-user", "admin"),
        ("lp_user", "admin"),
        ("x-forwarded-user", "admin"),
        ("x-auth-request-user", "admin"),
        ("remote-user", "admin"),
        ("is-admin", "true"),
        ("lp-user-bin", "admin"),
    ];
    let claims: Vec<_> = claims.map(|(name, value)| (name, value.to_owned())).into();
    let mut nobody = client_with(&scene.server.url, claims.clone()).await;
    let refused = nobody.say(words("let me in")).await.expect_err("a refusal");
    assert_eq!((refused.code(), scene.echoes.calls()), (Code::Unauthenticated, 0));

    let with_session = [claims.clone(), vec![("cookie", cookies)]].concat();
    let mut agent = client_with(&scene.server.url, with_session).await;
    let heard = agent.say(words("me")).await.expect("an answer").into_inner();
    assert_eq!(heard.user_id, AGENT);
    // No header is added or taken for one's own; the session's cookie does not go further.
    let metadata = scene.echoes.metadata().into_headers();
    for (name, value) in &claims {
        // "admin" in base64.
        let expected = if name.ends_with("-bin") { "YWRtaW4" } else { value };
        assert_eq!(metadata.get_all(*name).iter().collect::<Vec<_>>(), [expected], "{name}");
    }
    assert!(!metadata.contains_key("cookie"), "{metadata:?}");
}
