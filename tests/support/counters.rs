//! The layer's metrics, read as a recorder would export them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::{App, AppBuilder};

/// The counters and gauges of the layers that are built on this thread while they listen.
#[derive(Default)]
pub struct Counters {
    recorder: DebuggingRecorder,
    sums: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    /// Listens until the guard is dropped; a layer built meanwhile counts on.
    pub fn listen(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(&self.recorder)
    }

    /// An application, and its counters.
    pub async fn of(builder: AppBuilder) -> (App, Self) {
        let counters = Self::default();
        let app = {
            let _listening = counters.listen();
            builder.start().await
        };
        (app, counters)
    }

    /// Each series, as `name{label=value}`, with its sum or its state.
    pub fn read(&self) -> BTreeMap<String, u64> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _, _, value) in self.recorder.snapshotter().snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let labels: Vec<String> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let series = match labels.join(",") {
                labels if labels.is_empty() => key.name().to_owned(),
                labels => format!("{}{{{labels}}}", key.name()),
            };
            // A snapshot takes what it shows, of a gauge too.
            let change = match value {
                DebugValue::Counter(count) => i64::try_from(count).expect("a small number"),
                DebugValue::Gauge(change) => *change as i64,
                DebugValue::Histogram(_) => panic!("{series} is a histogram"),
            };
            let sum = sums.entry(series).or_default();
            *sum = sum.checked_add_signed(change).expect("never below zero");
        }
        sums.clone()
    }

    #[track_caller]
    pub fn get(&self, series: &str) -> u64 {
        *self.read().get(series).unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// The sum of all series of one name.
    pub fn sum_of(&self, name: &str) -> u64 {
        self.read().iter().filter(|(series, _)| series.starts_with(name)).map(|(_, n)| n).sum()
    }

    /// How many refreshes have come to this.
    #[track_caller]
    pub fn refreshes(&self, outcome: &str) -> u64 {
        self.get(&format!("lp_auth_refreshes_total{{outcome={outcome}}}"))
    }

    /// How many logins have come to this.
    #[track_caller]
    pub fn logins(&self, outcome: &str) -> u64 {
        self.get(&format!("lp_auth_logins_total{{outcome={outcome}}}"))
    }
}
