//! The `WWW-Authenticate` field (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9470 §3).

use http::HeaderValue;

use super::{Code, Context};

/// A challenge without an error.
pub(super) fn plain(context: &Context<'_>) -> Option<HeaderValue> {
    challenge(Code::TokenMissing, context)
}

/// The challenge for a refusal; `None` where credentials would not help.
pub(super) fn challenge(code: Code, context: &Context<'_>) -> Option<HeaderValue> {
    let error = match code {
        Code::TokenMissing => None,
        Code::BadCredentials => Some("invalid_request"),
        Code::TokenExpired | Code::TokenInactive | Code::TokenInvalid | Code::TokenRevoked => {
            Some("invalid_token")
        }
        Code::TokenNotFresh => Some("insufficient_user_authentication"),
        Code::InsufficientScope => Some("insufficient_scope"),
        _ => return None,
    };
    let mut text = String::with_capacity(96);
    text.push_str("Bearer realm=");
    quote(&mut text, context.realm);
    if let Some(error) = error {
        text.push_str(", error=");
        quote(&mut text, error);
        text.push_str(", error_description=");
        quote(&mut text, code.detail());
    }
    if code == Code::InsufficientScope {
        text.push_str(", scope=");
        quote(&mut text, &context.scopes.join(" "));
    }
    if let (Code::TokenNotFresh, Some(fresh)) = (code, context.fresh) {
        text.push_str(", max_age=");
        quote(&mut text, &fresh.max_age().to_string());
    }
    HeaderValue::try_from(text).ok()
}

/// Appends a quoted-string (RFC 9110 §5.6.4); what can't stand in one becomes a space.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push(' '),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::Fresh;
    use crate::config::ErrorProfile;

    fn on<'a>(realm: &'a str, scopes: &'a [Box<str>]) -> Context<'a> {
        let (fresh, profile) = (Some(Fresh::Marked), ErrorProfile::Rfc6750);
        Context { realm, scopes, fresh, profile, form: None, said: None, request_id: "id-1" }
    }

    #[test]
    fn a_request_without_a_token_gets_a_challenge_without_an_error() {
        let got = challenge(Code::TokenMissing, &on("orders", &[])).expect("a challenge");
        assert_eq!(got, "Bearer realm=\"orders\"");
    }

    #[test]
    fn a_lack_of_scope_names_the_scopes() {
        let scopes = ["orders:read".into(), "orders:write".into()];
        let got = challenge(Code::InsufficientScope, &on("orders", &scopes)).expect("a challenge");
        assert_eq!(
            got,
            "Bearer realm=\"orders\", error=\"insufficient_scope\", \
             error_description=\"The token lacks a required scope\", scope=\"orders:read orders:write\""
        );
    }

    #[test]
    fn a_token_that_is_not_fresh_is_told_how_old_a_log_in_may_be() {
        let fresh = Some(Fresh::MaxAge(std::time::Duration::from_secs(600)));
        let got = challenge(Code::TokenNotFresh, &Context { fresh, ..on("orders", &[]) });
        assert_eq!(
            got.expect("a challenge"),
            "Bearer realm=\"orders\", error=\"insufficient_user_authentication\", \
             error_description=\"A more recent log-in is required\", max_age=\"600\""
        );
    }

    proptest! {
        #[test]
        fn no_realm_breaks_out_of_its_quotes(realm in ".{0,40}") {
            let value = challenge(Code::TokenInvalid, &on(&realm, &[])).expect("a challenge");
            let text = value.to_str().expect("visible ASCII").strip_prefix("Bearer realm=\"").expect("a realm");
            let mut escaped = false;
            let end = text.find(|c| { let ends = c == '"' && !escaped; escaped = c == '\\' && !escaped; ends });
            prop_assert!(text[end.expect("an end")..].starts_with("\", error=\"invalid_token\""));
        }
    }
}
