//! The service: each method finds its caller in the request's extensions.

use std::time::Duration;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status, Streaming};
use tower_lp_auth::LpUser;

use super::proto::{Heard, Repetition, Words, echo_server::Echo};

/// Between two messages that nobody waits for.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Echoes;

/// Only a method that is public or optional is ever called for nobody.
fn caller<T>(request: &Request<T>) -> Result<LpUser, Status> {
    let user = request.extensions().get::<LpUser>().cloned();
    user.ok_or_else(|| Status::unauthenticated("Please sign in"))
}

fn heard(text: String, user: &LpUser, messages: u64) -> Heard {
    let bytes = text.len() as u64;
    Heard { text, user_id: user.id().to_owned(), messages, bytes }
}

#[tonic::async_trait]
impl Echo for Echoes {
    async fn say(&self, request: Request<Words>) -> Result<Response<Heard>, Status> {
        let user = caller(&request)?;
        Ok(Response::new(heard(request.into_inner().text, &user, 1)))
    }

    async fn collect(&self, request: Request<Streaming<Words>>) -> Result<Response<Heard>, Status> {
        let mut all = heard(String::new(), &caller(&request)?, 0);
        let mut words = request.into_inner();
        while let Some(Words { text }) = words.message().await? {
            all.messages += 1;
            all.bytes += text.len() as u64;
            all.text = text;
        }
        Ok(Response::new(all))
    }

    type RepeatStream = BoxStream<'static, Result<Heard, Status>>;

    /// Without an end where that was asked for: it is the layer that ends the stream with the session.
    async fn repeat(
        &self,
        request: Request<Repetition>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let user = caller(&request)?;
        let Repetition { text, times } = request.into_inner();
        let said = stream::iter(1_u64..).then(move |number| {
            let message = heard(text.clone(), &user, number);
            async move {
                if number > 1 {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(message)
            }
        });
        let times = if times == 0 { usize::MAX } else { times as usize };
        Ok(Response::new(said.take(times).boxed()))
    }

    type ChatStream = BoxStream<'static, Result<Heard, Status>>;

    async fn chat(
        &self,
        request: Request<Streaming<Words>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let user = caller(&request)?;
        let words = request.into_inner().enumerate();
        let said = words
            .map(move |(before, words)| words.map(|it| heard(it.text, &user, before as u64 + 1)));
        Ok(Response::new(said.boxed()))
    }

    async fn sign_out(&self, request: Request<Words>) -> Result<Response<Heard>, Status> {
        let user = caller(&request)?;
        user.end_session().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(heard(request.into_inner().text, &user, 1)))
    }
}
