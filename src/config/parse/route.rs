//! `[[routes]]`: which requests, to whom, and who is let through.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use super::refusal::PROFILES;
use super::{destination, forward, place, reference, refuse_twice, revocation};
use crate::access::{Access, AccessRule, ClaimRule, Fresh};
use crate::config::raw::{Node, Table};
use crate::config::units::seconds;
use crate::config::{ErrorForm, ErrorProfile, RouteConfig};
use crate::revocation::{RevocationConfig, WhenStale};
use crate::route::{HostPattern, MethodSet, PathPattern, RoutePattern};
use crate::token::{Reading, TokenSource, TokenTypes};

/// What routes refer to.
pub(super) struct Names<'d> {
    pub(super) issuers: Vec<&'d str>,
    pub(super) upstreams: Vec<&'d str>,
    pub(super) callbacks: Vec<&'d str>,
    /// Every `[errors.name]`, read or not.
    pub(super) forms: Vec<&'d str>,
    /// Those that could be read.
    pub(super) read_forms: &'d [Arc<ErrorForm>],
}

/// Keys that say something about a token, and so nothing where none is looked at.
const OF_TOKENS: [&str; 11] = [
    "issuers",
    "token_types",
    "token_from",
    "check_revocation",
    "when_stale",
    "fresh",
    "exempt_options",
    "scopes",
    "claims",
    "callback",
    "shadow",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Required,
    Optional,
    None,
}

pub(super) fn routes(
    rows: &[Node<'_>],
    names: &Names<'_>,
    revocation: &RevocationConfig,
) -> Option<Vec<RouteConfig>> {
    let mut seen = HashSet::new();
    let read: Vec<Option<RouteConfig>> =
        rows.iter().map(|row| route(&row.table()?, names, revocation, &mut seen)).collect();
    refuse_conflicts(rows, &read);
    read.into_iter().collect()
}

/// Two routes that would take the same request: the operator decides, not the file's order.
fn refuse_conflicts(rows: &[Node<'_>], read: &[Option<RouteConfig>]) {
    for (index, (row, later)) in rows.iter().zip(read).enumerate() {
        let Some(later) = later else { continue };
        let mut earlier = read[..index].iter().flatten();
        if let Some(other) = earlier.find(|other| conflict(&other.pattern, &later.pattern)) {
            let problem = format!("route {:?} takes the same requests", &*other.name);
            let _: Option<()> = row.wrong_but(problem, "tell them apart by host, path or method");
        }
    }
}

fn conflict(one: &RoutePattern, other: &RoutePattern) -> bool {
    let hosts = match (one.hosts.is_empty(), other.hosts.is_empty()) {
        (true, true) => true,
        _ => one.hosts.iter().any(|host| other.hosts.contains(host)),
    };
    let methods = match (&one.methods, &other.methods) {
        (None, None) => true,
        (Some(one), Some(other)) => one.overlaps(other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    one.path == other.path && hosts && methods
}

fn route(
    table: &Table<'_>,
    names: &Names<'_>,
    revocation: &RevocationConfig,
    seen: &mut HashSet<String>,
) -> Option<RouteConfig> {
    let name = table.require("name", "what logs and metrics call this route", |node| {
        let name = node.label()?;
        refuse_twice(seen, name, node)?;
        Some(Arc::from(name))
    });
    let pattern = pattern(table);
    let destination = destination::destination(table, names, pattern.as_ref().map(|it| &it.path));
    let (errors, error_form) = errors(table, names);
    let access = access(table, names, revocation, reading(errors));
    let when_stale = table.read("when_stale", revocation::when_stale);
    let shadow = table.read("shadow", Node::flag);
    let forward = forward::forward(&table.section("forward"), access.as_ref());
    let register_from = destination::register_from(table, revocation);
    let served = table.has("serve");
    let (access, otherwise) = if served {
        (access.and_then(|access| destination::for_bearers(table, access)), WhenStale::Reject)
    } else {
        (access, revocation.when_stale)
    };
    Some(RouteConfig {
        name: name?,
        pattern: pattern?,
        destination: destination?,
        access: access?,
        when_stale: when_stale.unwrap_or(otherwise),
        forward: forward?,
        register_from,
        errors,
        error_form,
        shadow: shadow.unwrap_or(false),
    })
}

fn pattern(table: &Table<'_>) -> Option<RoutePattern> {
    let hosts = table.read("hosts", |node| node.distinct(Node::parsed::<HostPattern>));
    let path = table.require("path", "\"/\" for every path", Node::parsed::<PathPattern>);
    let methods = table.read("methods", |node| node.distinct(method));
    let methods = methods.map(MethodSet::from_iter);
    Some(RoutePattern { hosts: hosts.unwrap_or_default(), path: path?, methods })
}

pub(super) fn method(node: &Node<'_>) -> Option<Method> {
    let text = node.text()?;
    let upper = text.to_ascii_uppercase();
    if ["CONNECT", "TRACE", "TRACK"].contains(&&*upper) {
        return node.wrong(format!("{upper} is never passed on"));
    }
    let letters = upper.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let method = Method::from_bytes(upper.as_bytes()).ok().filter(|_| letters && upper.len() <= 16);
    match method {
        Some(method) if upper == text => Some(method),
        Some(_) => {
            node.wrong_but("methods are told apart by case", format!("did you mean {upper:?}?"))
        }
        None => node.wrong("a method is 1 to 16 letters, such as \"GET\""),
    }
}

fn access(
    table: &Table<'_>,
    names: &Names<'_>,
    revocation: &RevocationConfig,
    reading: Reading,
) -> Option<Access> {
    const AUTH: [(&str, Auth); 3] =
        [("required", Auth::Required), ("optional", Auth::Optional), ("none", Auth::None)];
    let auth = table.require("auth", "required, optional or none: there is no default", |node| {
        let auth = node.word(&AUTH)?;
        if auth != Auth::None && names.issuers.is_empty() {
            let help = "add [[issuers]] with iss, audience and keys";
            return node.wrong_but("there is no issuer whose tokens could be verified", help);
        }
        Some(auth)
    });
    if auth == Some(Auth::None) {
        for key in OF_TOKENS {
            let problem = "says nothing where auth = \"none\": no token is looked at";
            table.read(key, |node| node.wrong::<()>(problem));
        }
        return Some(Access::Public);
    }
    let rule = AccessRule { reading, ..rule(table, names, revocation)? };
    Some(if auth? == Auth::Optional { Access::Optional(rule) } else { Access::Required(rule) })
}

fn rule(table: &Table<'_>, names: &Names<'_>, revocation: &RevocationConfig) -> Option<AccessRule> {
    let issuer = |node: &Node<'_>| reference(node, "issuer", &names.issuers).map(Arc::<str>::from);
    let issuers = table.read("issuers", |node| node.distinct(issuer));
    let kinds = table.read("token_types", |node| {
        let kinds = revocation::kinds(node)?;
        if kinds.is_empty() { node.wrong("no token would be accepted") } else { Some(kinds) }
    });
    let checked = table.read("check_revocation", revocation::kinds);
    let fresh = table.read("fresh", fresh);
    let exempt_options = table.read("exempt_options", Node::flag);
    let scopes = table.read("scopes", |node| node.distinct_or_none(scope));
    let claims: Vec<_> = table.rows("claims").iter().map(claim_rule).collect();
    let callback =
        table.read("callback", |node| reference(node, "callback", &names.callbacks).map(Arc::from));
    Some(AccessRule {
        issuers,
        token_types: kinds.unwrap_or(TokenTypes::ACCESS),
        token_from: table
            .read("token_from", |node| node.distinct(place::token_source))
            .unwrap_or_else(|| vec![TokenSource::authorization_bearer()]),
        reading: Reading::Strict,
        exempt_options: exempt_options.unwrap_or(false),
        fresh: fresh.unwrap_or(None),
        check_revocation: checked.unwrap_or(revocation.check),
        scopes: scopes.unwrap_or_default(),
        claims: claims.into_iter().collect::<Option<_>>()?,
        callback,
    })
}

/// RFC 6749 §3.3: `scope-token`.
fn scope(node: &Node<'_>) -> Option<Box<str>> {
    let text = node.text()?;
    if text.contains(' ') {
        let split: Vec<_> = text.split(' ').map(|scope| format!("{scope:?}")).collect();
        return node.wrong_but("a scope holds no space", format!("one each: {}", split.join(", ")));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        return node.wrong("a scope is printable ASCII without quotes and backslashes");
    }
    Some(text.into())
}

fn claim_rule(node: &Node<'_>) -> Option<ClaimRule> {
    let table = node.table()?;
    let claim = table.require("claim", "such as \"realm_access.roles\"", Node::text);
    let any_of = table.require("any_of", "the values, one of which must be there", |node| {
        node.distinct(Node::json_text)
    });
    Some(ClaimRule { claim: claim?.into(), any_of: any_of? })
}

/// `true`, `false` or how long ago the log-in may be.
fn fresh(node: &Node<'_>) -> Option<Option<Fresh>> {
    if node.plain_text().is_none() {
        return node.flag().map(|asked| asked.then_some(Fresh::Marked));
    }
    let age = node.duration(seconds(1)..=seconds(3650 * 24 * 3600))?;
    Some(Some(Fresh::MaxAge(age)))
}

/// A profile, or a form of the operator's own; a form with a profile's name changes that profile.
fn errors(table: &Table<'_>, names: &Names<'_>) -> (ErrorProfile, Option<Arc<ErrorForm>>) {
    let words: Vec<(&str, ErrorProfile)> = PROFILES.into_iter().collect();
    let own = names.forms.iter().map(|name| (*name, ErrorProfile::Rfc6750));
    let all: Vec<_> = words.into_iter().chain(own).collect();
    let profile = table.read("errors", |node| node.word(&all));
    let name = table.node("errors").and_then(|node| node.plain_text()).unwrap_or("rfc6750");
    let form = names.read_forms.iter().find(|form| *form.name == *name).map(Arc::clone);
    let profile = form.as_ref().map(|form| form.profile).or(profile);
    (profile.unwrap_or(ErrorProfile::Rfc6750), form)
}

/// Whoever is answered as by flask-jwt-extended is also read as by it.
const fn reading(errors: ErrorProfile) -> Reading {
    match errors {
        ErrorProfile::Flask => Reading::Flask,
        ErrorProfile::Rfc6750 | ErrorProfile::Bare => Reading::Strict,
    }
}
