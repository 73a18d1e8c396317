//! The places a route looks for its token in, how what stands there is read, and the CSRF double submit.

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderName, Method};
use subtle::ConstantTimeEq as _;

use crate::body::ReadBody;

use super::form::{self, Coded};
use super::{BearerError, BearerToken, Claim, Claims, Credential, bearer, inside, lenient};

/// Where a route looks for the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A header field.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its name as the operator wrote it.
        shown: Box<str>,
        /// The scheme before the token; `None`: the field is the token.
        scheme: Option<Box<str>>,
    },
    /// A cookie (RFC 6265 §5.4).
    Cookie {
        /// Its name.
        name: Box<str>,
        /// What must come with it, when the browser could have been made to send it.
        csrf: Option<Csrf>,
    },
    /// A parameter of the query (RFC 6750 §2.3).
    Query {
        /// Its name.
        name: Box<str>,
        /// What stands before the token; may be empty.
        prefix: Box<str>,
    },
    /// A member of a JSON body, which is read before the request is judged.
    Json {
        /// Its name.
        name: Box<str>,
        /// The longest body that is read, bytes.
        limit: u64,
    },
}

/// Double submit: the token's claim `csrf` comes again in a header field that only a script of the
/// same origin can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf {
    /// The field.
    pub header: HeaderName,
    /// The methods that are protected.
    pub methods: Vec<Method>,
    /// The field of a form that may hold it instead, and the longest body that is read for it, bytes.
    pub form: Option<(Box<str>, u64)>,
}

/// What a request shows beside a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof<'r> {
    /// A header field's value.
    Field(&'r str),
    /// A form field's value, as it stands in the body.
    Form(&'r str),
}

/// How credentials are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// One `b64token` in one place, the scheme without case (RFC 6750 §2.1, RFC 9110 §11.1).
    #[default]
    Strict,
    /// As flask-jwt-extended reads them: the scheme with case, lists searched, the first place counts.
    Flask,
}

/// A credential and what must match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'r> {
    /// The credential.
    pub credential: Credential<'r>,
    /// What the token's claim `csrf` must be.
    pub csrf: Option<Proof<'r>>,
}

// === impl TokenSource ===

impl TokenSource {
    /// `Authorization: Bearer`, the place of RFC 6750 §2.1.
    pub fn authorization_bearer() -> Self {
        Self::Header {
            name: AUTHORIZATION,
            shown: "Authorization".into(),
            scheme: Some("Bearer".into()),
        }
    }

    /// The header field, where that is the place.
    pub const fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header { name, .. } => Some(name),
            Self::Cookie { .. } | Self::Query { .. } | Self::Json { .. } => None,
        }
    }

    /// The longest body that may have to be read for it, bytes; `None`: it is not in a body.
    pub fn body_limit(&self) -> Option<u64> {
        match self {
            Self::Json { limit, .. } => Some(*limit),
            Self::Cookie { csrf: Some(csrf), .. } => csrf.form.as_ref().map(|(_, limit)| *limit),
            Self::Header { .. } | Self::Cookie { csrf: None, .. } | Self::Query { .. } => None,
        }
    }

    /// How much of the body has to be read, before this request can be judged by these places; `None`:
    /// nothing. `all` asks for every credential, not only for the one that counts.
    pub fn wants_body(sources: &[Self], reading: Reading, head: &Parts, all: bool) -> Option<u64> {
        let in_json = |source: &&Self| matches!(source, Self::Json { .. });
        if all
            && form::is_json(head)
            && let Some(source) = sources.iter().find(in_json)
        {
            return source.body_limit();
        }
        for source in sources {
            match (source, source.look(reading, head)) {
                (Self::Json { limit, .. }, _) if form::is_json(head) => return Some(*limit),
                (_, Ok(None)) => {}
                (_, Err(BearerError::CsrfMissing)) if form::is_form(head) => {
                    return source.body_limit();
                }
                (_, Ok(Some(_)) | Err(_)) => return None,
            }
        }
        None
    }

    /// What is in this place alone, if anything is.
    pub fn look<'r>(
        &self,
        reading: Reading,
        head: &'r Parts,
    ) -> Result<Option<Found<'r>>, BearerError> {
        let plain = |credential| Found { credential, csrf: None };
        match self {
            Self::Header { name, scheme, .. } => {
                let Some(value) = only_field(name, head)? else { return Ok(None) };
                let found = match reading {
                    Reading::Strict => bearer::in_field(value, scheme.as_deref()),
                    Reading::Flask => lenient::in_field(value, scheme.as_deref())
                        .map(|token| token.map(Credential::Read)),
                };
                Ok(found?.map(plain))
            }
            Self::Cookie { name, csrf } => {
                let Some(value) = cookie(name, head)? else { return Ok(None) };
                let csrf = match csrf {
                    Some(csrf) if csrf.methods.contains(&head.method) => Some(csrf.sent(head)?),
                    _ => None,
                };
                Ok(Some(Found { credential: whole(value, reading)?, csrf }))
            }
            Self::Query { name, prefix } => {
                let Some(value) = parameter(name, head)? else { return Ok(None) };
                let Some(rest) = Coded(value).after(prefix) else {
                    return Err(BearerError::Prefix);
                };
                Ok(Some(plain(whole(rest.as_bytes(), reading)?)))
            }
            Self::Json { name, .. } => {
                let Some(body) = read_body(head).filter(|_| form::is_json(head)) else {
                    return Ok(None);
                };
                let Some(text) = inside::member(body, name, reading)? else { return Ok(None) };
                Ok(Some(plain(whole(text.as_bytes(), reading)?)))
            }
        }
    }
}

// === impl Csrf ===

impl Csrf {
    /// The methods that flask-jwt-extended protects.
    pub const METHODS: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    /// The usual field on the usual methods.
    pub fn usual() -> Self {
        let header = HeaderName::from_static("x-csrf-token");
        Self { header, methods: Self::METHODS.into(), form: None }
    }

    fn sent<'r>(&self, head: &'r Parts) -> Result<Proof<'r>, BearerError> {
        let value =
            only_field(&self.header, head)?.and_then(|value| std::str::from_utf8(value).ok());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            return Ok(Proof::Field(value));
        }
        let (Some((name, _)), Some(body)) = (&self.form, read_body(head)) else {
            return Err(BearerError::CsrfMissing);
        };
        let text = std::str::from_utf8(body).ok().filter(|_| form::is_form(head));
        let values = form::parameters(text.unwrap_or_default());
        let value = one(values.filter(|(it, _)| it.is(name)).map(|(_, value)| value.0))?;
        value.map(Proof::Form).ok_or(BearerError::CsrfMissing)
    }
}

// === impl Proof ===

impl Proof<'_> {
    fn is(self, claim: &str) -> bool {
        match self {
            Self::Field(value) => claim.as_bytes().ct_eq(value.as_bytes()).into(),
            Self::Form(value) => claim.as_bytes().ct_eq(&Coded(value).decoded()).into(),
        }
    }
}

// === impl Found ===

impl<'r> Found<'r> {
    /// Looks in each place in order. A place without a token leads to the next one, and what can't be a
    /// credential ends the search. Strictly read, so do two places that both carry one.
    pub fn find(
        sources: &[TokenSource],
        reading: Reading,
        head: &'r Parts,
    ) -> Result<Self, BearerError> {
        let mut found = None;
        for source in sources {
            match (source.look(reading, head), found) {
                (Ok(None), _) => {}
                (Ok(Some(first)), None) if reading == Reading::Flask => return Ok(first),
                (Ok(Some(first)), None) => found = Some(first),
                (Err(error), None) => return Err(error),
                (Ok(Some(_)) | Err(_), Some(Self { credential, .. })) => {
                    credential.token()?;
                    return Err(BearerError::Repeated);
                }
            }
        }
        found.ok_or(BearerError::Missing)
    }

    /// Whether the token is the one that the CSRF field was set for.
    pub fn matches(self, claims: &Claims) -> Result<(), BearerError> {
        match self.csrf {
            Some(_) => self.matches_text(claims.look("csrf").and_then(Claim::as_str)),
            None => Ok(()),
        }
    }

    pub(super) fn matches_text(self, claim: Option<&str>) -> Result<(), BearerError> {
        let Some(sent) = self.csrf else { return Ok(()) };
        let claim = claim.ok_or(BearerError::CsrfClaim)?;
        if sent.is(claim) { Ok(()) } else { Err(BearerError::CsrfMismatch) }
    }
}

/// The body, where it was read.
fn read_body(head: &Parts) -> Option<&[u8]> {
    head.extensions.get::<ReadBody>().map(ReadBody::bytes)
}

/// Whatever the schemes are: who reads the first field and who reads the last must not differ.
fn only_field<'r>(name: &HeaderName, head: &'r Parts) -> Result<Option<&'r [u8]>, BearerError> {
    let mut fields = head.headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (_, Some(_)) => Err(BearerError::Repeated),
        (field, None) => Ok(field.map(http::HeaderValue::as_bytes)),
    }
}

/// The cookie's value, unless it is empty; sent twice it must be the same twice.
fn cookie<'r>(name: &str, head: &'r Parts) -> Result<Option<&'r [u8]>, BearerError> {
    let fields = head.headers.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
    one(fields.flat_map(form::cookies).filter_map(|pair| pair.value_of(name)))
}

/// The parameter's value as it stands in the query, unless it is empty.
fn parameter<'r>(name: &str, head: &'r Parts) -> Result<Option<&'r str>, BearerError> {
    let query = head.uri.query().unwrap_or_default();
    one(form::parameters(query).filter(|(it, _)| it.is(name)).map(|(_, value)| value.0))
}

fn one<T: PartialEq + AsRef<[u8]>>(
    values: impl Iterator<Item = T>,
) -> Result<Option<T>, BearerError> {
    let mut values = values.filter(|value| !value.as_ref().is_empty());
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) { Err(BearerError::Repeated) } else { Ok(Some(first)) }
}

/// A value that is the token and nothing else.
fn whole(value: &[u8], reading: Reading) -> Result<Credential<'_>, BearerError> {
    match reading {
        Reading::Strict => Ok(Credential::Unread(value)),
        Reading::Flask => lenient::text(value).map(BearerToken::new).map(Credential::Read),
    }
}

#[cfg(test)]
#[path = "tests/places.rs"]
mod tests;
