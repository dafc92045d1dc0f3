//! How long a lease on a refresh lasts, for tests that cannot wait for the real one.

use std::time::Duration;

use crate::Builder;

/// Sets how long the lease on a refresh lasts that its holder does not renew: 12 seconds outside
/// tests. The holder renews it three times as often.
///
/// Instances that share a store have to agree on it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::{LpAuthLayer, MemoryStore, test_kit};
///
/// let builder = LpAuthLayer::builder().store(MemoryStore::default());
/// let builder = test_kit::lease(builder, Duration::from_secs(2));
/// # let _ = builder;
/// ```
pub fn lease(builder: Builder, lease: Duration) -> Builder {
    builder.lease(lease)
}
