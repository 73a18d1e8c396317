//! Where a route's requests go: to an upstream, or to a service of the gateway's own.

use std::sync::Arc;

use super::route::Names;
use super::{place, reference};
use crate::access::{Access, AccessRule};
use crate::config::raw::{Node, Table};
use crate::config::{DestinationConfig, RegisterFrom};
use crate::revocation::{RevocationConfig, RevocationMode};
use crate::route::PathPattern;
use crate::token::TokenTypes;

/// Keys about forwarding, and those that would let pass whom a service for bearers can't know.
const OF_FORWARDING: [&str; 8] = [
    "upstream",
    "forward",
    "check_revocation",
    "when_stale",
    "exempt_options",
    "shadow",
    "register_from",
    "register_from_cookies",
];

pub(super) fn destination(
    table: &Table<'_>,
    names: &Names<'_>,
    path: Option<&PathPattern>,
) -> Option<DestinationConfig> {
    if !table.has("serve") {
        let upstream = table.require("upstream", "the name of one of [upstreams]", |node| {
            reference(node, "upstream", &names.upstreams).map(Arc::from)
        });
        return upstream.map(DestinationConfig::Upstream);
    }
    for key in OF_FORWARDING {
        let problem = "says nothing where `serve` is given: the gateway answers by its own rules";
        table.read(key, |node| node.wrong::<()>(problem));
    }
    if matches!(path, Some(PathPattern::Exact(_))) {
        table.read("path", |node| {
            node.wrong_but::<()>("several paths are served below this one", "such as \"/auth/\"")
        });
    }
    table.read("serve", |node| node.word(&[("self-service", DestinationConfig::SelfService)]))
}

/// Where answers hold tokens; nothing unless there is a register or an allow-list to put them in.
pub(super) fn register_from(table: &Table<'_>, revocation: &RevocationConfig) -> RegisterFrom {
    let kept = revocation.register.is_some() || revocation.mode == RevocationMode::AllowList;
    let read = |key, reader: fn(&Node<'_>) -> Option<Box<str>>| {
        table.read(key, |node| {
            let names = node.distinct_or_none(reader)?;
            if !kept && !names.is_empty() {
                let help =
                    "revocation.mode = \"allow-list\", or revocation.register.enabled = true";
                return node.wrong_but("there is no register of tokens", help);
            }
            Some(names)
        })
    };
    RegisterFrom {
        keys: read("register_from", |node| node.text().map(Box::from)).unwrap_or_default(),
        cookies: read("register_from_cookies", place::cookie_name).unwrap_or_default(),
    }
}

/// What is served is for the bearer of a token that nobody has taken back, whatever is checked
/// elsewhere: else a revoked one could reinstate itself.
pub(super) fn for_bearers(table: &Table<'_>, access: Access) -> Option<Access> {
    match access {
        Access::Required(rule) => {
            let check_revocation = TokenTypes::BOTH;
            Some(Access::Required(AccessRule { check_revocation, ..rule }))
        }
        Access::Public | Access::Optional(_) => table.read("auth", |node: &Node<'_>| {
            node.wrong_but("self-service is for the bearer of a token", "auth = \"required\"")
        }),
    }
}
