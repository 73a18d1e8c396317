//! `[revocation]`: what is checked, and where the records are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::config::raw::{Node, Table};
use crate::revocation::{
    FeedConfig, REGISTERED, RegisterConfig, RevocationConfig, RevocationMode, WhenStale,
};
use crate::token::{TokenType, TokenTypes};

/// Claims by which revoking is always possible; no slot of the set is spent on them here.
const ALWAYS: [&str; 4] = ["jti", "iss", "kid", "token"];
const DEFAULT_CLAIMS: [&str; 3] = ["sub", "sid", "client_id"];
const MOST_CLAIMS: usize = 24;
const MOST_TOKENS: u64 = 10_000_000;

/// The table, and beside which file a made credential is kept.
pub(super) fn revocation(table: &Table<'_>) -> (RevocationConfig, PathBuf) {
    let mode = table.read("mode", mode).unwrap_or_default();
    let embedded = table.section("embedded");
    let path = embedded.read("path", Node::file);
    let path = path.unwrap_or_else(|| embedded.resolved("revocations.redb"));
    let staleness = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let feed = store::feed(table, &path);
    let config = RevocationConfig {
        local_copy: local_copy(table, &feed),
        feed,
        mode,
        register: register(&table.section("register"), mode),
        check: table.read("check", kinds).unwrap_or(TokenTypes::BOTH),
        claims: table
            .read("claims", claims)
            .unwrap_or_else(|| DEFAULT_CLAIMS.map(Arc::from).into()),
        max_staleness: table
            .read("max_staleness", |node| node.duration(staleness))
            .unwrap_or(Duration::from_secs(10)),
        when_stale: table.read("when_stale", when_stale).unwrap_or(WhenStale::Reject),
        node: table.read("node", node_name),
    };
    (config, path)
}

/// A store that is elsewhere has a copy here.
fn local_copy(table: &Table<'_>, feed: &FeedConfig) -> Option<PathBuf> {
    let embedded = matches!(feed, FeedConfig::Embedded { .. });
    let given = table.read("local_copy", |node| {
        let path = node.file()?;
        if embedded {
            let help = "remove it, or set `feed` to redis, nats or postgres";
            return node.wrong_but("the embedded store is on this machine already", help);
        }
        Some(path)
    });
    (!embedded).then(|| given.unwrap_or_else(|| table.resolved("revocations.copy.redb")))
}

fn mode(node: &Node<'_>) -> Option<RevocationMode> {
    node.word(&[("deny-list", RevocationMode::DenyList), ("allow-list", RevocationMode::AllowList)])
}

/// On by default where tokens have to be registered anyway.
fn register(table: &Table<'_>, mode: RevocationMode) -> Option<RegisterConfig> {
    let enabled = table.read("enabled", Node::flag);
    let most = table.read("max_tokens", |node| node.integer(1..=MOST_TOKENS));
    let every = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let seen_every = table.read("seen_every", |node| node.duration(every));
    enabled.unwrap_or(mode == RevocationMode::AllowList).then(|| RegisterConfig {
        max_tokens: most.and_then(|most| usize::try_from(most).ok()).unwrap_or(100_000),
        seen_every: seen_every.unwrap_or(Duration::from_secs(30)),
    })
}

pub(super) fn when_stale(node: &Node<'_>) -> Option<WhenStale> {
    node.word(&[("reject", WhenStale::Reject), ("allow", WhenStale::Allow)])
}

/// Kinds of token: a list, which may be empty, or one word.
pub(super) fn kinds(node: &Node<'_>) -> Option<TokenTypes> {
    const KINDS: [(&str, TokenType); 2] =
        [("access", TokenType::Access), ("refresh", TokenType::Refresh)];
    if node.plain_text().is_some() {
        return node.word(&[
            ("access", TokenTypes::ACCESS),
            ("refresh", TokenTypes::REFRESH),
            ("both", TokenTypes::BOTH),
        ]);
    }
    let kinds = node.distinct_or_none(|element| element.word(&KINDS))?;
    Some(kinds.into_iter().collect())
}

fn node_name(node: &Node<'_>) -> Option<Arc<str>> {
    let name = node.text()?;
    if name.len() > 128 {
        return node.wrong("a node's name has at most 128 bytes");
    }
    Some(name.into())
}

fn claims(node: &Node<'_>) -> Option<Vec<Arc<str>>> {
    let given = node.distinct_or_none(|element| {
        let name = element.text()?;
        if name.len() > 128 {
            return element.wrong("a claim's name here has at most 128 bytes");
        }
        if name == REGISTERED {
            return element.wrong("this word stands for registered tokens");
        }
        Some(name)
    })?;
    let mut claims: Vec<Arc<str>> = Vec::new();
    for name in given {
        // RFC 9068 says client_id where OpenID Connect says azp; both are one to the set.
        let name = if name == "azp" { "client_id" } else { name };
        if !ALWAYS.contains(&name) && !claims.iter().any(|claim| &**claim == name) {
            claims.push(name.into());
        }
    }
    if claims.len() > MOST_CLAIMS {
        return node.wrong(format!("at most {MOST_CLAIMS} claims can be revoked by"));
    }
    Some(claims)
}
