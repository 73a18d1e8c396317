//! What forwarding costs, end to end in one process: a client on a kept connection, the real gateway,
//! an upstream that answers at once. All three share the machine, so this holds our own changes against
//! each other; `benches/compare` holds the gateway against others.

mod support;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::Algorithm;
use tokio::net::TcpListener;

use support::serving::Serving;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = forward
}
criterion_main!(benches);

fn forward(criterion: &mut Criterion) {
    let upstream = upstream();
    let gateway = Serving::start(Algorithm::RS256, upstream);
    let token = gateway.token(1);
    let mut group = criterion.benchmark_group("forward");
    for (name, path, length) in [("128 B", "/orders/small", 128), ("1 MiB", "/orders/large", LARGE)]
    {
        group.throughput(Throughput::Bytes(length as u64));
        for (way, address) in [("gateway", gateway.address), ("upstream alone", upstream)] {
            let mut client = TcpStream::connect(address).expect("a connection");
            client.set_nodelay(true).expect("a socket");
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let mut buffer = vec![0; 64 * 1024];
            group.bench_function(format!("{name}, {way}"), |bencher| {
                bencher.iter(|| ask(&mut client, request.as_bytes(), length, &mut buffer));
            });
        }
    }
    group.finish();
}

const LARGE: usize = 1 << 20;

/// Sends the request and reads the answer, whose body has that length.
fn ask(client: &mut TcpStream, request: &[u8], length: usize, buffer: &mut [u8]) {
    client.write_all(request).expect("sent");
    let (mut head, mut read) = (None, 0);
    while head.is_none_or(|head| read < head + length) {
        let count = client.read(buffer).expect("an answer");
        assert!(count > 0, "the connection was closed");
        if head.is_none() {
            assert!(buffer.starts_with(b"HTTP/1.1 200 "), "not 200");
            let end = buffer[..count].windows(4).position(|four| four == b"\r\n\r\n");
            head = Some(end.expect("a head in one piece") + 4);
        }
        read += count;
    }
}

/// hyper alone, on a thread of its own that ends with the process.
fn upstream() -> SocketAddr {
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            told.send(listener.local_addr().expect("an address")).expect("somebody waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::spawn(served);
            }
        });
    });
    address.recv().expect("an address")
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; LARGE] = [b'x'; LARGE];
    let large = request.uri().path() == "/orders/large";
    let body = if large { &BODY[..] } else { &BODY[..128] };
    Ok(Response::new(Full::new(Bytes::from_static(body))))
}
