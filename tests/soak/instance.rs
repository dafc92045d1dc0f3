//! Instances of the application, each on a runtime of its own that can be taken away.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt;
use tokio::runtime::{Handle, Runtime};
use tower::ServiceExt;
use tower_lp_auth::LpAuthLayer;

use crate::support::{Page, routes, until};

/// One instance.
pub struct Instance {
    pub auth: LpAuthLayer,
    app: Router,
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
    in_flight: AtomicUsize,
}

/// Counts a request for as long as somebody waits for it.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is under way takes seconds on a slow machine, whose Redis answers now and then in time.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// The instance was gone before it had answered.
#[derive(Debug)]
pub struct Crashed;

impl Instance {
    /// Makes the layer, and has a bystander, on a new runtime.
    pub fn start(
        make: impl FnOnce() -> LpAuthLayer,
        bystander: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let handle = runtime.handle().clone();
        let entered = handle.enter();
        let auth = make();
        drop(entered);
        handle.spawn(bystander);
        let app = routes(&auth).layer(auth.clone());
        let (runtime, in_flight) = (Mutex::new(Some(runtime)), AtomicUsize::new(0));
        Arc::new(Self { auth, app, runtime, handle, in_flight })
    }

    /// Answers a request, on the instance's runtime as its server would.
    pub async fn ask(&self, request: Request<Body>) -> Result<Page, Crashed> {
        let url = format!("https://app.example{}", request.uri());
        let app = self.app.clone();
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let _in_flight = InFlight(&self.in_flight);
        let answering = self.handle.spawn(async move {
            let (head, body) = app.oneshot(request).await.expect("infallible").into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Page { status: head.status, headers: head.headers, body, url }
        });
        answering.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Crashed,
        })
    }

    /// Stops as a process does that is told to: nothing new comes in, what is under way is finished.
    pub async fn stop(&self) {
        assert!(self.auth.shutdown(SHUTDOWN).await, "something is not finished");
        until(|| self.in_flight.load(Ordering::SeqCst) == 0).await;
        self.crash();
    }

    /// Is gone, with everything that is under way.
    pub fn crash(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        runtime.expect("a runtime that has not been taken away").shutdown_background();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

/// What a balancer knows: the instances that take requests.
pub struct Balancer {
    instances: Mutex<Vec<Arc<Instance>>>,
}

impl Balancer {
    pub fn new(instances: Vec<Arc<Instance>>) -> Self {
        Self { instances: Mutex::new(instances) }
    }

    /// The instance of this random number.
    pub fn pick(&self, number: u64) -> Arc<Instance> {
        let instances = self.lock();
        let at = usize::try_from(number).expect("64 bits") % instances.len();
        Arc::clone(&instances[at])
    }

    /// Takes the oldest instance out.
    pub fn take_out(&self) -> Arc<Instance> {
        self.lock().remove(0)
    }

    pub fn put_in(&self, instance: Arc<Instance>) {
        self.lock().push(instance);
    }

    pub fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
