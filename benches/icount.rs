//! Makes so many decisions and says nothing: what callgrind counts for `scripts/icount`.
//!
//! `icount KIND COUNT`. Two counts of one kind differ by the decisions alone, so the start is not in
//! the figure.

mod support;

use std::hint::black_box;

use jsonwebtoken::Algorithm;
use portcullis::revocation::Op;

use http::request::Parts;
use support::{Gate, record, request, token_id};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let kind = arguments.next().unwrap_or_else(|| "cached".to_owned());
    let count = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_u32);
    let gate = Gate::new(Algorithm::HS256);
    gate.revoke_strangers(1000);
    gate.gateway.revocations().set().apply(&record(token_id(2), Op::Revoke));
    let (token, admitted) = match kind.as_str() {
        "cached" => (gate.token(1), true),
        "revoked" => (gate.token(2), false),
        "expired" => (gate.expired(), false),
        "forged" => (format!("{}AAAA", &gate.token(1)[..gate.token(1).len() - 4]), false),
        "cold" => return cold(&gate, count),
        "cold-rs256" => return cold(&Gate::new(Algorithm::RS256), count),
        other => panic!("no kind {other}: cached, revoked, expired, forged, cold or cold-rs256"),
    };
    let mut head = request(&token);
    for _ in 0..count {
        assert_eq!(gate.admits(black_box(&mut head)), admitted);
    }
}

/// Each token once. The requests are made by a function of their own: `--toggle-collect` leaves them out.
fn cold(gate: &Gate, count: u32) {
    let mut heads: Vec<Parts> =
        (0..count).map(|it| request(&gate.token(10 + u64::from(it)))).collect();
    for head in &mut heads {
        assert!(gate.admits(black_box(head)));
    }
}
