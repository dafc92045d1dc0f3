//! An event stream that ends when its user signs out.
//!
//! MockSentinel plays LivePerson, so that nothing else is needed:
//!
//! ```sh
//! cargo run --example sse
//! ```

use std::{convert::Infallible, env, error::Error, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{
        Html,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_util::{Stream, stream};
use tokio::{net::TcpListener, time::interval};
use tower_lp_auth::{LpUser, test_kit::MockSentinel};

const STYLE: &str = include_str!("quickstart/style.css");
const EVENT_EVERY: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("LISTEN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on {address:?}: {error}"))?;
    let mock = MockSentinel::start().await?;
    let callback = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    let auth = mock.layer_builder(callback).build()?;
    let app = Router::new()
        .route("/", get(page))
        .route("/events", get(events))
        .with_state(auth.logout_url())
        .layer(auth.clone());

    eprintln!("Open this address in two tabs, sign in, and sign out in one: both streams end.");
    println!("{}/", auth.origin());
    Ok(axum::serve(listener, app).await?)
}

/// An event every second, without an end: it is the layer that ends the stream with the session.
async fn events(user: LpUser) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let line = Line::open(user.id());
    let state = (interval(EVENT_EVERY), 1_u64, line);
    Sse::new(stream::unfold(state, |(mut ticks, number, line)| async move {
        ticks.tick().await;
        let event = Event::default().data(format!("event {number} for {}", line.user));
        Some((Ok(event), (ticks, number + 1, line)))
    }))
}

/// Whatever a stream needs while it is open: here a line in the terminal at either end.
struct Line {
    user: String,
}

impl Line {
    fn open(user: &str) -> Self {
        eprintln!("stream of {user} opened");
        Self { user: user.to_owned() }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        eprintln!("stream of {} closed", self.user);
    }
}

/// Shows the events as they come. The button signs out without leaving the page.
async fn page(State(logout): State<String>) -> Html<String> {
    Html(format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<title>Live events · tower-lp-auth</title><style>{STYLE}</style></head><body><main>
<p class="eyebrow" id="state">Connecting</p><h1>Your events</h1>
<p class="lead" id="last">Waiting for the first event.</p>
<p><button class="button" id="sign-out">Sign out</button></p>
<p class="hint">Open <a href="/" target="_blank">another tab</a>, and sign out in either of them:
the server ends both streams.</p></main><footer>tower-lp-auth sse</footer><script>
const show = (id, text) => document.getElementById(id).textContent = text;
const events = new EventSource("/events");
events.onmessage = (event) => {{ show("state", "Live"); show("last", event.data); }};
events.onerror = () => {{
  events.close(); // or it would connect again, and get a 401
  show("state", "Ended");
  show("last", "The session is over, so the server has closed the stream.");
  document.getElementById("sign-out").outerHTML = '<a class="button" id="sign-in" href="/">Sign in again</a>';
}};
document.getElementById("sign-out").onclick = () => fetch("{logout}", {{ method: "POST" }});
</script></body></html>
"#
    ))
}
