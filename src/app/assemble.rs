//! Makes a source of checked settings.

use std::sync::Arc;

use super::{builder::AppTokenSourceBuilder, source::AppTokenSource, stock::Stock};
use crate::config::ConfigError;

impl AppTokenSourceBuilder {
    /// Checks the settings and makes the source. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and the remedy.
    pub fn build(self) -> Result<AppTokenSource, ConfigError> {
        let client = self.settings.build_client()?;
        Ok(AppTokenSource::new(Arc::new(Stock::new(client))))
    }
}
