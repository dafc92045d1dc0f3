//! Tools for the tests of an application that signs its users in with this crate.
//!
//! [`MockSentinel`] stands in for LivePerson: a real HTTP server on a free port of this machine, with
//! a login page, users to choose from, tokens that rotate, and faults on demand. [`ManualClock`]
//! stands in for the time, so that eight hours pass in no time at all. [`store_suite`] tries a
//! [`SessionStore`](crate::store::SessionStore) of your own.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use tower_lp_auth::test_kit::{ManualClock, MockSentinel};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let clock = ManualClock::new();
//! let sentinel = MockSentinel::builder().clock(clock.clone()).start().await?;
//! assert!(sentinel.url().starts_with("http://127.0.0.1:"));
//!
//! clock.advance(Duration::from_secs(8 * 60 * 60)); // every access token so far has expired
//! # Ok(())
//! # }
//! ```

mod app;
mod lease;
mod manual_clock;
mod mock_sentinel;
mod store_suite;
mod user;

pub use app::{AppBuilder, app};
pub use lease::lease;
pub use manual_clock::ManualClock;
pub use mock_sentinel::{
    AppTokenBuilder, Call, Counts, Endpoint, ExpiresIn, Fault, MockSentinel, MockSentinelBuilder,
    MockUser,
};
pub use store_suite::store_suite;
pub use user::{UserBuilder, session_cookie, session_token, sign_in, user};
