//! Three real gateways on a real broker: who waits for the others hears which have confirmed, and those
//! refuse from then on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::{Answer, ask, get};
use crate::support::eventually::eventually;
use crate::support::gateway::{CREDENTIAL, ORDERS, configuration, folder};
use crate::support::issuer::TestIssuer;
use crate::support::program::Program;
use crate::support::servers::nats::NatsServer;
use crate::support::servers::postgres::PostgresServer;
use crate::support::servers::redis::{Keeps, RedisServer};
use crate::support::upstream::TestUpstream;

struct Cluster {
    nodes: Vec<Program>,
    issuer: TestIssuer,
    _upstream: TestUpstream,
    _folders: Vec<tempfile::TempDir>,
}

const NAMES: [&str; 3] = ["gateway-1", "gateway-2", "gateway-3"];
const REVOCATIONS: &str = "/v1/revocations";

impl Cluster {
    /// Three programs on one store; each knows of all.
    fn start(table: &str) -> Self {
        let (upstream, issuer) = (TestUpstream::start(), TestIssuer::new());
        let jwks = issuer.key.jwks();
        let folders: Vec<_> = NAMES.iter().map(|_| folder(&[("jwks.json", &jwks)])).collect();
        let start = |(folder, name): (&tempfile::TempDir, &&str)| {
            let own = format!("{table}\nmax_staleness = \"2s\"\nnode = \"{name}\"");
            let usual = "embedded = { path = \"revocations.redb\" }";
            let text = configuration(&upstream, ORDERS).replace(usual, &own);
            let file = folder.path().join("gateway.toml");
            std::fs::write(&file, text).expect("written");
            Program::start(&file)
        };
        let nodes = folders.iter().zip(&NAMES).map(start).collect();
        let cluster = Self { nodes, issuer, _upstream: upstream, _folders: folders };
        for node in 0..3 {
            cluster.until_listed(node, &NAMES);
        }
        cluster
    }

    fn call(&self, node: usize, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let call = ask(self.nodes[node].control, method, target).bearer(CREDENTIAL);
        body.map_or_else(|| call.clone(), |body| call.clone().json(body)).send()
    }

    fn revoke(&self, node: usize, id: &str, query: &str) -> Answer {
        let body = json!({ "claim": "jti", "value": id });
        self.call(node, "POST", &format!("{REVOCATIONS}?{query}"), Some(&body))
    }

    /// The status with which a node answers whoever carries the token.
    fn asked(&self, node: usize, id: &str) -> u16 {
        let token = self.issuer.token(json!({ "jti": id }));
        get(self.nodes[node].data, "/orders/1").bearer(&token).send().status
    }

    #[track_caller]
    fn everywhere(&self, id: &str, status: u16) {
        for (node, name) in NAMES.iter().enumerate() {
            assert_eq!(self.asked(node, id), status, "{id} at {name}");
        }
    }

    fn until_listed(&self, node: usize, names: &[&str]) {
        eventually("every node is listed", || {
            let listed = self.call(node, "GET", "/v1/nodes", None).json();
            let items = listed["items"].as_array().expect("items").clone();
            let this: Vec<_> = items.iter().filter(|item| item["this"] == true).collect();
            assert_eq!((this.len(), &this[0]["name"]), (1, &json!(NAMES[node])));
            (self::names(&listed["items"]) == names).then_some(())
        });
    }
}

fn names(nodes: &Value) -> Vec<&str> {
    let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<_> =
        nodes.iter().map(|node| node["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    names
}

/// The status, who confirmed and who is missing.
#[track_caller]
fn expect(answer: &Answer, status: u16, confirmed: &[&str], missing: &[&str]) {
    let body = answer.json();
    let (one, other) = (names(&body["nodes"]["confirmed"]), names(&body["nodes"]["missing"]));
    assert_eq!((answer.status, &*one, &*other), (status, confirmed, missing), "{body}");
}

fn all_confirm_and_then_refuse(cluster: &Cluster) {
    for round in 0..9 {
        let id = format!("all-{round}");
        cluster.everywhere(&id, 200);
        let answer = cluster.revoke(round % 3, &id, "wait=all&timeout=20s");
        expect(&answer, 201, &NAMES, &[]);
        cluster.everywhere(&id, 401);
    }
    let target = format!("{REVOCATIONS}?claim=jti&value=all-0&wait=all&timeout=20s");
    expect(&cluster.call(1, "DELETE", &target, None), 200, &NAMES, &[]);
    cluster.everywhere("all-0", 200);
    // Without waiting nobody is asked.
    expect(&cluster.revoke(0, "alone", ""), 201, &NAMES[..1], &[]);
    let two = cluster.revoke(1, "two", "wait=2&timeout=20s");
    assert_eq!(two.status, 201, "{}", two.text());
    assert!(names(&two.json()["nodes"]["confirmed"]).len() >= 2);
}

fn an_import_is_confirmed_as_a_whole(cluster: &Cluster) {
    let ids: Vec<_> = (0..40).map(|number| format!("many-{number}")).collect();
    let line = |id: &String| format!("{}\n", json!({ "claim": "jti", "value": id }));
    let lines: String = ids.iter().map(line).collect();
    let target = format!("{REVOCATIONS}/import?wait=all&timeout=20s");
    let call = ask(cluster.nodes[2].control, "POST", &target).bearer(CREDENTIAL);
    let answer = call.field("Content-Type", "application/x-ndjson").body(lines.as_bytes()).send();
    expect(&answer, 200, &NAMES, &[]);
    assert_eq!(answer.json()["accepted"], 40);
    for id in &ids {
        cluster.everywhere(id, 401);
    }
}

fn what_is_malformed_is_refused_and_does_nothing(cluster: &Cluster) {
    for (query, field) in [
        ("wait=some", "wait"),
        ("wait=0", "wait"),
        ("wait=-1", "wait"),
        ("wait=all&timeout=61s", "timeout"),
        ("wait=all&timeout=2", "timeout"),
        ("wait=all&wait=2", "wait"),
    ] {
        let answer = cluster.revoke(0, "odd", query);
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!(field)), "{query}");
    }
    cluster.everywhere("odd", 200);
}

fn a_hanging_node_is_missing_until_it_drops_out(cluster: &Cluster) {
    let (two, last) = (&NAMES[..2], &NAMES[2..]);
    cluster.nodes[2].signal("STOP");
    let stopped = Instant::now();
    expect(&cluster.revoke(0, "hung", "wait=all&timeout=500ms"), 202, two, last);
    assert_eq!(cluster.revoke(1, "hung-2", "wait=2&timeout=20s").status, 201);
    expect(&cluster.revoke(1, "hung-3", "wait=3&timeout=100ms"), 202, &[NAMES[0], NAMES[1]], last);
    for node in 0..2 {
        assert_eq!(cluster.asked(node, "hung"), 401, "it is recorded and enforced all the same");
    }
    // One that waits long enough is answered when the node is out, not when its time is over.
    expect(&cluster.revoke(0, "out", "wait=all&timeout=30s"), 201, two, &[]);
    let gone = stopped.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&gone), "{gone:?}");
    cluster.until_listed(1, two);
    cluster.nodes[2].signal("CONT");
    // It was away for longer than `max_staleness`: it may not know, and may not let pass.
    eventually("it has caught up", || {
        let status = cluster.asked(2, "out");
        assert_ne!(status, 200, "a token passes that all who lived had confirmed");
        (status == 401).then_some(())
    });
    cluster.until_listed(0, &NAMES);
    expect(&cluster.revoke(0, "again", "wait=all&timeout=20s"), 201, &NAMES, &[]);
    cluster.everywhere("again", 401);
}

fn a_node_that_ends_is_not_waited_for(cluster: &mut Cluster) {
    cluster.nodes[2].signal("TERM");
    assert!(cluster.nodes[2].ended().success());
    expect(&cluster.revoke(0, "ended", "wait=all&timeout=20s"), 201, &NAMES[..2], &[]);
    let metrics = get(cluster.nodes[0].control, "/metrics").send().text();
    for line in ["portcullis_waits_total{outcome=\"missing\"} 1", "portcullis_nodes 2"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

fn tell_the_story(table: &str) {
    let mut cluster = Cluster::start(table);
    all_confirm_and_then_refuse(&cluster);
    an_import_is_confirmed_as_a_whole(&cluster);
    what_is_malformed_is_refused_and_does_nothing(&cluster);
    a_hanging_node_is_missing_until_it_drops_out(&cluster);
    a_node_that_ends_is_not_waited_for(&mut cluster);
}

#[test]
fn three_gateways_on_redis_confirm_to_whom_waits() {
    let server = RedisServer::start(Keeps::All);
    tell_the_story(&format!("feed = \"redis\"\nredis = {{ url = \"{}\" }}", server.url()));
}

#[test]
fn three_gateways_on_jetstream_confirm_to_whom_waits() {
    let server = NatsServer::start();
    tell_the_story(&format!("feed = \"nats\"\nnats = {{ url = \"{}\" }}", server.url()));
}

#[test]
fn three_gateways_on_postgres_confirm_to_whom_waits() {
    let database = PostgresServer::database();
    let url = database.url("postgres");
    tell_the_story(&format!("feed = \"postgres\"\npostgres = {{ url = \"{url}\" }}"));
}
