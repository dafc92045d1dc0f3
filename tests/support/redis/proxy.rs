//! A TCP proxy that misbehaves on demand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// What the proxy does with connections, those there are and those that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Connections are cut and refused.
    Refuse,
    /// Connections are accepted and nothing passes, until another mode is set.
    BlackHole,
    /// Every piece waits so long before it passes, in either direction.
    Delay(Duration),
    /// The next answer passes up to this byte, then its connection is cut; then everything passes.
    CutReplyAfter(usize),
}

/// Stands between a store and its server.
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    mode: watch::Sender<Mode>,
    /// Counts the cuts.
    cuts: watch::Sender<u64>,
    target: Mutex<SocketAddr>,
    accepted: watch::Sender<u64>,
}

impl FaultProxy {
    /// Lets everything pass to this address.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback socket");
        let addr = listener.local_addr().expect("a loopback socket");
        let shared = Arc::new(Shared {
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            target: Mutex::new(target),
            accepted: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self { addr, shared, accepting }
    }

    /// The URL of what is behind, through the proxy.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.addr)
    }

    /// The proxy's own address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Misbehaves from now on as `mode` says.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Cuts the connections that there are.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|count| *count += 1);
    }

    /// Leads connections that come from now on to another address.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().expect("a lock that nobody has poisoned") = target;
    }

    /// How many connections have come.
    pub fn accepted(&self) -> u64 {
        *self.shared.accepted.borrow()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let addr = listener.local_addr().expect("a loopback socket");
    let mut listener = Some(listener);
    let mut mode = shared.mode.subscribe();
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
            mode.changed().await.expect("a proxy that is alive");
            continue;
        }
        if listener.is_none() {
            listener = TcpListener::bind(addr).await.ok();
        }
        let Some(open) = &listener else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        tokio::select! {
            _ = mode.changed() => {}
            Ok((client, _)) = open.accept() => {
                shared.accepted.send_modify(|count| *count += 1);
                tokio::spawn(serve(client, shared.clone()));
            }
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let target = *shared.target.lock().expect("a lock that nobody has poisoned");
    let mut cuts = shared.cuts.subscribe();
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a loopback socket");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &shared, false) => {}
        () = pump(from_server, to_client, &shared, true) => {}
        _ = cuts.changed() => {}
    }
}

/// Returns when the connection is to be cut, or has ended.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, replies: bool) {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mode = match mode.wait_for(|mode| *mode != Mode::BlackHole).await {
            Ok(mode) => *mode,
            Err(_) => return,
        };
        let mut passing = count;
        match mode {
            Mode::Delay(delay) => sleep(delay).await,
            Mode::CutReplyAfter(bytes) if replies => passing = count.min(bytes),
            _ => {}
        }
        if to.write_all(&buffer[..passing]).await.is_err() {
            return;
        }
        if replies && matches!(mode, Mode::CutReplyAfter(_)) {
            shared.mode.send_replace(Mode::Pass);
            return;
        }
    }
}
