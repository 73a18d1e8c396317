//! `[[issuers]]`: what a trusted issuer's tokens must look like.

use std::collections::HashSet;
use std::sync::Arc;

use super::{keys, refuse_twice};
use crate::config::raw::{Node, Table};
use crate::config::units::seconds;
use crate::token::{
    Audiences, ClaimPath, IssuerConfig, MaxLifetime, OwnClaims, TokenType, TokenTypeFrom,
    TokenTypeRule, TypeHeaders,
};

const DAY: u64 = 24 * 3600;

pub(super) fn issuers(rows: &[Node<'_>]) -> Option<Vec<IssuerConfig>> {
    let mut names = HashSet::new();
    let read: Vec<Option<IssuerConfig>> =
        rows.iter().map(|row| issuer(&row.table()?, &mut names)).collect();
    refuse_same_scope(rows, &read);
    read.into_iter().collect()
}

/// Revocations are scoped by `iss`, or by the name where tokens have none: no two may be one.
fn refuse_same_scope(rows: &[Node<'_>], read: &[Option<IssuerConfig>]) {
    let mut seen: Vec<&str> = Vec::new();
    for (row, issuer) in rows.iter().zip(read) {
        let Some(issuer) = issuer else { continue };
        let scope: &str = issuer.issuer.as_ref().unwrap_or(&issuer.name);
        if seen.contains(&scope) {
            let key = if issuer.issuer.is_some() { "issuer" } else { "name" };
            let problem =
                "another issuer's revocations have this scope; an iss belongs to one entry";
            if let Some(node) = row.table().and_then(|table| table.node(key)) {
                let _: Option<()> = node.wrong(problem);
            }
        }
        seen.push(scope);
    }
}

fn issuer(table: &Table<'_>, names: &mut HashSet<String>) -> Option<IssuerConfig> {
    let name = table.require("name", "what routes call this issuer", |node| {
        let name = node.label()?;
        refuse_twice(names, name, node)?;
        Some(Arc::from(name))
    });
    let issuer = expected_issuer(table);
    let audiences = audiences(table);
    let keys = keys::keys(table, issuer.as_ref().and_then(|issuer| issuer.as_deref()));
    let leeway = table.read("leeway", |node| node.duration(seconds(0)..=seconds(300)));
    let require =
        table.read("require", |node| node.distinct_or_none(|claim| claim.text().map(Box::from)));
    let text_dates = table.read("text_dates", Node::flag);
    let max_lifetime = max_lifetime(&table.section("max_lifetime"));
    let typ = table.read("typ", type_headers).unwrap_or_else(default_type_headers);
    let token_type = token_type(&table.section("token_type"));
    let own = own_claims(table)?;
    let identity = own.identity.clone().unwrap_or_else(|| "sub".into());
    let required = || ["exp", "iat", &identity, "jti"].map(Box::from).into();
    let (keys, algorithms) = keys?;
    Some(IssuerConfig {
        name: name?,
        issuer: issuer?,
        audiences: audiences?,
        algorithms,
        keys,
        leeway: leeway.unwrap_or(seconds(30)),
        max_lifetime,
        require: require.unwrap_or_else(required),
        text_dates: text_dates.unwrap_or(false),
        typ,
        token_type: token_type?,
        own_claims: (own != OwnClaims::default()).then(|| Arc::new(own)),
    })
}

/// Claims that can't be a family's: each says something else of its token.
const TAKEN: [&str; 11] =
    ["jti", "sub", "iss", "aud", "exp", "nbf", "iat", "client_id", "azp", "token", "kid"];

fn own_claims(table: &Table<'_>) -> Option<OwnClaims> {
    let identity = table.read("identity", Node::text);
    let family = table.section("family");
    let claim = family.read("claim", |node| {
        let text = node.text()?;
        if TAKEN.contains(&text) {
            let help = "the claim that holds the refresh token's jti, or \"sid\"";
            return node.wrong_but("says something else of its token", help);
        }
        Some(ClaimPath::from(text))
    });
    if table.has("family") && !family.has("claim") {
        return family.missing("claim", "the claim that holds the refresh token's jti");
    }
    let read = |given: bool, sound: bool| !given || sound;
    let sound = read(table.has("identity"), identity.is_some())
        && read(table.has("family"), claim.is_some());
    let identity = identity.filter(|name| *name != "sub").map(Box::from);
    sound.then_some(OwnClaims { identity, family: claim })
}

/// The exact `iss`, or `Some(None)` where the file says that tokens have none.
fn expected_issuer(table: &Table<'_>) -> Option<Option<Arc<str>>> {
    let without = table.read("tokens_without_issuer", Node::flag).unwrap_or(false);
    match (table.node("issuer"), without) {
        (Some(node), true) => node.wrong("says the opposite of `tokens_without_issuer = true`"),
        (Some(node), false) => node.text().map(|text| Some(text.into())),
        (None, true) => Some(None),
        (None, false) => table
            .missing("issuer", "the exact iss of its tokens, or `tokens_without_issuer = true`"),
    }
}

fn audiences(table: &Table<'_>) -> Option<Audiences> {
    let any = table.read("any_audience", Node::flag).unwrap_or(false);
    match (table.node("audiences"), any) {
        (Some(node), true) => node.wrong("says the opposite of `any_audience = true`"),
        (Some(node), false) => node.texts().map(Audiences::OneOf),
        (None, true) => Some(Audiences::Any),
        (None, false) => table.missing(
            "audiences",
            "whom its tokens are for, such as [\"orders-api\"], or `any_audience = true`",
        ),
    }
}

fn max_lifetime(table: &Table<'_>) -> MaxLifetime {
    let life = |node: &Node<'_>| node.duration(seconds(1)..=seconds(3650 * DAY));
    MaxLifetime {
        access: table.read("access", life).unwrap_or(seconds(DAY)),
        refresh: table.read("refresh", life).unwrap_or(seconds(90 * DAY)),
    }
}

fn default_type_headers() -> TypeHeaders {
    TypeHeaders::OneOf(["at+jwt", "JWT"].map(Box::from).into())
}

fn type_headers(node: &Node<'_>) -> Option<TypeHeaders> {
    let values = node.texts()?;
    if values.iter().any(|value| &**value == "*") {
        let alone = values.len() == 1;
        return if alone { Some(TypeHeaders::Any) } else { node.wrong("\"*\" stands alone") };
    }
    Some(TypeHeaders::OneOf(values))
}

fn token_type(table: &Table<'_>) -> Option<TokenTypeRule> {
    const KINDS: [(&str, Option<TokenType>); 3] = [
        ("access", Some(TokenType::Access)),
        ("refresh", Some(TokenType::Refresh)),
        ("reject", None),
    ];
    let words = |node: &Node<'_>| node.distinct_or_none(|word| word.text().map(Box::from));
    let access = table.read("access", words).unwrap_or_else(|| vec!["access".into()]);
    let refresh = table.read("refresh", words).unwrap_or_else(|| vec!["refresh".into()]);
    let missing = table.read("missing", |node| node.word(&KINDS));
    let missing = missing.unwrap_or(Some(TokenType::Access));
    let other = table.read("other", |node| node.word(&KINDS)).unwrap_or(None);
    let from = token_type_from(table);
    if let Some(word) = access.iter().find(|word| refresh.contains(word)) {
        return table.wrong_but(
            &format!("{word:?} means both an access and a refresh token"),
            "a word has one meaning",
        );
    }
    Some(TokenTypeRule { from: from?, access, refresh, missing, other })
}

fn token_type_from(table: &Table<'_>) -> Option<TokenTypeFrom> {
    let claim = table.read("claim", Node::text);
    let header = table.read("header", Node::text);
    if table.has("claim") && table.has("header") {
        return table.wrong_but("both `claim` and `header`", "one place tells a token's kind");
    }
    match (claim, header) {
        (Some(claim), _) => Some(TokenTypeFrom::Claim(claim.into())),
        (None, Some(header)) => Some(TokenTypeFrom::Header(header.into())),
        (None, None) => Some(TokenTypeFrom::Claim("type".into())),
    }
}
