//! Three gateways on one broker: a token taken back at one is refused at all, and what happens when the
//! broker dies.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http::{Method, StatusCode};
use jsonwebtoken::Algorithm;
use serde_json::json;
use uuid::Uuid;

use crate::app::{App, AppError};
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::token::mint::SigningKey;

use super::broker::{Broker, BrokerKind};
use super::call::{Answer, call};
use super::services::{self, Issuer};
use super::{Stage, configuration, story, write_private};

/// One of the gateways.
struct Node {
    stage: Stage,
    shutdown: Shutdown,
    thread: JoinHandle<Result<(), AppError>>,
}

const NODES: usize = 3;
/// How old the gateways' knowledge may be; short, so that the story is.
const MAX_STALENESS: Duration = Duration::from_secs(2);

/// Plays the story to its end.
pub fn run(kind: BrokerKind, out: &mut dyn Write) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the demo's runtime")?;
    let folder = std::env::temp_dir().join(format!("portcullis-cluster-{}", std::process::id()));
    fs::create_dir_all(&folder).context("making the demo's folder")?;
    let played = play(&runtime, kind, &folder, out);
    let cleared = fs::remove_dir_all(&folder).context("removing the demo's folder");
    played.and(cleared)
}

fn play(
    runtime: &tokio::runtime::Runtime,
    kind: BrokerKind,
    folder: &Path,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut broker = Broker::start(kind, folder)?;
    let nodes = runtime.block_on(start(folder, &broker.table()))?;
    let told = runtime.block_on(tell(kind, &nodes, &mut broker, out));
    for node in &nodes {
        node.shutdown.begin();
    }
    for node in nodes {
        let ended = node.thread.join();
        ended.map_err(|_panic| anyhow::anyhow!("a gateway panicked"))??;
    }
    told
}

async fn start(folder: &Path, table: &str) -> anyhow::Result<Vec<Node>> {
    let (upstream, upstream_at) = services::listen(0).await?;
    let (keys, issuer_at) = services::listen(0).await?;
    let key = SigningKey::generate(Algorithm::RS256)?;
    let issuer = Arc::new(Issuer::new(key, format!("http://{issuer_at}/")));
    tokio::spawn(services::serve_upstream(upstream));
    tokio::spawn(services::serve_issuer(keys, Arc::clone(&issuer)));
    let store = format!("{table}\nmax_staleness = \"{}s\"", MAX_STALENESS.as_secs());
    let mut nodes = Vec::new();
    for number in 1..=NODES {
        let folder = folder.join(format!("gateway-{number}"));
        fs::create_dir_all(&folder)?;
        let store = format!("{store}\nnode = \"gateway {number}\"");
        let text = configuration(0, 0, upstream_at, issuer_at, &store);
        nodes.push(start_node(folder.as_path(), &text, &issuer)?);
    }
    Ok(nodes)
}

fn start_node(folder: &Path, text: &str, issuer: &Arc<Issuer>) -> anyhow::Result<Node> {
    let credential = format!("demo-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    write_private(&folder.join("control.token"), &credential)?;
    let origin = folder.join("gateway.toml");
    fs::write(&origin, text)?;
    let app = App::bind(Config::parse(text, &origin)?, None)?;
    let stage = Stage {
        folder: folder.to_owned(),
        gateway: app.data_address(),
        control: app.control_address().context("the demo's control port is TCP")?,
        issuer: Arc::clone(issuer),
        credential,
    };
    let (shutdown, drain) = Shutdown::new();
    let named = std::thread::Builder::new().name("gateway".to_owned());
    Ok(Node { stage, shutdown, thread: named.spawn(|| app.run(drain))? })
}

async fn tell(
    kind: BrokerKind,
    nodes: &[Node],
    broker: &mut Broker,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "portcullis cluster-demo: {NODES} gateways on one {}\n", kind.word())?;
    for (node, number) in nodes.iter().zip(1..) {
        story::until_ready(&node.stage).await?;
        writeln!(out, "  gateway {number}   http://{}", node.stage.gateway)?;
    }
    let issuer = &nodes[0].stage.issuer;
    let (phone, _) = issuer.token("alice", "access");
    let (laptop, _) = issuer.token("alice", "access");
    writeln!(out)?;
    everywhere(out, "1. alice's phone asks", nodes, &phone, StatusCode::OK).await?;
    spread(out, nodes, &phone).await?;
    everywhere(out, "3. alice's laptop still may", nodes, &laptop, StatusCode::OK).await?;
    without_broker(out, nodes, broker, &phone, &laptop).await?;
    broker.again()?;
    let back = Instant::now();
    for node in nodes {
        story::until_ready(&node.stage).await?;
    }
    writeln!(out, "8. the broker is back; every gateway is ready after {:.1?}", back.elapsed())?;
    everywhere(out, "   the phone is refused still", nodes, &phone, StatusCode::UNAUTHORIZED)
        .await?;
    everywhere(out, "   the laptop may", nodes, &laptop, StatusCode::OK).await?;
    let confirmed = revoke(&nodes[1], &laptop, StatusCode::CREATED).await?;
    writeln!(out, "9. gateway 2 revokes the laptop's token, wait=all")?;
    writeln!(out, "   confirmed by {confirmed:<32}201")?;
    everywhere(out, "   the laptop asks", nodes, &laptop, StatusCode::UNAUTHORIZED).await
}

/// The token is taken back at the first gateway, while a client hammers each of them with it.
async fn spread(out: &mut dyn Write, nodes: &[Node], token: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let watch = |node: &Node| {
        let (gateway, token) = (node.stage.gateway, token.to_owned());
        tokio::spawn(async move { refused_after(gateway, &token, begun).await })
    };
    let watching: Vec<_> = nodes.iter().map(watch).collect();
    let asked = begun.elapsed();
    let confirmed = revoke(&nodes[0], token, StatusCode::CREATED).await?;
    let answered = begun.elapsed() - asked;
    writeln!(out, "2. gateway 1 revokes the phone's token, wait=all")?;
    writeln!(out, "   confirmed by {confirmed:<32}201 after {answered:.1?}")?;
    ensure!(confirmed.split(", ").count() == NODES, "not every gateway has confirmed");
    for (watching, number) in watching.into_iter().zip(1..) {
        let refused = watching.await??.saturating_sub(asked);
        writeln!(
            out,
            "   refused at gateway {number}                           401 after {refused:.1?}"
        )?;
    }
    everywhere(out, "   and from then on", nodes, token, StatusCode::UNAUTHORIZED).await
}

async fn without_broker(
    out: &mut dyn Write,
    nodes: &[Node],
    broker: &mut Broker,
    phone: &str,
    laptop: &str,
) -> anyhow::Result<()> {
    broker.kill();
    let killed = Instant::now();
    writeln!(out, "4. the broker is killed (kill -9)")?;
    everywhere(out, "5. from memory: the phone", nodes, phone, StatusCode::UNAUTHORIZED).await?;
    everywhere(out, "   from memory: the laptop", nodes, laptop, StatusCode::OK).await?;
    revoke(&nodes[0], laptop, StatusCode::SERVICE_UNAVAILABLE).await?;
    writeln!(out, "6. gateway 1 can't record a revocation       503, and nothing is half done")?;
    for node in nodes {
        let gateway = node.stage.gateway;
        while ask(gateway, laptop).await?.status == StatusCode::OK {
            let limit = MAX_STALENESS + Duration::from_secs(5);
            ensure!(killed.elapsed() < limit, "a gateway goes on with what it can't know");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let stale = killed.elapsed();
    let what = format!("7. {stale:.1?} later nobody guesses (503)");
    everywhere(out, &what, nodes, laptop, StatusCode::SERVICE_UNAVAILABLE).await
}

/// Asks until the token is refused; how long that was after `begun`.
async fn refused_after(
    gateway: SocketAddr,
    token: &str,
    begun: Instant,
) -> anyhow::Result<Duration> {
    loop {
        let answer = ask(gateway, token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < Duration::from_secs(20), "a revoked token still passes");
    }
}

async fn ask(gateway: SocketAddr, token: &str) -> anyhow::Result<Answer> {
    call(gateway, Method::GET, "/orders/42", Some(token), None).await
}

/// Revokes, and waits for all; the names of those that confirmed.
async fn revoke(node: &Node, token: &str, want: StatusCode) -> anyhow::Result<String> {
    let Stage { control, credential, .. } = &node.stage;
    let body = json!({ "token": token, "reason": "stolen" });
    let target = "/v1/revocations?wait=all&timeout=5s";
    let answer = call(*control, Method::POST, target, Some(credential), Some(body)).await?;
    ensure!(answer.status == want, "revoking answered {}: {}", answer.status, answer.body);
    let confirmed = answer.body["nodes"]["confirmed"].as_array();
    let confirmed = confirmed.map(Vec::as_slice).unwrap_or_default();
    let names = confirmed.iter().filter_map(|node| node["name"].as_str());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    Ok(names.join(", "))
}

/// Asks each gateway once and fails the demo when one answers otherwise.
async fn everywhere(
    out: &mut dyn Write,
    step: &str,
    nodes: &[Node],
    token: &str,
    want: StatusCode,
) -> anyhow::Result<()> {
    write!(out, "{step:<44}")?;
    for node in nodes {
        let answer = ask(node.stage.gateway, token).await?;
        write!(out, " {}", answer.status.as_u16())?;
        ensure!(answer.status == want, "{step}: {} instead of {want}", answer.status);
    }
    writeln!(out)?;
    Ok(())
}
