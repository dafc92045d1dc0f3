//! Where a soak stands: a line on stderr per step, and an end to every wait.

use std::{fmt, time::Duration};

use tokio::time::{Instant, timeout};

/// Tells on stderr, at once: of a run that is killed nothing else is left.
pub struct Progress {
    began: Instant,
}

impl Progress {
    pub fn begin() -> Self {
        Self { began: Instant::now() }
    }

    pub fn tell(&self, what: impl fmt::Display) {
        eprintln!("soak: {:6.1} s: {what}", self.began.elapsed().as_secs_f64());
    }

    /// Awaits what ends within `limit` on any machine; where it does not, the panic names it.
    pub async fn within<T>(
        &self,
        limit: Duration,
        what: impl fmt::Display,
        work: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let Ok(done) = timeout(limit, work).await else {
            let so_far = self.began.elapsed();
            panic!("{what}: not over after {limit:?}, {so_far:?} after the start");
        };
        self.tell(format_args!("{what}: took {:.1} s", began.elapsed().as_secs_f64()));
        done
    }
}
