//! Every key of `gateway.toml`: the one list from which unknown keys are judged and to which
//! `docs/configuration.md` and the defaults are held.

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path; `[]` is an element of a list, `*` a name of the operator's choice.
    pub path: &'static str,
    /// What its value is.
    pub kind: &'static str,
    /// What holds when it is not given.
    pub given: Given,
    /// What it means.
    pub meaning: &'static str,
}

/// What holds when a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It must be given.
    Required,
    /// This TOML value.
    Default(&'static str),
    /// What these words say.
    Otherwise(&'static str),
}

use Given::{Default, Otherwise, Required};

/// All keys, in the order of the documentation.
#[rustfmt::skip] // a table reads best with a row on a line
pub const KEYS: &[Key] = &[
    key("listener.address", "address", Default("\"127.0.0.1:8080\""), "where clients connect: IP address and port"),
    key("listener.tls.certificate", "file", Otherwise("no TLS"), "certificate chain in PEM, read again when it changes"),
    key("listener.tls.private_key", "file", Otherwise("no TLS"), "the certificate's key in PEM"),
    key("listener.tls.client_ca", "file", Otherwise("no client certificate is asked for"), "clients must show a certificate of one of these authorities"),
    key("listener.trusted_proxies", "list of networks", Default("[]"), "whose Forwarded and X-Forwarded-* fields are believed: addresses or CIDRs"),
    key("listener.limits.header_bytes", "size", Default("\"32KiB\""), "a request's whole head"),
    key("listener.limits.headers", "number", Default("100"), "header fields of a request"),
    key("listener.limits.target_bytes", "size", Default("\"8KiB\""), "a request's target"),
    key("listener.limits.body_bytes", "size", Default("\"10MiB\""), "a request's body"),
    key("listener.limits.header_timeout", "duration", Default("\"10s\""), "from accept, or a request's first byte, to its whole head"),
    key("listener.limits.idle_timeout", "duration", Default("\"75s\""), "a kept connection without a request, or a body without a byte"),
    key("listener.limits.connections", "number", Default("10000"), "connections at once, over all workers"),
    key("listener.limits.streams", "number", Default("100"), "HTTP/2 streams at once on one connection"),
    key("listener.limits.requests_per_connection", "number", Otherwise("no limit"), "requests on one connection, which ends after the last one's answer"),
    key("listener.limits.connection_age", "duration", Otherwise("no limit"), "how long a connection takes requests; it ends after the answer to the next one"),
    key("listener.workers", "number", Otherwise("one for each processor"), "data-plane workers"),
    key("listener.drain_timeout", "duration", Default("\"30s\""), "how long a shutdown waits for requests in flight"),
    key("control.address", "address", Default("\"127.0.0.1:9901\""), "the control port: IP address and port, or \"unix:/path\""),
    key("control.allow_remote", "true or false", Default("false"), "lets the control port listen on an address that other machines reach"),
    key("control.credentials[].name", "name", Required, "the actor's name in the audit trail"),
    key("control.credentials[].secret", "secret", Required, "what is presented as bearer token; 32 bytes or more"),
    key("control.credentials[].role", "word", Required, "read, revoke (and read) or admin (all)"),
    key("control.credential_file", "file", Otherwise("\"portcullis.token\" beside the embedded store"), "where the credential is kept that is made at first start when none is given"),
    key("log.access", "word", Default("\"stdout\""), "the access log: stdout, off or \"file:path\""),
    key("log.level", "word", Default("\"info\""), "the least severe diagnostic shown: error, warn, info or debug"),
    key("issuers[].name", "name", Required, "what routes call the issuer; it scopes revocations when tokens carry no iss"),
    key("issuers[].issuer", "text", Otherwise("required, unless `tokens_without_issuer`"), "the exact iss of its tokens"),
    key("issuers[].tokens_without_issuer", "true or false", Default("false"), "its tokens carry no iss"),
    key("issuers[].audiences", "list of texts", Otherwise("required, unless `any_audience`"), "a token's aud must hold one of them"),
    key("issuers[].any_audience", "true or false", Default("false"), "aud is not looked at"),
    key("issuers[].algorithms", "list of words", Otherwise("[\"HS256\"] with `keys.secret`, else [\"RS256\", \"ES256\"]"), "accepted signature algorithms"),
    key("issuers[].keys.jwks_url", "URL", Otherwise("one source of keys is required"), "a JWK set, fetched in the background; https, or http on loopback"),
    key("issuers[].keys.discovery", "true or false", Default("false"), "OpenID Connect Discovery below `issuer` names the JWK set"),
    key("issuers[].keys.jwks_file", "file", Otherwise("one source of keys is required"), "a JWK set"),
    key("issuers[].keys.pem_file", "file", Otherwise("one source of keys is required"), "one public key or certificate in PEM"),
    key("issuers[].keys.secret", "secret", Otherwise("one source of keys is required"), "an HMAC secret; as long as the algorithm's hash or longer"),
    key("issuers[].leeway", "duration", Default("\"30s\""), "tolerance for exp, nbf and iat; at most 5m"),
    key("issuers[].max_lifetime.access", "duration", Default("\"24h\""), "longest exp - iat of an access token that is accepted"),
    key("issuers[].max_lifetime.refresh", "duration", Default("\"90d\""), "longest exp - iat of a refresh token that is accepted"),
    key("issuers[].require", "list of texts", Default("[\"exp\", \"iat\", \"sub\", \"jti\"]"), "claims that a token must carry"),
    key("issuers[].text_dates", "true or false", Default("false"), "exp, nbf and iat may be text that holds a whole number"),
    key("issuers[].typ", "list of texts", Default("[\"at+jwt\", \"JWT\"]"), "accepted typ header values (an absent one is accepted too); [\"*\"]: any"),
    key("issuers[].token_type.claim", "claim", Otherwise("\"type\", unless `header` is given"), "the claim that tells a token's kind"),
    key("issuers[].token_type.header", "text", Otherwise("`claim` tells"), "the header member that tells a token's kind"),
    key("issuers[].token_type.access", "list of texts", Default("[\"access\"]"), "words for an access token"),
    key("issuers[].token_type.refresh", "list of texts", Default("[\"refresh\"]"), "words for a refresh token"),
    key("issuers[].token_type.missing", "word", Default("\"access\""), "what a token without the word is: access, refresh, or reject"),
    key("issuers[].token_type.other", "word", Default("\"reject\""), "what a token with another word is: access, refresh, or reject"),
    key("issuers[].identity", "text", Default("\"sub\""), "the claim that says whose token it is; revocations by sub name it too"),
    key("issuers[].family.claim", "claim", Otherwise("no families"), "the claim of an access token that holds its refresh token's jti, or that both share (sid): revoking the refresh token revokes it"),
    key("revocation.feed", "word", Default("\"embedded\""), "where revocations are kept and come from: embedded, redis, nats or postgres"),
    key("revocation.check", "list of kinds", Default("[\"access\", \"refresh\"]"), "kinds of token that are checked; []: none"),
    key("revocation.mode", "word", Default("\"deny-list\""), "deny-list: tokens pass unless revoked; allow-list: only registered tokens pass"),
    key("revocation.register.enabled", "true or false", Otherwise("true with `mode = \"allow-list\"`"), "keep a list of each subject's tokens and of when they were seen"),
    key("revocation.register.max_tokens", "number", Default("100000"), "the most tokens that can be listed; 1 to 10000000"),
    key("revocation.register.seen_every", "duration", Default("\"30s\""), "how often the times at which tokens were seen are recorded; 1s to 1d"),
    key("revocation.claims", "list of claims", Default("[\"jti\", \"sub\", \"sid\", \"client_id\"]"), "claims that can be revoked by; jti, iss, kid and token always can"),
    key("revocation.max_staleness", "duration", Default("\"10s\""), "how old the known state may be before `when_stale` decides"),
    key("revocation.when_stale", "word", Default("\"reject\""), "reject (503) or allow (the last known state goes on)"),
    key("revocation.local_copy", "file", Otherwise("\"revocations.copy.redb\"; none with `feed = \"embedded\"`"), "this node's own copy of a store that is elsewhere; made at first start"),
    key("revocation.node", "text", Otherwise("the host's name"), "what this node is called among those that follow the store"),
    key("revocation.embedded.path", "file", Default("\"revocations.redb\""), "the store; made at first start"),
    key("revocation.redis.url", "store URL", Default("\"redis://127.0.0.1:6379/0\""), "the server: redis, rediss (TLS) or redis+unix"),
    key("revocation.redis.stream", "text", Default("\"portcullis:revocations\""), "the stream's key; other keys begin with it"),
    key("revocation.redis.replicas", "number", Default("0"), "replicas that must have a record before it is acknowledged; 0 to 5"),
    key("revocation.redis.username", "text", Otherwise("as in the URL"), "the ACL user"),
    key("revocation.redis.password", "secret", Otherwise("as in the URL"), "the user's password"),
    key("revocation.redis.tls.ca", "file", Otherwise("the system's authorities"), "authorities that the server's certificate may come from, in PEM"),
    key("revocation.redis.tls.certificate", "file", Otherwise("no client certificate"), "our certificate chain in PEM, for a server that asks for one"),
    key("revocation.redis.tls.private_key", "file", Otherwise("no client certificate"), "the certificate's key in PEM"),
    key("revocation.nats.url", "store URL", Default("\"nats://127.0.0.1:4222\""), "the servers: nats or tls, several with commas in between"),
    key("revocation.nats.stream", "name", Default("\"REVOCATIONS\""), "the stream; made at first start"),
    key("revocation.nats.replicas", "number", Default("1"), "copies of the stream that the servers keep; 1 to 5"),
    key("revocation.nats.username", "text", Otherwise("as in the URL"), "the user"),
    key("revocation.nats.password", "secret", Otherwise("as in the URL"), "the user's password"),
    key("revocation.nats.credentials", "file", Otherwise("none"), "a credentials file (JWT and NKey seed)"),
    key("revocation.nats.tls.ca", "file", Otherwise("the system's authorities"), "authorities that the server's certificate may come from, in PEM"),
    key("revocation.nats.tls.certificate", "file", Otherwise("no client certificate"), "our certificate chain in PEM, for a server that asks for one"),
    key("revocation.nats.tls.private_key", "file", Otherwise("no client certificate"), "the certificate's key in PEM"),
    key("revocation.postgres.url", "store URL", Otherwise("required with `feed = \"postgres\"`"), "the database: postgres or postgresql"),
    key("revocation.postgres.table", "text", Default("\"revocations\""), "the table, with or without its schema; made at first start"),
    key("revocation.postgres.username", "text", Otherwise("as in the URL"), "the role"),
    key("revocation.postgres.password", "secret", Otherwise("as in the URL"), "the role's password"),
    key("revocation.postgres.tls.ca", "file", Otherwise("the system's authorities"), "authorities that the server's certificate may come from, in PEM"),
    key("revocation.postgres.tls.certificate", "file", Otherwise("no client certificate"), "our certificate chain in PEM, for a server that asks for one"),
    key("revocation.postgres.tls.private_key", "file", Otherwise("no client certificate"), "the certificate's key in PEM"),
    key("upstreams.*.endpoints", "list of URLs", Required, "\"http://host:port\" each"),
    key("upstreams.*.balance", "word", Default("\"least-requests\""), "how one is chosen: least-requests, round-robin or \"hash:claim\""),
    key("upstreams.*.timeouts.connect", "duration", Default("\"1s\""), "from nothing to a connection"),
    key("upstreams.*.timeouts.response", "duration", Default("\"30s\""), "from the request's head sent to the answer's head"),
    key("upstreams.*.timeouts.idle", "duration", Default("\"60s\""), "a pooled connection without a request, or a body without a byte"),
    key("upstreams.*.retries.attempts", "number", Default("1"), "tries beyond the first, where repeating is safe; 0 to 3"),
    key("upstreams.*.health.path", "path", Otherwise("no active checks"), "asked with GET; 2xx and 3xx are healthy"),
    key("upstreams.*.health.interval", "duration", Default("\"5s\""), "how often"),
    key("upstreams.*.health.unhealthy_after", "number", Default("3"), "failures in a row until the endpoint is left out"),
    key("upstreams.*.health.healthy_after", "number", Default("2"), "successes in a row until it is back"),
    key("callbacks.*.kind", "word", Required, "who is asked: introspection (RFC 7662), http (claims in, verdict out) or closure (of an embedding program)"),
    key("callbacks.*.url", "URL", Otherwise("required, unless a closure"), "where to ask; https, or http on loopback"),
    key("callbacks.*.allow_plain_http", "true or false", Default("false"), "takes http in `url` on any address"),
    key("callbacks.*.client_id", "text", Otherwise("required for introspection"), "who we are at the introspection endpoint"),
    key("callbacks.*.client_secret", "secret", Otherwise("required for introspection"), "its secret, sent by HTTP Basic"),
    key("callbacks.*.bearer_secret", "secret", Otherwise("nothing is shown"), "what an http callback is shown as bearer token"),
    key("callbacks.*.tls.ca", "file", Otherwise("the system's authorities"), "authorities that the server's certificate may come from, in PEM"),
    key("callbacks.*.timeout", "duration", Default("\"1s\""), "from a question to its whole answer; a turn is waited for as long at most"),
    key("callbacks.*.concurrency", "number", Default("64"), "questions that are out at once; 16 times as many may wait"),
    key("callbacks.*.when_down", "word", Default("\"reject\""), "when no answer comes: reject (503) or allow (the token passes)"),
    key("callbacks.*.cache.ttl", "duration", Default("\"10s\""), "how long a permit is kept, at most until the token's exp; \"0s\": not at all"),
    key("callbacks.*.cache.refused_ttl", "duration", Otherwise("`ttl`, at most \"5s\""), "how long a refusal is kept; not longer than `ttl`"),
    key("callbacks.*.cache.entries", "number", Default("10000"), "verdicts that are kept"),
    key("callbacks.*.cache.bytes", "size", Default("\"16MiB\""), "memory for them, tokens included"),
    key("errors.*.profile", "word", Otherwise("the profile of that name, else rfc6750"), "what holds where nothing else is said: rfc6750, flask or bare"),
    key("errors.*.media_type", "text", Otherwise("\"application/json\""), "what its bodies are: application/json, application/*+json, text/plain or text/html"),
    key("errors.*.body", "text", Otherwise("the profile's body"), "the body of every refusal, with {code}, {message}, {request_id} and {status} filled in"),
    key("errors.*.message_key", "text", Otherwise("\"msg\""), "the member that holds the message, in the profile flask"),
    key("errors.*.codes.*.status", "number", Otherwise("the code's status"), "another status: 4xx for 4xx, 5xx for 5xx"),
    key("errors.*.codes.*.body", "text", Otherwise("`body`"), "the body of refusals with this code"),
    key("routes[].name", "name", Required, "what logs and metrics call the route"),
    key("routes[].hosts", "list of hosts", Otherwise("any host"), "\"api.example.com\", or \"*.example.com\" for every name below it"),
    key("routes[].path", "path", Required, "a prefix by whole segments, or \"=/exact\" for one path"),
    key("routes[].methods", "list of methods", Otherwise("any method"), "HTTP methods, in upper case"),
    key("routes[].upstream", "name", Otherwise("required, unless `serve`"), "where requests go"),
    key("routes[].serve", "word", Otherwise("they go to `upstream`"), "what the gateway answers itself: \"self-service\" lets bearers log out and look after their tokens"),
    key("routes[].auth", "word", Required, "required, optional (a token may be missing, not wrong) or none"),
    key("routes[].issuers", "list of names", Otherwise("all"), "issuers whose tokens count here"),
    key("routes[].token_types", "list of kinds", Default("[\"access\"]"), "kinds of token accepted: \"access\", \"refresh\", \"both\" or a list"),
    key("routes[].token_from[].header", "header name", Otherwise("\"Authorization\" with the scheme \"Bearer\""), "where the token is looked for, in strict order"),
    key("routes[].token_from[].scheme", "text", Otherwise("the whole field is the token"), "the scheme before the token"),
    key("routes[].token_from[].cookie", "name", Otherwise("no cookie"), "the cookie that holds the token"),
    key("routes[].token_from[].csrf", "true or false", Otherwise("true for a cookie"), "double submit: the token's claim csrf must come again in a header"),
    key("routes[].token_from[].csrf_header", "header name", Otherwise("\"X-CSRF-TOKEN\""), "that header"),
    key("routes[].token_from[].csrf_methods", "list of methods", Otherwise("POST, PUT, PATCH and DELETE"), "methods that are protected so"),
    key("routes[].token_from[].csrf_form", "name", Otherwise("no form is read"), "the field of a urlencoded form that may hold it instead"),
    key("routes[].token_from[].query", "name", Otherwise("no parameter"), "the query parameter that holds the token"),
    key("routes[].token_from[].prefix", "text", Otherwise("nothing"), "what stands before the token in the parameter"),
    key("routes[].token_from[].json", "name", Otherwise("no member"), "the member of a JSON body that holds the token"),
    key("routes[].token_from[].body_bytes", "size", Otherwise("\"64KiB\" with `json` or `csrf_form`"), "the longest body that is read for it; at most 1MiB"),
    key("routes[].check_revocation", "list of kinds", Otherwise("`revocation.check`"), "kinds of token that are checked for revocation here; []: none"),
    key("routes[].when_stale", "word", Otherwise("`revocation.when_stale`"), "reject or allow, here"),
    key("routes[].fresh", "true, false or duration", Default("false"), "asks for a token of a log-in: marked fresh, or so recent"),
    key("routes[].exempt_options", "true or false", Default("false"), "OPTIONS needs no token"),
    key("routes[].scopes", "list of texts", Default("[]"), "scopes that the token must all have"),
    key("routes[].claims[].claim", "claim", Required, "a claim, dots lead into objects: realm_access.roles"),
    key("routes[].claims[].any_of", "list of texts", Required, "its value, or one of its list, is one of these"),
    key("routes[].callback", "name", Otherwise("nobody else is asked"), "which of [callbacks] is asked when all else holds"),
    key("routes[].forward.token", "true or false", Default("true"), "whether the token is passed on"),
    key("routes[].forward.claims.*", "header name", Otherwise("no identity headers"), "header set from the verified claim; clients' own copies are removed"),
    key("routes[].forward.trailers", "true or false", Default("false"), "whether trailers pass (gRPC)"),
    key("routes[].register_from", "list of texts", Default("[]"), "members of this route's JSON answers whose tokens are registered; dots lead into objects"),
    key("routes[].register_from_cookies", "list of names", Default("[]"), "cookies that this route's answers set whose tokens are registered"),
    key("routes[].errors", "word", Default("\"rfc6750\""), "form of refusals: rfc6750 (challenge and RFC 9457 body), flask, bare or one of [errors]"),
    key("routes[].shadow", "true or false", Default("false"), "log and count what would be refused, and let it pass"),
];

const fn key(path: &'static str, kind: &'static str, given: Given, meaning: &'static str) -> Key {
    Key { path, kind, given, meaning }
}

/// The names valid in a table, `*` for any, in the order of [`KEYS`].
pub(super) fn children(table: &str) -> Vec<&'static str> {
    let below = |key: &Key| match table {
        "" => Some(key.path),
        _ => key.path.strip_prefix(table)?.strip_prefix('.'),
    };
    let mut names: Vec<_> =
        KEYS.iter().filter_map(|key| below(key)?.split(['.', '[']).next()).collect();
    if KEYS.iter().any(|key| key.path == table && matches!(key.kind, "secret" | "store URL")) {
        names = vec!["env", "file"];
    }
    names.dedup();
    names
}

/// Whether the last step of a key's path is a name whose values may be shown whatever they are.
pub(super) fn holds_no_secret(name: &str) -> bool {
    let last = |path: &'static str| path.rsplit('.').next();
    let harmless = |key: &Key| !matches!(key.kind, "secret" | "URL" | "store URL");
    let mut rows = KEYS.iter().filter(|key| last(key.path) == Some(name)).peekable();
    rows.peek().is_some() && rows.all(harmless)
}
