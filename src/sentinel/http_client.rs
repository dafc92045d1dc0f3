//! Moves bytes to LivePerson and back: with time-outs and caps, without redirects or cookies, and
//! with no second sending of anything that may have arrived.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::{
    Certificate, ClientBuilder, Proxy, RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect, retry,
};
use tokio::{sync::Mutex, task, time};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    endpoint::ServerOrigin,
    error::{Cause, FetchError, HttpSetupError, MissingCaCertificates, TokenError},
};
use crate::{Clock, secret::random_bytes};

/// How calls to LivePerson are made.
///
/// `proxy` serves calls to other machines; without it the variables `HTTPS_PROXY`, `ALL_PROXY` and
/// `NO_PROXY` do. Loopback hosts are always reached directly.
#[derive(Clone)]
pub(crate) struct HttpSettings {
    /// The time for a connection: DNS, TCP, proxy and TLS. At most four fifths of `timeout` count,
    /// so that a server that cannot be reached is never taken for one that did not answer.
    pub connect_timeout: Duration,
    /// The time for one call with everything in it: retries of a GET, and the body.
    pub timeout: Duration,
    /// Bundles that are trusted beside the system's certificates.
    pub ca_certificates_pem: Vec<Vec<u8>>,
    /// `http://[user:password@]host[:port]`, or the same with https.
    pub proxy: Option<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            ca_certificates_pem: Vec::new(),
            proxy: None,
        }
    }
}

impl fmt::Debug for HttpSettings {
    /// A proxy's URL may hold its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("ca_certificates_pem", &self.ca_certificates_pem.len())
            .field("proxy", &self.proxy.is_some())
            .finish()
    }
}

const USER_AGENT: &str = concat!("tower-lp-auth/", env!("CARGO_PKG_VERSION"));
const FORM: HeaderValue =
    HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A connection that has idled for longer may be closed by the peer just when a code goes out on
/// it, and then nobody knows whether the code was presented.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bursts beyond this open connections that are closed after use.
const POOL_MAX_IDLE: usize = 32;
/// A machine without CA certificates is looked at again after this time, not at every call.
const SETUP_PAUSE: Duration = Duration::from_secs(5);
/// A GET is sent once and at most twice again.
const GET_ATTEMPTS: usize = 3;
/// Room for a usual answer when its length is not announced.
const USUAL_BODY: usize = 4 * 1024;

/// The HTTP clients, each built at its first call: reading the system's CA certificates takes time,
/// and where there are none a mock on loopback still works.
pub(super) struct HttpClient {
    settings: HttpSettings,
    certificates: Vec<Certificate>,
    clock: Arc<dyn Clock>,
    /// http to loopback; has no certificates, and needs none.
    plain: LazyClient,
    /// https to loopback; never through a proxy.
    local: LazyClient,
    /// https to any other host.
    remote: LazyClient,
}

impl HttpClient {
    pub(super) fn new(
        settings: HttpSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpSetupError> {
        if settings.timeout.is_zero() || settings.connect_timeout.is_zero() {
            return Err(HttpSetupError::Timeout);
        }
        let certificates = read_certificates(&settings.ca_certificates_pem)?;
        if let Some(proxy) = &settings.proxy {
            read_proxy(proxy)?;
        }
        Ok(Self {
            settings,
            certificates,
            clock,
            plain: LazyClient::default(),
            local: LazyClient::default(),
            remote: LazyClient::default(),
        })
    }

    /// Sends a form, once.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a request already sent has had its effect.
    pub(super) async fn post(
        &self,
        origin: &ServerOrigin,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, CallError> {
        let client = self.client(origin).await.map_err(CallError::not_sent)?;
        let request =
            client.post(url).header(CONTENT_TYPE, FORM).header(ACCEPT, JSON).body(encode(form));
        Answer::of(request).await
    }

    /// Fetches a document of at most `cap` bytes.
    ///
    /// Sent up to three times where the connection fails or the server does (5xx), all within one
    /// call's time. Whatever is no success is [`FetchError::Status`].
    pub(super) async fn get(
        &self,
        origin: &ServerOrigin,
        url: &str,
        cap: usize,
    ) -> Result<Bytes, FetchError> {
        let attempts = async {
            let client = self.client(origin).await.map_err(FetchError::Tls)?;
            for _ in 1..GET_ATTEMPTS {
                let outcome = get_once(&client, url, cap).await;
                if !outcome.as_ref().is_err_and(may_pass) {
                    return outcome;
                }
                time::sleep(retry_pause()).await;
            }
            get_once(&client, url, cap).await
        };
        let late = |_| Err(FetchError::Unreachable(Arc::new(timed_out())));
        time::timeout(self.settings.timeout, attempts).await.unwrap_or_else(late)
    }

    async fn client(
        &self,
        origin: &ServerOrigin,
    ) -> Result<reqwest::Client, MissingCaCertificates> {
        let reach = match (origin.is_https(), origin.is_loopback()) {
            (false, _) => Reach::Plain,
            (true, true) => Reach::Local,
            (true, false) => Reach::Remote,
        };
        let lazy = match reach {
            Reach::Plain => &self.plain,
            Reach::Local => &self.local,
            Reach::Remote => &self.remote,
        };
        lazy.get(&*self.clock, || self.builder(reach)).await
    }

    /// Says everything that another crate's choice of reqwest's features could change.
    fn builder(&self, reach: Reach) -> ClientBuilder {
        let HttpSettings { connect_timeout, timeout, .. } = self.settings;
        let builder = base_builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(connect_timeout.min(timeout * 4 / 5))
            .timeout(timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_MAX_IDLE);
        match reach {
            Reach::Plain => builder.no_proxy().dns_resolver(ThisMachine).tls_certs_only([]),
            Reach::Local => builder
                .no_proxy()
                .dns_resolver(ThisMachine)
                .https_only(true)
                .tls_certs_merge(self.certificates.iter().cloned()),
            Reach::Remote => {
                let builder =
                    builder.https_only(true).tls_certs_merge(self.certificates.iter().cloned());
                match self.settings.proxy.as_deref().map(read_proxy) {
                    Some(Ok(proxy)) => builder.proxy(proxy),
                    // `new` has read it once already.
                    Some(Err(_)) | None => builder,
                }
            }
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[derive(Clone, Copy)]
enum Reach {
    Plain,
    Local,
    Remote,
}

/// A client that is built when it is first needed.
#[derive(Default)]
struct LazyClient {
    ready: OnceLock<reqwest::Client>,
    /// When the last build failed ([`Clock::monotonic`]), and why.
    failed: Mutex<Option<(Duration, MissingCaCertificates)>>,
}

impl LazyClient {
    async fn get(
        &self,
        clock: &dyn Clock,
        builder: impl FnOnce() -> ClientBuilder,
    ) -> Result<reqwest::Client, MissingCaCertificates> {
        if let Some(client) = self.ready.get() {
            return Ok(client.clone());
        }
        let mut failed = self.failed.lock().await;
        if let Some(client) = self.ready.get() {
            return Ok(client.clone());
        }
        if let Some((when, error)) = &*failed
            && clock.monotonic() < *when + SETUP_PAUSE
        {
            return Err(error.clone());
        }
        match build(builder()).await {
            Ok(client) => Ok(self.ready.get_or_init(|| client).clone()),
            Err(error) => {
                *failed = Some((clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }
}

/// Builds a client where reading certificates from disk holds nobody up.
///
/// Certificates and proxy of the settings have been checked before: what can still be wrong is that
/// the system has no certificates.
async fn build(builder: ClientBuilder) -> Result<reqwest::Client, MissingCaCertificates> {
    match task::spawn_blocking(|| builder.build()).await {
        Ok(built) => built.map_err(|error| MissingCaCertificates(Arc::new(error.without_url()))),
        Err(interrupted) => match interrupted.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn base_builder() -> ClientBuilder {
    reqwest::Client::builder().tls_backend_rustls()
}

/// Reads PEM bundles, and lets the TLS library look at what they hold.
fn read_certificates(bundles: &[Vec<u8>]) -> Result<Vec<Certificate>, HttpSetupError> {
    let mut certificates = Vec::new();
    for bundle in bundles {
        let read = Certificate::from_pem_bundle(bundle).unwrap_or_default();
        if read.is_empty() {
            return Err(HttpSetupError::CaCertificate);
        }
        certificates.extend(read);
    }
    if !certificates.is_empty() {
        base_builder()
            .no_proxy()
            .tls_certs_only(certificates.iter().cloned())
            .build()
            .map_err(|_| HttpSetupError::CaCertificate)?;
    }
    Ok(certificates)
}

fn read_proxy(text: &str) -> Result<Proxy, HttpSetupError> {
    let url = Url::parse(text).map_err(|_| HttpSetupError::Proxy)?;
    if !["http", "https"].contains(&url.scheme()) || !matches!(url.path(), "" | "/") {
        return Err(HttpSetupError::Proxy);
    }
    Proxy::all(url).map_err(|_| HttpSetupError::Proxy)
}

/// Resolves every name to this machine: what may be sent in clear goes nowhere else, whatever a
/// name server says of `*.localhost`.
struct ThisMachine;

impl Resolve for ThisMachine {
    fn resolve(&self, _: Name) -> Resolving {
        let ips = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let addresses: Addrs = Box::new(ips.into_iter().map(|ip| SocketAddr::new(ip, 0)));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Writes a form into a buffer that is wiped when the last copy of the body is gone.
///
/// It never grows, so that no piece of a secret stays behind in freed memory. What TLS and the
/// kernel copy is out of reach.
fn encode(form: &[(&str, &str)]) -> Bytes {
    let longest = |(name, value): &(&str, &str)| 3 * (name.len() + value.len()) + 2;
    let capacity = form.iter().map(longest).sum();
    let text = form_urlencoded::Serializer::new(String::with_capacity(capacity))
        .extend_pairs(form)
        .finish();
    Bytes::from_owner(Zeroizing::new(text.into_bytes()))
}

/// Why a POST has no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// Nothing of the request has left this machine.
    NotSent(Cause),
    /// Some of the request may have arrived.
    Unknown(Cause),
}

impl CallError {
    fn not_sent(error: MissingCaCertificates) -> Self {
        Self::NotSent(Arc::new(error))
    }
}

impl From<reqwest::Error> for CallError {
    /// A connection that did not come about, with the time for it run out too, carried nothing.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::NotSent(Arc::new(error))
        } else {
            Self::Unknown(Arc::new(error))
        }
    }
}

impl From<CallError> for TokenError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotSent(cause) => Self::NotSent(cause),
            CallError::Unknown(cause) => Self::Unknown(cause),
        }
    }
}

/// The head of an answer; its body is still on the way. Dropped unread, the connection is closed.
#[derive(Debug)]
pub(super) struct Answer(Response);

/// As much of a body as has arrived.
pub(super) struct Body {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) end: BodyEnd,
}

pub(super) enum BodyEnd {
    Complete,
    /// More than the cap; reading stopped.
    TooLarge,
    /// The connection broke, or the time ran out.
    Broken(Cause),
}

impl Answer {
    async fn of(request: RequestBuilder) -> Result<Self, CallError> {
        Ok(Self(request.send().await?))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Reads a body of at most `cap` bytes.
    pub(super) async fn body(self, cap: usize) -> Body {
        let mut response = self.0;
        let announced = response.content_length().map(usize::try_from);
        let capacity = match announced {
            Some(Ok(length)) if length <= cap => length,
            Some(_) => return Body::too_large(),
            None => USUAL_BODY.min(cap),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > cap => return Body::too_large(),
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break BodyEnd::Complete,
                Err(error) => break BodyEnd::Broken(Arc::new(error.without_url())),
            }
        };
        Body { bytes, end }
    }
}

impl Body {
    fn too_large() -> Self {
        Self { bytes: Zeroizing::default(), end: BodyEnd::TooLarge }
    }
}

async fn get_once(client: &reqwest::Client, url: &str, cap: usize) -> Result<Bytes, FetchError> {
    let request = client.get(url).header(ACCEPT, JSON);
    let answer = match Answer::of(request).await {
        Ok(answer) => answer,
        Err(CallError::NotSent(cause) | CallError::Unknown(cause)) => {
            return Err(FetchError::Unreachable(cause));
        }
    };
    if !answer.status().is_success() {
        return Err(FetchError::Status(answer.status()));
    }
    let mut body = answer.body(cap).await;
    match body.end {
        BodyEnd::Complete => Ok(Bytes::from(std::mem::take(&mut *body.bytes))),
        BodyEnd::TooLarge => Err(FetchError::TooLarge(cap)),
        BodyEnd::Broken(cause) => Err(FetchError::Unreachable(cause)),
    }
}

/// Whether the next attempt of a GET may fare better.
fn may_pass(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable(_) => true,
        FetchError::Status(status) => status.is_server_error(),
        _ => false,
    }
}

/// 100 to 300 ms, drawn anew: many instances do not ask in step.
fn retry_pause() -> Duration {
    let [drawn] = random_bytes::<1>();
    Duration::from_millis(100 + u64::from(drawn) * 200 / 255)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the time for the call ran out")
}

#[cfg(test)]
mod tests;
