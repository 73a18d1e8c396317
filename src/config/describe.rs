//! The running configuration as JSON, in the file's own words, with secrets as `***`.

use std::path::Path;

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::units::{format_duration, format_size};
use super::{
    AccessLog, Balance, Config, ControlAddress, ControlConfig, CredentialConfig, DestinationConfig,
    ForwardConfig, HealthConfig, ListenerConfig, LogConfig, Role, RouteConfig, TlsConfig,
    UpstreamConfig,
};
use crate::access::{Access, AccessRule, ClaimRule, Fresh};
use crate::revocation::{RegisterConfig, RevocationConfig, RevocationMode, WhenStale};
use crate::token::{
    Audiences, IssuerConfig, KeysConfig, TokenSource, TokenType, TokenTypeFrom, TokenTypeRule,
    TokenTypes, TypeHeaders,
};

mod callback;
mod refusal;
mod store;

use callback::callback;
use refusal::{error_form, profile};
use store::store;

const SECRET: &str = "***";

// === impl Config ===

impl Config {
    /// What is in force, defaults included, for an operator to read; no secret is in it.
    pub fn describe(&self) -> Value {
        let upstreams = self.upstreams.iter().map(|up| (up.name.to_string(), upstream(up)));
        let callbacks = self.callbacks.iter().map(|it| (it.name.to_string(), callback(it)));
        let forms = self.error_forms.iter().map(|form| (form.name.to_string(), error_form(form)));
        json!({
            "listener": listener(&self.listener),
            "control": control(&self.control),
            "log": log(&self.log),
            "issuers": self.issuers.iter().map(issuer).collect::<Vec<_>>(),
            "revocation": revocation(&self.revocation),
            "upstreams": upstreams.collect::<Map<_, _>>(),
            "callbacks": callbacks.collect::<Map<_, _>>(),
            "errors": forms.collect::<Map<_, _>>(),
            "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
        })
    }
}

fn listener(config: &ListenerConfig) -> Value {
    let tls = |tls: &TlsConfig| {
        json!({
            "certificate": shown(&tls.certificate),
            "private_key": shown(&tls.private_key),
            "client_ca": tls.client_ca.as_deref().map(shown),
        })
    };
    let limits = &config.limits;
    let bytes = |count: usize| format_size(u64::try_from(count).unwrap_or(u64::MAX));
    json!({
        "address": config.address.to_string(),
        "tls": config.tls.as_ref().map(tls),
        "trusted_proxies": config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "limits": {
            "header_bytes": bytes(limits.header_bytes),
            "headers": limits.headers,
            "target_bytes": bytes(limits.target_bytes),
            "body_bytes": format_size(limits.body_bytes),
            "header_timeout": format_duration(limits.header_timeout),
            "idle_timeout": format_duration(limits.idle_timeout),
            "connections": limits.connections,
            "streams": limits.streams,
            "requests_per_connection": limits.requests_per_connection,
            "connection_age": limits.connection_age.map(format_duration),
        },
        "workers": config.workers,
        "drain_timeout": format_duration(config.drain_timeout),
    })
}

fn control(config: &ControlConfig) -> Value {
    let role = |role| match role {
        Role::Read => "read",
        Role::Revoke => "revoke",
        Role::Admin => "admin",
    };
    let credential = |credential: &CredentialConfig| json!({ "name": *credential.name, "secret": SECRET, "role": role(credential.role) });
    json!({
        "address": match &config.address {
            ControlAddress::Tcp(address) => address.to_string(),
            ControlAddress::Unix(path) => format!("unix:{}", path.display()),
        },
        "credentials": config.credentials.iter().map(credential).collect::<Vec<_>>(),
        "credential_file": shown(&config.credential_file),
    })
}

fn log(config: &LogConfig) -> Value {
    let access = match &config.access {
        AccessLog::Off => "off".to_owned(),
        AccessLog::Stdout => "stdout".to_owned(),
        AccessLog::File(path) => format!("file:{}", path.display()),
    };
    json!({ "access": access, "level": config.level })
}

fn issuer(config: &IssuerConfig) -> Value {
    let algorithm = |algorithm: &Algorithm| format!("{algorithm:?}");
    let own = config.own_claims.as_deref();
    json!({
        "name": *config.name,
        "issuer": config.issuer.as_deref(),
        "tokens_without_issuer": config.issuer.is_none(),
        "audiences": match &config.audiences {
            Audiences::Any => Value::Null,
            Audiences::OneOf(audiences) => json!(audiences),
        },
        "any_audience": config.audiences == Audiences::Any,
        "algorithms": config.algorithms.iter().map(algorithm).collect::<Vec<_>>(),
        "keys": match &config.keys {
            KeysConfig::JwksUrl(url) => json!({ "jwks_url": url.to_string() }),
            KeysConfig::Discovery => json!({ "discovery": true }),
            KeysConfig::JwksFile(path) => json!({ "jwks_file": shown(path) }),
            KeysConfig::PemFile(path) => json!({ "pem_file": shown(path) }),
            KeysConfig::Secret(_) => json!({ "secret": SECRET }),
        },
        "leeway": format_duration(config.leeway),
        "max_lifetime": {
            "access": format_duration(config.max_lifetime.access),
            "refresh": format_duration(config.max_lifetime.refresh),
        },
        "require": config.require,
        "text_dates": config.text_dates,
        "typ": match &config.typ {
            TypeHeaders::Any => json!(["*"]),
            TypeHeaders::OneOf(values) => json!(values),
        },
        "token_type": token_type(&config.token_type),
        "identity": own.and_then(|own| own.identity.as_deref()).unwrap_or("sub"),
        "family": own.and_then(|own| own.family.as_ref()).map(|claim| json!({ "claim": claim.as_str() })),
    })
}

fn token_type(rule: &TokenTypeRule) -> Value {
    let (key, name) = match &rule.from {
        TokenTypeFrom::Claim(claim) => ("claim", claim.as_str()),
        TokenTypeFrom::Header(member) => ("header", &**member),
    };
    json!({
        key: name,
        "access": rule.access,
        "refresh": rule.refresh,
        "missing": rule.missing.map_or("reject", TokenType::as_str),
        "other": rule.other.map_or("reject", TokenType::as_str),
    })
}

fn revocation(config: &RevocationConfig) -> Value {
    let claims: Vec<&str> = config.claims.iter().map(|claim| &**claim).collect();
    let feed = config.feed.kind();
    json!({
        "feed": feed,
        feed: store(&config.feed),
        "check": kinds(config.check),
        "mode": match config.mode {
            RevocationMode::DenyList => "deny-list",
            RevocationMode::AllowList => "allow-list",
        },
        "register": register(config.register.as_ref()),
        "claims": claims,
        "max_staleness": format_duration(config.max_staleness),
        "when_stale": when_stale(config.when_stale),
        "local_copy": config.local_copy.as_deref().map(shown),
        "node": config.node,
    })
}

fn register(config: Option<&RegisterConfig>) -> Value {
    let Some(config) = config else { return json!({ "enabled": false }) };
    json!({
        "enabled": true,
        "max_tokens": config.max_tokens,
        "seen_every": format_duration(config.seen_every),
    })
}

fn upstream(config: &UpstreamConfig) -> Value {
    let health = |health: &HealthConfig| {
        json!({
            "path": health.path.as_str(),
            "interval": format_duration(health.interval),
            "unhealthy_after": health.unhealthy_after,
            "healthy_after": health.healthy_after,
        })
    };
    json!({
        "endpoints": config.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "balance": match &config.balance {
            Balance::LeastRequests => "least-requests".to_owned(),
            Balance::RoundRobin => "round-robin".to_owned(),
            Balance::Hash(claim) => format!("hash:{}", claim.as_str()),
        },
        "timeouts": {
            "connect": format_duration(config.connect_timeout),
            "response": format_duration(config.response_timeout),
            "idle": format_duration(config.idle_timeout),
        },
        "retries": { "attempts": config.retries },
        "health": config.health.as_ref().map(health),
    })
}

fn route(config: &RouteConfig) -> Value {
    let pattern = &config.pattern;
    let methods = pattern.methods.as_ref();
    let mut described = json!({
        "name": *config.name,
        "hosts": pattern.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": pattern.path.to_string(),
        "methods": methods.map(|set| set.iter().map(http::Method::as_str).collect::<Vec<_>>()),
        "when_stale": when_stale(config.when_stale),
        "forward": forward(&config.forward),
        "register_from": config.register_from.keys,
        "register_from_cookies": config.register_from.cookies,
        "errors": config.error_form.as_ref().map_or(profile(config.errors), |form| &form.name),
        "shadow": config.shadow,
    });
    let (auth, rule) = match &config.access {
        Access::Public => ("none", None),
        Access::Optional(rule) => ("optional", Some(rule)),
        Access::Required(rule) => ("required", Some(rule)),
    };
    described["auth"] = auth.into();
    match &config.destination {
        DestinationConfig::Upstream(name) => described["upstream"] = json!(**name),
        DestinationConfig::SelfService => described["serve"] = json!("self-service"),
    }
    if let (Some(rule), Some(described)) = (rule, described.as_object_mut()) {
        described.extend(access_rule(rule));
    }
    described
}

fn access_rule(rule: &AccessRule) -> Map<String, Value> {
    let claim = |rule: &ClaimRule| json!({ "claim": rule.claim.as_str(), "any_of": rule.any_of });
    let names = |names: &Vec<_>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let issuers = rule.issuers.as_ref().map(names);
    [
        ("issuers", json!(issuers)),
        ("token_types", kinds(rule.token_types)),
        ("token_from", rule.token_from.iter().map(token_source).collect()),
        ("check_revocation", kinds(rule.check_revocation)),
        ("exempt_options", json!(rule.exempt_options)),
        ("fresh", fresh(rule.fresh)),
        ("scopes", json!(rule.scopes)),
        ("claims", rule.claims.iter().map(claim).collect()),
        ("callback", json!(rule.callback.as_deref())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect()
}

fn token_source(source: &TokenSource) -> Value {
    match source {
        TokenSource::Header { name, scheme, .. } => {
            json!({ "header": name.as_str(), "scheme": scheme })
        }
        TokenSource::Cookie { name, csrf: None } => json!({ "cookie": name, "csrf": false }),
        TokenSource::Cookie { name, csrf: Some(csrf) } => json!({
            "cookie": name,
            "csrf": true,
            "csrf_header": csrf.header.as_str(),
            "csrf_methods": csrf.methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
            "csrf_form": csrf.form.as_ref().map(|(name, _)| name),
            "body_bytes": csrf.form.as_ref().map(|(_, limit)| format_size(*limit)),
        }),
        TokenSource::Json { name, limit } => {
            json!({ "json": name, "body_bytes": format_size(*limit) })
        }
        TokenSource::Query { name, prefix } => json!({ "query": name, "prefix": prefix }),
    }
}

fn fresh(asked: Option<Fresh>) -> Value {
    match asked {
        None => json!(false),
        Some(Fresh::Marked) => json!(true),
        Some(Fresh::MaxAge(age)) => json!(format_duration(age)),
    }
}

fn forward(config: &ForwardConfig) -> Value {
    let claim = |(claim, header): &(crate::token::ClaimPath, http::HeaderName)| {
        (claim.as_str().to_owned(), Value::from(header.as_str()))
    };
    let claims: Map<_, _> = config.claims.iter().map(claim).collect();
    json!({ "token": config.token, "claims": claims, "trailers": config.trailers })
}

fn kinds(kinds: TokenTypes) -> Value {
    let all = [TokenType::Access, TokenType::Refresh];
    all.into_iter().filter(|kind| kinds.contains(*kind)).map(TokenType::as_str).collect()
}

const fn when_stale(choice: WhenStale) -> &'static str {
    match choice {
        WhenStale::Reject => "reject",
        WhenStale::Allow => "allow",
    }
}

/// A path need not be UTF-8.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
