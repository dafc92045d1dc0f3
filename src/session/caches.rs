//! Values opened before, apart by how they travel.

use super::carrier::Carrier;
use crate::cache::Cache;

/// A cache for each way a session travels, so that what was opened as one is never found as the
/// other.
pub(crate) struct Caches<T> {
    cookies: Cache<T>,
    tokens: Cache<T>,
}

impl<T: Clone> Caches<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { cookies: Cache::new(capacity), tokens: Cache::new(capacity) }
    }

    #[inline]
    pub(crate) fn of(&self, carrier: Carrier) -> &Cache<T> {
        match carrier {
            Carrier::Cookie => &self.cookies,
            Carrier::Token => &self.tokens,
        }
    }
}
