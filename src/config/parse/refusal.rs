//! `[errors.name]`: another status, another body, another key for the message.

use std::sync::Arc;

use http::StatusCode;

use super::super::refusal::{CodeForm, ErrorForm, Media, Template};
use crate::code::Code;
use crate::config::ErrorProfile;
use crate::config::raw::{Node, Table, nearest, quoted};

/// The profiles that are there without being written down.
pub(super) const PROFILES: [(&str, ErrorProfile); 3] = [
    ("rfc6750", ErrorProfile::Rfc6750),
    ("flask", ErrorProfile::Flask),
    ("bare", ErrorProfile::Bare),
];

/// The longest body, bytes.
const BODY: usize = 16 * 1024;

pub(super) fn forms(rows: &[(&str, Node<'_>)]) -> Option<Vec<Arc<ErrorForm>>> {
    let read: Vec<_> = rows.iter().map(|(name, node)| form(name, node).map(Arc::new)).collect();
    read.into_iter().collect()
}

fn form(name: &str, node: &Node<'_>) -> Option<ErrorForm> {
    node.refuse_unless_label(name);
    let table = node.table()?;
    let own = PROFILES.iter().find(|(word, _)| *word == name).map(|(_, profile)| *profile);
    let profile = table.read("profile", |node| {
        let profile = node.word(&PROFILES)?;
        match own {
            Some(own) if own != profile => node.wrong(format!("{name:?} is a profile itself")),
            _ => Some(profile),
        }
    });
    let media = table.read("media_type", media);
    let media_is_sound = media.is_some() || !table.has("media_type");
    let media = media.unwrap_or_else(Media::json);
    let key = table.read("message_key", |node| node.text().map(Box::<str>::from));
    let body = table.read("body", |node| template(node, &media));
    let rows = table.section("codes").named();
    let codes: Vec<_> = rows.iter().map(|(code, node)| code_form(code, node, &media)).collect();
    let known = profile.or(own).unwrap_or(ErrorProfile::Rfc6750);
    if key.is_some() && known != ErrorProfile::Flask {
        return table.read("message_key", |node| node.wrong("goes with the profile flask"));
    }
    let read = |key: &'static str, there: bool| there || !table.has(key);
    let sound = media_is_sound
        && read("profile", profile.is_some())
        && read("message_key", key.is_some())
        && read("body", body.is_some());
    let codes = codes.into_iter().collect::<Option<_>>()?;
    let message_key = key.unwrap_or_else(|| "msg".into());
    sound.then(|| ErrorForm { name: name.into(), profile: known, message_key, body, codes })
}

fn code_form(word: &str, node: &Node<'_>, media: &Media) -> Option<(Code, CodeForm)> {
    let table = node.table()?;
    let code = Code::of(word);
    let status = table.read("status", |node| status(node, code.map(Code::status)));
    let body = table.read("body", |node| template(node, media));
    let Some(code) = code else {
        let help = nearest(word, &Code::ALL.map(Code::as_str));
        let help = help.unwrap_or_else(|| "docs/errors.md has them all".into());
        return node.wrong_but(format!("no refusal has the code {}", quoted(word)), help);
    };
    let sound = |table: &Table<'_>, key, there: bool| there || !table.has(key);
    let sound = sound(&table, "status", status.is_some()) && sound(&table, "body", body.is_some());
    sound.then_some((code, CodeForm { status, body }))
}

/// What the client did wrong stays his to mend, and what nobody can know stays ours.
fn status(node: &Node<'_>, usual: Option<StatusCode>) -> Option<StatusCode> {
    let number = u16::try_from(node.integer(400..=599)?).ok()?;
    let usual = usual.map(|usual| usual.as_u16());
    if let Some(usual) = usual.filter(|usual| usual / 100 != number / 100) {
        let problem = format!("this refusal is a {}xx", usual / 100);
        return node.wrong_but(problem, format!("its usual status is {usual}"));
    }
    StatusCode::from_u16(number).ok()
}

fn template(node: &Node<'_>, media: &Media) -> Option<Arc<Template>> {
    let Some(text) = node.plain_text() else { return node.text().and(None) };
    if text.len() > BODY || text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c)) {
        return node.wrong("a body is at most 16 KiB of text");
    }
    match Template::parse(text, media) {
        Ok(template) => Some(Arc::new(template)),
        Err(problem) => {
            node.wrong_but(problem, "placeholders: {code}, {message}, {request_id}, {status}")
        }
    }
}

fn media(node: &Node<'_>) -> Option<Media> {
    let text = node.text()?;
    match text {
        "text/plain" => Some(Media::plain()),
        "text/html" => Some(Media::html()),
        _ => Media::parse(text).or_else(|| {
            let help = "application/json, application/*+json, text/plain or text/html";
            node.wrong_but("nothing can be filled into this media type safely", help)
        }),
    }
}
