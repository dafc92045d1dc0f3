//! Where the layer stands among tonic's: the rows of `docs/order.md` about tonic.

use http::StatusCode;
use tonic::{
    Code, Request, Status,
    service::{LayerExt, Routes, interceptor::InterceptedService},
    transport::Server,
};
use tower_lp_auth::LpUser;

use super::{
    echo::{
        Client, Echoes, Running, client_of, client_with, proto::echo_server::EchoServer, stranger,
        words,
    },
    support::{AGENT, App, Browser, FETCH, NAVIGATE},
};

/// The code of one call, and who it was for.
async fn say(client: &mut Client) -> (Code, String) {
    match client.say(words("x")).await {
        Ok(heard) => (Code::Ok, heard.into_inner().user_id),
        Err(status) => (status.code(), String::new()),
    }
}

/// O06: on a tonic server it has all services behind it, unknown ones too, and serves its own paths.
#[tokio::test]
async fn on_a_tonic_server_it_has_all_services_behind_it() {
    let app = App::start().await;
    let (auth, service) = (app.auth.clone(), Echoes::new().server());
    let server = Running::start(|incoming| {
        let server = Server::builder().accept_http1(true).layer(auth).add_service(service);
        Box::pin(server.serve_with_incoming(incoming))
    });
    let server = server.await;
    let agent = Browser::signed_in(&app).await;
    let mut client = client_of(&server.url, &agent).await;
    assert_eq!(say(&mut client).await, (Code::Ok, AGENT.to_owned()));
    assert_eq!(say(&mut stranger(&server.url).await).await.0, Code::Unauthenticated);
    let mut nobody = Browser::at(&server.url);
    nobody.navigate("/login").await.assert_login();
    let grpc = [("content-type", "application/grpc")];
    let page = nobody.send(http::Method::POST, "/no.such.Service/Call", &grpc, None).await;
    assert_eq!(page.header("grpc-status"), Some("16"), "{page:?}");
    let mut there = Browser::at(&server.url);
    there.jar = agent.jar.clone();
    let page = there.send(http::Method::POST, "/no.such.Service/Call", &grpc, None).await;
    assert_eq!(page.header("grpc-status"), Some("12"), "{page:?}");
}

/// O06: services added to axum's routes before the layer are behind it, and the router's fallback
/// stays.
#[tokio::test]
async fn services_added_to_a_router_are_behind_it() {
    let echoes = Echoes::new();
    let service = echoes.server();
    let app = App::builder()
        .routes(move |router, _| Routes::from(router).add_service(service).into_axum_router());
    let app = app.start().await;
    let mut agent = Browser::signed_in(&app).await;
    assert_eq!(say(&mut client_of(&app.url, &agent).await).await, (Code::Ok, AGENT.to_owned()));
    assert_eq!(say(&mut stranger(&app.url).await).await.0, Code::Unauthenticated);
    assert_eq!(agent.fetch("/nowhere").await.body, "fallback");
}

/// O06: `require_*` around one service by `named_layer`, which keeps the service's name.
#[tokio::test]
async fn require_stands_around_one_service_by_named_layer() {
    let (open, guarded) = (Echoes::new(), Echoes::new());
    let app = App::start().await;
    let auth = app.auth.clone();
    let service = auth.require_admin().named_layer(guarded.server());
    let server = Running::start(|incoming| {
        let health = tonic_health::server::health_reporter().1;
        let server = Server::builder().layer(auth).add_service(service).add_service(health);
        Box::pin(server.serve_with_incoming(incoming))
    });
    let server = server.await;
    let mut browser = Browser::signed_in(&app).await;
    let mut agent = client_of(&server.url, &browser).await;
    assert_eq!(say(&mut agent).await.0, Code::PermissionDenied);
    assert_eq!((open.calls(), guarded.calls()), (0, 0));
    let users = app.sentinel.users();
    let admin = users.iter().find(|user| user.is_admin()).expect("an administrator").id();
    browser.jar.clear();
    browser.sign_in(&app, admin).await;
    let mut client = client_of(&server.url, &browser).await;
    assert_eq!(say(&mut client).await, (Code::Ok, admin.to_owned()));
}

/// O06: an interceptor of tonic's within the layer finds the user.
#[tokio::test]
async fn an_interceptor_finds_the_user() {
    let app = App::start().await;
    let auth = app.auth.clone();
    let check = |request: Request<()>| match request.extensions().get::<LpUser>() {
        Some(user) if user.id() == AGENT => Ok(request),
        _ => Err(Status::permission_denied("for the agent alone")),
    };
    let service: InterceptedService<EchoServer<Echoes>, _> =
        EchoServer::with_interceptor(Echoes::new(), check);
    let server = Running::start(|incoming| {
        let server = Server::builder().layer(auth).add_service(service);
        Box::pin(server.serve_with_incoming(incoming))
    });
    let server = server.await;
    let browser = Browser::signed_in(&app).await;
    let mut agent = client_of(&server.url, &browser).await;
    assert_eq!(say(&mut agent).await, (Code::Ok, AGENT.to_owned()));
}

/// O06: a service without the layer above it refuses with 500 where `require_*` guards it, and
/// finds nobody where nothing does.
#[tokio::test]
async fn without_the_layer_nobody_is_found() {
    let app = App::start().await;
    let auth = app.auth.clone();
    let open = Running::start(|incoming| {
        let server = Server::builder().add_service(Echoes::new().server());
        Box::pin(server.serve_with_incoming(incoming))
    });
    let guarded = Running::start(|incoming| {
        let service = auth.require_user().named_layer(Echoes::new().server());
        let server = Server::builder().add_service(service);
        Box::pin(server.serve_with_incoming(incoming))
    });
    let browser = Browser::signed_in(&app).await;
    let cookies = browser.jar.header().expect("a session");
    let fields = || vec![("cookie", cookies.clone())];
    let (open, guarded) = (open.await, guarded.await);
    assert_eq!(say(&mut client_with(&open.url, fields()).await).await, (Code::Ok, String::new()));
    let refused = say(&mut client_with(&guarded.url, fields()).await).await;
    assert_ne!(refused.0, Code::Ok);
}

/// O06: one port, pages by HTTP/1.1 and calls by HTTP/2, and the login on the way.
#[tokio::test]
async fn a_login_over_the_same_port_opens_the_services() {
    let echoes = Echoes::new();
    let service = echoes.clone();
    let app = App::builder().routes(move |router, _| router.merge(service.router()));
    let app = app.start().await;
    let mut browser = Browser::new(&app);
    let page = browser.send(http::Method::GET, "/echo.v1.Echo/Say", &NAVIGATE, None).await;
    page.assert_login();
    browser.send(http::Method::GET, "/echo.v1.Echo/Say", &FETCH, None).await.assert_unauthorized();
    browser.sign_in(&app, AGENT).await;
    assert_eq!(browser.fetch("/me").await.status, StatusCode::OK);
    assert_eq!(say(&mut client_of(&app.url, &browser).await).await, (Code::Ok, AGENT.to_owned()));
}
