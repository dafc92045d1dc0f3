//! A build in which rustls has two providers of cryptography: a program of its own, since the choice
//! is made once per process.

mod support;

use rustls::crypto::{CryptoProvider, ring};
use support::redis::{Authority, RedisServer};
use tower_lp_auth::{RedisStore, store::SessionStore};

/// S09: rustls cannot choose between two providers and would panic at the first connection.
#[tokio::test]
async fn a_store_with_tls_chooses_aws_lc_rs_where_nothing_has_been_chosen() {
    let _also_in_this_build = ring::default_provider();
    let authority = Authority::new();
    let server = RedisServer::with_tls(&authority).await;

    let plain = RedisStore::new(server.url()).unwrap();
    assert_eq!(plain.load("key").await.unwrap(), None);
    assert!(CryptoProvider::get_default().is_none(), "chosen without need");

    let builder = RedisStore::builder(server.tls_url()).ca_certificate(authority.pem());
    let encrypted = builder.build().unwrap();
    let chosen = CryptoProvider::get_default().expect("a choice");
    let chosen = format!("{:?}", chosen.key_provider);
    assert!(chosen.contains("AwsLc"), "{chosen}");
    assert_eq!(encrypted.load("key").await.unwrap(), None);
}
