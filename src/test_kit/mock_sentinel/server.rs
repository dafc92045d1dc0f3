//! Accepts connections and answers on them, in order or not.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    faults::Fault,
    reply::{Reply, ReplyBody, Severed},
    request::Asked,
    routes::{Route, not_found},
    state::Shared,
    wire::{Cut, Wire},
};

/// A pause after a connection that could not be accepted (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The running server; dropping it ends all its connections.
#[derive(Debug)]
pub(super) struct Server {
    accepting: JoinHandle<()>,
}

impl Server {
    pub(super) fn spawn(listener: TcpListener, shared: Arc<Shared>) -> Self {
        let accepting = tokio::spawn(accept(listener, shared));
        Self { accepting }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, Arc::clone(&shared)));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let cut = Arc::new(Cut::default());
    let wire = Wire::new(stream, Arc::clone(&cut));
    let service = service_fn(|request| answer(Arc::clone(&shared), request, Arc::clone(&cut)));
    // An error is the client gone, or a fault that was asked for.
    let _ = http1::Builder::new().serve_connection(wire, service).await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    cut: Arc<Cut>,
) -> Result<Response<ReplyBody>, Severed> {
    let asked = Asked::read(request).await?;
    let Some(route) = Route::find(&asked.method, &asked.path) else {
        return Ok(not_found().map(ReplyBody::whole));
    };
    let fault = shared.arrive(route.endpoint(&asked), &asked);
    let work = || route.serve(&shared, &asked);
    let Some(fault) = wait_before(fault).await else {
        return Ok(work().map(ReplyBody::whole));
    };
    match fault {
        Fault::Delay(delay) => {
            sleep(delay).await;
            Ok(work().map(ReplyBody::whole))
        }
        Fault::Late(delay) => {
            let reply = work();
            sleep(delay).await;
            Ok(reply.map(ReplyBody::whole))
        }
        Fault::Status { status, headers, body } => {
            Ok(made_up(status, &headers, body).map(ReplyBody::whole))
        }
        Fault::Body(body) => {
            let json = [("content-type".to_owned(), "application/json".to_owned())];
            Ok(made_up(200, &json, body).map(ReplyBody::whole))
        }
        Fault::HalfBody => Ok(work().map(ReplyBody::half)),
        Fault::Drip => Ok(work().map(ReplyBody::drip)),
        Fault::ResetAfterBody => Ok(work().map(|body| ReplyBody::then_reset(body, cut))),
        Fault::LostResponse => {
            work();
            cut.reset();
            Err(Severed)
        }
        Fault::Reset => {
            cut.reset();
            Err(Severed)
        }
        Fault::Hang | Fault::After(..) => std::future::pending().await,
    }
}

/// Sits out the pauses of [`Fault::After`], and returns what comes at their end.
async fn wait_before(mut fault: Option<Fault>) -> Option<Fault> {
    while let Some(Fault::After(delay, then)) = fault {
        sleep(delay).await;
        fault = Some(*then);
    }
    fault
}

/// An answer that a test has made up; one that HTTP cannot carry is a 500 that says so.
fn made_up(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Reply {
    let head = headers
        .iter()
        .fold(Response::builder().status(status), |head, (name, value)| head.header(name, value));
    head.body(Bytes::from(body)).unwrap_or_else(|error| {
        let mut reply = Response::new(Bytes::from(error.to_string()));
        *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        reply
    })
}
