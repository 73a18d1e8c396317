//! Header fields as flask-jwt-extended 4 reads them, for routes with `errors = "flask"` alone.
//!
//! Its two crashes (an empty element of a list; text that is not UTF-8) are malformed credentials here.

use super::{BearerError, BearerToken};

/// The credential of a header field.
pub(super) fn in_field<'r>(
    value: &'r [u8],
    scheme: Option<&str>,
) -> Result<Option<BearerToken<'r>>, BearerError> {
    let value = text(value)?.trim().trim_matches(',');
    if value.is_empty() {
        return Ok(None);
    }
    let Some(scheme) = scheme else { return only_word(value).map(Some) };
    let mut found = None;
    for element in value.split(',') {
        let first = element.split_whitespace().next().ok_or(BearerError::Malformed)?;
        if first == scheme && found.replace(element).is_some() {
            return Err(BearerError::Repeated);
        }
    }
    let Some(credential) = found else { return Ok(None) };
    let rest = credential.trim_start().strip_prefix(scheme).ok_or(BearerError::Malformed)?;
    only_word(rest).map(Some)
}

/// Text that is UTF-8.
pub(super) fn text(value: &[u8]) -> Result<&str, BearerError> {
    std::str::from_utf8(value).map_err(|_cause| BearerError::Malformed)
}

fn only_word(text: &str) -> Result<BearerToken<'_>, BearerError> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(BearerToken::new(word)),
        _ => Err(BearerError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_searched_and_the_scheme_has_its_case() {
        let read = |value: &'static str| {
            in_field(value.as_bytes(), Some("Bearer")).map(|it| it.map(BearerToken::as_str))
        };
        for (value, want) in [
            ("", Ok(None)),
            (" , ", Ok(None)),
            ("Basic x", Ok(None)),
            ("bearer t", Ok(None)),
            ("Bearer t", Ok(Some("t"))),
            ("Bearer   t", Ok(Some("t"))),
            ("Basic x, Bearer t", Ok(Some("t"))),
            ("Bearer t,", Ok(Some("t"))),
            ("BearerX t", Ok(None)),
            ("Bearer", Err(BearerError::Malformed)),
            ("Bearer a b", Err(BearerError::Malformed)),
            ("Bearer t, Bearer t", Err(BearerError::Repeated)),
            ("Basic x,,Bearer t", Err(BearerError::Malformed)),
        ] {
            assert_eq!(read(value), want, "{value:?}");
        }
        assert_eq!(in_field(b"Bearer t", None), Err(BearerError::Malformed));
        assert_eq!(in_field(b"Bearer \xff", Some("Bearer")), Err(BearerError::Malformed));
    }
}
