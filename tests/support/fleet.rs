//! Several instances of one application with one store.

use tower_lp_auth::{Builder, SessionStore};

use super::App;

/// Instances that share Sentinel, clock, session key, redirect URI and store. A browser that is at
/// one of them is at all: cookies ignore ports.
pub struct Fleet {
    pub instances: Vec<App>,
}

impl Fleet {
    /// As many instances as asked for; each has a clone of `store`.
    pub async fn start(
        instances: usize,
        store: impl SessionStore + Clone,
        change: impl Fn(Builder) -> Builder + Clone + 'static,
    ) -> Self {
        Self::with_stores(vec![store; instances], change).await
    }

    /// One instance for each of these, which lead to the same records.
    pub async fn with_stores(
        stores: Vec<impl SessionStore>,
        change: impl Fn(Builder) -> Builder + Clone + 'static,
    ) -> Self {
        let mut all: Vec<App> = Vec::new();
        for store in stores {
            let change = change.clone();
            let redirect_uri = all.first().map(|first| format!("{}/callback", first.url));
            let builder = App::builder().layer(move |builder| {
                let builder = change(builder.store(store));
                match redirect_uri {
                    Some(uri) => builder.redirect_uri(uri),
                    None => builder,
                }
            });
            let builder = match all.first() {
                Some(first) => builder.beside(first),
                None => builder,
            };
            all.push(builder.start().await);
        }
        Self { instances: all }
    }

    pub fn first(&self) -> &App {
        &self.instances[0]
    }

    /// Moves everybody's time: the clock is one.
    pub fn advance(&self, seconds: u64) {
        self.first().advance(seconds);
    }

    pub fn refreshes(&self) -> u64 {
        self.first().sentinel.counts().refreshes
    }
}

impl std::ops::Index<usize> for Fleet {
    type Output = App;

    fn index(&self, at: usize) -> &App {
        &self.instances[at]
    }
}
