//! A unary call of a tonic service.

use axum::{
    Router,
    http::{
        HeaderMap, HeaderValue,
        header::{CONTENT_TYPE, TE},
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::Empty;
use prost::Message;
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tower_lp_auth::LpUser;

use self::proto::{
    Heard, Repetition, Words,
    echo_server::{Echo, EchoServer},
};
use super::floor::Guest;

mod proto {
    #![allow(missing_docs, unused_qualifications, reason = "generated")]
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grpc/proto/echo.v1.rs"));
}

/// The method that is called.
pub const SAY: &str = "/echo.v1.Echo/Say";

/// The service alone, without a layer.
pub fn router() -> Router {
    Routes::from(Router::new()).add_service(EchoServer::new(Speaker)).into_axum_router()
}

/// The body of a call: a message behind its flag and length.
pub fn message() -> Bytes {
    let words = Words { text: "hello".to_owned() };
    let mut body = BytesMut::with_capacity(16);
    body.put_u8(0);
    body.put_u32(words.encoded_len() as u32);
    words.encode(&mut body).expect("room for a short message");
    body.freeze()
}

/// What a gRPC client sends beside its credential.
pub fn call(mut credential: HeaderMap) -> HeaderMap {
    credential.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    credential.insert(TE, HeaderValue::from_static("trailers"));
    credential
}

/// Answers whoever is known with their own words.
struct Speaker;

#[tonic::async_trait]
impl Echo for Speaker {
    async fn say(&self, request: Request<Words>) -> Result<Response<Heard>, Status> {
        let known = request.extensions();
        if known.get::<LpUser>().is_none() && known.get::<Guest>().is_none() {
            return Err(Status::unauthenticated("nobody"));
        }
        let text = request.into_inner().text;
        Ok(Response::new(Heard { text, ..Heard::default() }))
    }

    async fn collect(&self, _: Request<Streaming<Words>>) -> Result<Response<Heard>, Status> {
        Err(Status::unimplemented("it is not measured"))
    }

    type RepeatStream = Empty<Result<Heard, Status>>;

    async fn repeat(&self, _: Request<Repetition>) -> Result<Response<Self::RepeatStream>, Status> {
        Err(Status::unimplemented("it is not measured"))
    }

    type ChatStream = Empty<Result<Heard, Status>>;

    async fn chat(
        &self,
        _: Request<Streaming<Words>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        Err(Status::unimplemented("it is not measured"))
    }

    async fn sign_out(&self, _: Request<Words>) -> Result<Response<Heard>, Status> {
        Err(Status::unimplemented("it is not measured"))
    }
}
