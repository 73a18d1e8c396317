//! The embedded store's process killed with SIGKILL at random moments: nothing acknowledged is lost,
//! nothing is invented.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use portcullis::clock::UnixTime;
use portcullis::feed::embedded::EmbeddedStore;
use portcullis::revocation::RevocationLog;

use crate::support::records::{load, reinstate, revoke};

const STORE: &str = "PORTCULLIS_TEST_KILLED_STORE";
const ROUND: &str = "PORTCULLIS_TEST_ROUND";
const ROUNDS: u64 = 30;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.redb");
    let (mut acknowledged, mut total) = (BTreeSet::new(), 0);
    for round in 0..ROUNDS {
        let answered = killed_writer(&path, round);
        total += answered.len();
        acknowledged.extend(answered);
        let store = EmbeddedStore::open(&path).expect("the store opens");
        let (live, _) = load(&mut store.feed()).await;
        let live: BTreeSet<String> = live.into_keys().map(|name| name.value.to_string()).collect();
        let lost: Vec<_> = acknowledged.difference(&live).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        let strange = live.iter().filter(|value| !was_asked_for(value));
        assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new(), "round {round} invented");
        // What was written and not acknowledged before the kill may be there, and then stays.
        acknowledged = live;
    }
    assert!(total > 100, "only {total} records were acknowledged in all rounds");
}

/// Starts a writer, kills it after a while, and answers with what it said was acknowledged.
fn killed_writer(path: &Path, round: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "store_kill::the_writer_that_is_killed", "--nocapture"])
        .env(STORE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let stdout = child.stdout.take().expect("piped");
    let (send, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let mut answered = Vec::new();
    let mut note = |line: String| {
        let answer = line.strip_prefix("ok ").map(str::to_owned);
        let is_answer = answer.is_some();
        answered.extend(answer);
        is_answer
    };
    // However slow the machine: some answers first, and a few milliseconds into the next it dies.
    let mut wanted = 1 + round % 9;
    while wanted > 0 {
        let line = lines.recv_timeout(Duration::from_secs(60)).expect("another line");
        wanted -= u64::from(note(line));
    }
    let moment = Duration::from_micros(round * round * 7919 % 30_000);
    let end = std::time::Instant::now() + moment;
    while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
        if let Ok(line) = lines.recv_timeout(left) {
            note(line);
        }
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    lines.iter().for_each(|line| {
        note(line);
    });
    reader.join().expect("the reader");
    answered
}

fn was_asked_for(value: &str) -> bool {
    let parts: Vec<u64> = value.split('-').filter_map(|part| part.parse().ok()).collect();
    parts.len() == 3 && parts[0] < ROUNDS && parts[1] < 4
}

/// Not a test by itself: the process that the test above starts and kills.
#[test]
fn the_writer_that_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        assert!(std::env::var_os(ROUND).is_none(), "a round without a store");
        return;
    };
    let round = std::env::var(ROUND).expect("a round");
    let store = EmbeddedStore::open(path).expect("the store opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let writers = (0..4).map(|writer| {
        let (log, round) = (store.log(), round.clone());
        runtime.spawn(async move {
            for i in 0_u64.. {
                let value = format!("{round}-{writer}-{i}");
                // A reinstatement on the way: its entry is not acknowledged as revoked.
                let other = format!("{round}-{writer}-{}", u64::MAX);
                let batch = vec![revoke(&other, 9), revoke(&value, 9), reinstate(&other)];
                log.append(batch).await.expect("appended");
                say(&value);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // The log is folded into the entries all the while: that too is broken off at any moment.
    let log = store.log();
    runtime.spawn(async move {
        loop {
            log.compact(UnixTime::EPOCH).await.expect("compacted");
        }
    });
    for writer in writers {
        runtime.block_on(writer).expect("a writer");
    }
}

/// On standard output, and not through the test harness, which may hold it back.
fn say(value: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ok {value}").and_then(|()| out.flush()).expect("the parent listens");
}
