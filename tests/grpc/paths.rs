//! Methods that are open to everybody: by their exact full name, and only if asked for.

use futures_util::stream;
use tonic::{Code, transport::Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use super::{
    echo::{Echoes, Running, stranger, words},
    support::{App, AppBuilder},
    wire::{self, Outcome},
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A tonic server with health and reflection, behind the layer of this application.
async fn server(app: AppBuilder) -> (App, Running) {
    let app = app.start().await;
    let auth = app.auth.clone();
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("descriptors");
    let server = Running::start(|incoming| {
        let server = Server::builder()
            .layer(auth)
            .add_service(health)
            .add_service(reflection)
            .add_service(Echoes::new().server());
        Box::pin(server.serve_with_incoming(incoming))
    });
    (app, server.await)
}

/// The codes of a health check, a health watch and a reflection.
async fn codes(url: &str) -> [Code; 3] {
    let channel = tonic::transport::Channel::from_shared(url.to_owned()).expect("a URL");
    let channel = channel.connect().await.expect("a connection");
    let mut health = HealthClient::new(channel.clone());
    let whole_server = HealthCheckRequest { service: String::new() };
    let check = health.check(whole_server.clone()).await.map(|_| ());
    let watch = health.watch(whole_server).await.map(|_| ());
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let reflect = reflection.server_reflection_info(stream::iter([list])).await.map(|_| ());
    [check, watch, reflect].map(|answer| answer.err().map_or(Code::Ok, |status| status.code()))
}

/// I06: health and reflection need a user like all else, unless a method is declared public; the
/// others of its service stay as they are.
#[tokio::test]
async fn health_and_reflection_are_open_only_if_declared_by_method() {
    use Code::{Ok, Unauthenticated};
    let (_app, closed) = server(App::builder()).await;
    assert_eq!(codes(&closed.url).await, [Unauthenticated; 3]);

    let (_app, health) = server(App::builder().layer(|it| it.public(HEALTH))).await;
    assert_eq!(codes(&health.url).await, [Ok, Unauthenticated, Unauthenticated]);

    let both = App::builder().layer(|it| it.public(HEALTH).public(REFLECTION));
    let (_app, both) = server(both).await;
    assert_eq!(codes(&both.url).await, [Ok, Unauthenticated, Ok]);
    let refused = stranger(&both.url).await.say(words("x")).await.expect_err("a refusal");
    assert_eq!(refused.code(), Unauthenticated);

    let whole = App::builder().layer(|it| it.public_under("/grpc.health.v1.Health"));
    let (_app, whole) = server(whole).await;
    assert_eq!(codes(&whole.url).await, [Ok, Ok, Unauthenticated]);
}

/// I05: no other spelling of a public method's path is public, nor is what is no path at all.
#[tokio::test]
async fn only_the_exact_name_of_a_method_is_public() {
    let (_app, server) = server(App::builder().layer(|it| it.public(HEALTH))).await;
    assert_eq!(wire::call(&server.url, HEALTH, &[]).await, Outcome::Answer);
    for path in [
        "grpc.health.v1.Health/Check",
        "",
        "*",
        "/",
        "//grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health//Check",
        "/grpc.health.v1.Health/Check/",
        "/grpc.health.v1.Health/check",
        "/GRPC.health.v1.Health/Check",
        "/grpc.health.v1.Health/Chec%6b",
        "/grpc.health.v1.Health%2fCheck",
        "/grpc%2ehealth.v1.Health/Check",
        "/%2e/grpc.health.v1.Health/Check",
        "/./grpc.health.v1.Health/Check",
        "/x/../grpc.health.v1.Health/Check",
        "/x/%2e%2e/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Check;x",
        "/grpc.health.v1.Health/Check\\",
        "/grpc.health.v1.Health/Check%00",
        " /grpc.health.v1.Health/Check",
        "http://other.example/grpc.health.v1.Health/Check",
    ] {
        let outcome = wire::call(&server.url, path, &[]).await;
        assert_ne!(outcome, Outcome::Answer, "{path:?} is public");
    }
    // What a server takes for a request is answered, not dropped.
    for path in ["//grpc.health.v1.Health/Check", "/grpc%2ehealth.v1.Health/Check", "/"] {
        let outcome = wire::call(&server.url, path, &[]).await;
        assert_eq!(outcome, Outcome::TrailersOnly, "{path:?}");
    }
}
