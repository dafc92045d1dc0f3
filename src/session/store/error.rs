//! Why a store has not done what it was asked.

use crate::error::BoxError;

/// Why a store has not done what it was asked.
///
/// No variant means "not there": absence is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The key is in use.
    #[error("the key is in use")]
    Taken,
    /// There is no room; what is there stays.
    #[error("the session store is full: give it more room")]
    Full,
    /// The store does not let the application do this: credentials or rights are wrong.
    #[error("the session store refuses the application: check its user, password and rights")]
    Refused(#[source] BoxError),
    /// No whole answer has come, or one that says "not now".
    #[error("the session store cannot be used now")]
    Unavailable(#[source] BoxError),
}

impl StoreError {
    /// The kind as it stands in logs and metrics.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Full => "full",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
