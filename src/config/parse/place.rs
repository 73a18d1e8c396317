//! `token_from`: the places a route looks for its token in.

use http::{HeaderName, Method};

use super::{forward, route};
use crate::config::raw::{Node, Table};
use crate::token::{Csrf, TokenSource};

/// Which keys go with which place.
const OF_PLACES: [(&str, &[&str]); 4] = [
    ("header", &["scheme"]),
    ("cookie", &["csrf", "csrf_header", "csrf_methods", "csrf_form", "body_bytes"]),
    ("query", &["prefix"]),
    ("json", &["body_bytes"]),
];

/// The longest body that is read for a credential, unless another is named.
const BODY_BYTES: u64 = 64 * 1024;

/// One place, named by exactly one of `header`, `cookie`, `query` and `json`.
pub(super) fn token_source(node: &Node<'_>) -> Option<TokenSource> {
    let table = node.table()?;
    let header = table.read("header", forward::token_header);
    let scheme = scheme(&table);
    let cookie = table.read("cookie", cookie_name);
    let limit = table.read("body_bytes", |node| node.size(1024..=1024 * 1024));
    let limit = if table.has("body_bytes") { limit } else { Some(BODY_BYTES) };
    let csrf = csrf(&table, limit);
    let json = table.read("json", member_name);
    let query = table.read("query", parameter_name);
    let prefix = table.read("prefix", prefix);
    let place = the_place(&table)?;
    refuse_strays(&table, place)?;
    Some(match place {
        "header" => {
            let shown = table.node("header")?.plain_text()?.into();
            TokenSource::Header { name: header?, shown, scheme: scheme? }
        }
        "cookie" => TokenSource::Cookie { name: cookie?, csrf: csrf? },
        "json" => TokenSource::Json { name: json?, limit: limit? },
        _ => TokenSource::Query {
            name: query?,
            prefix: if table.has("prefix") { prefix? } else { "".into() },
        },
    })
}

fn the_place(table: &Table<'_>) -> Option<&'static str> {
    let given: Vec<&str> =
        OF_PLACES.iter().map(|(place, _)| *place).filter(|place| table.has(place)).collect();
    match *given {
        [place] => Some(place),
        [] => table.missing("header", "such as \"Authorization\"; or `cookie`, `query` or `json`"),
        _ => {
            table.wrong_but("more than one place", "one of header, cookie, query and json for each")
        }
    }
}

fn refuse_strays(table: &Table<'_>, place: &str) -> Option<()> {
    let mut sound = Some(());
    let own = OF_PLACES.iter().find(|(it, _)| *it == place).map_or(&[][..], |(_, keys)| keys);
    for (other, keys) in OF_PLACES.iter().filter(|(other, _)| *other != place) {
        for key in keys.iter().filter(|key| table.has(key) && !own.contains(key)) {
            let stray = |node: &Node<'_>| node.wrong::<()>(format!("goes with `{other}`"));
            sound = table.read(key, stray).and(sound);
        }
    }
    sound
}

fn scheme(table: &Table<'_>) -> Option<Option<Box<str>>> {
    let Some(node) = table.node("scheme").filter(|node| node.plain_text() != Some("")) else {
        return Some(None);
    };
    let text = node.text()?;
    // A scheme is a token, exactly as a header's name is (RFC 9110 §11.1).
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Some(Some(text.into())),
        Err(_) => node.wrong("a scheme is one word, such as \"Bearer\""),
    }
}

/// A cookie is sent by the browser whoever asked it to: protection is the default.
fn csrf(table: &Table<'_>, limit: Option<u64>) -> Option<Option<Csrf>> {
    let wanted = table.read("csrf", Node::flag);
    let header = table.read("csrf_header", forward::token_header);
    let methods = table.read("csrf_methods", |node| node.distinct(route::method));
    let form = table.read("csrf_form", parameter_name);
    let read = |key, there: bool| there || !table.has(key);
    let sound = read("csrf", wanted.is_some())
        && read("csrf_header", header.is_some())
        && read("csrf_methods", methods.is_some())
        && read("csrf_form", form.is_some())
        && limit.is_some();
    let usual = Csrf::usual();
    let csrf = Csrf {
        header: header.unwrap_or(usual.header),
        methods: methods.unwrap_or_else(|| Vec::<Method>::from(Csrf::METHODS)),
        form: form.zip(limit),
    };
    sound.then(|| wanted.unwrap_or(true).then_some(csrf))
}

/// RFC 6265 §4.1.1: a cookie's name is a token.
pub(super) fn cookie_name(node: &Node<'_>) -> Option<Box<str>> {
    let text = node.text()?;
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) if text.len() <= 64 => Some(text.into()),
        _ => node.wrong("a cookie's name is one word, such as \"access_token_cookie\""),
    }
}

fn parameter_name(node: &Node<'_>) -> Option<Box<str>> {
    let text = node.text()?;
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
    if plain && text.len() <= 64 {
        return Some(text.into());
    }
    node.wrong("a parameter's name here is 1 to 64 letters, digits, \"-\", \"_\", \".\" and \"~\"")
}

fn member_name(node: &Node<'_>) -> Option<Box<str>> {
    let text = node.text()?;
    if text.len() <= 64 {
        Some(text.into())
    } else {
        node.wrong("a member's name here is at most 64 bytes")
    }
}

fn prefix(node: &Node<'_>) -> Option<Box<str>> {
    if node.plain_text() == Some("") {
        return Some("".into());
    }
    let text = node.text()?;
    if text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Some(text.into());
    }
    node.wrong("a prefix is at most 64 printable ASCII characters")
}
