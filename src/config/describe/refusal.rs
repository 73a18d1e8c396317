//! Forms of refusals, in the file's own words.

use serde_json::{Map, Value, json};

use crate::code::Code;
use crate::config::{CodeForm, ErrorForm, ErrorProfile, Template};

/// One `[errors.name]`.
pub(super) fn error_form(form: &ErrorForm) -> Value {
    let body = |body: Option<&Template>| body.map(Template::source);
    let code = |(code, own): &(Code, CodeForm)| {
        let status = own.status.map(|status| status.as_u16());
        (code.as_str().to_owned(), json!({ "status": status, "body": body(own.body.as_deref()) }))
    };
    let own = form.codes.iter().filter_map(|(_, own)| own.body.as_deref());
    let media = form.body.as_deref().into_iter().chain(own).next().map(Template::media_type);
    json!({
        "profile": profile(form.profile),
        "media_type": media.and_then(|media| media.to_str().ok()),
        "body": body(form.body.as_deref()),
        "message_key": form.message_key,
        "codes": form.codes.iter().map(code).collect::<Map<_, _>>(),
    })
}

/// A profile's word.
pub(super) const fn profile(profile: ErrorProfile) -> &'static str {
    match profile {
        ErrorProfile::Rfc6750 => "rfc6750",
        ErrorProfile::Flask => "flask",
        ErrorProfile::Bare => "bare",
    }
}
