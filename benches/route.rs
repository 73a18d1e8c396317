//! What finding a route costs against the number of routes: it should not grow.

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use jsonwebtoken::Algorithm;
use portcullis::route;

use support::{Gate, request};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = routes
}
criterion_main!(benches);

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [1, 100, 10_000] {
        let gate = Gate::with_routes(Algorithm::HS256, count);
        for (kind, path) in [("found", "/orders/17/items/4"), ("none", "/nowhere/17/items/4")] {
            group.bench_function(BenchmarkId::new(kind, count), |bencher| {
                bencher.iter(|| {
                    let path = route::judge(black_box(path)).expect("a good path");
                    let found = gate.snapshot.routes.find("api.example.com", &path, &Method::GET);
                    black_box(found.is_ok())
                });
            });
        }
        let mut head = request(&gate.token(1));
        assert!(gate.admits(&mut head));
        group.bench_function(BenchmarkId::new("whole decision, cached", count), |bencher| {
            bencher.iter(|| gate.admits(black_box(&mut head)));
        });
    }
    group.finish();
}
