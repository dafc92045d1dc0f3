//! How long one request takes behind the layer, and behind layers that do less.

#![allow(missing_docs, reason = "made by a macro")]

mod contenders;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Builder;

fn requests(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("request");
    for mut contender in runtime.block_on(contenders::all()) {
        group.bench_function(contender.name, |bencher| bencher.iter(|| contender.ask()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(60);
    targets = requests
}
criterion_main!(benches);
