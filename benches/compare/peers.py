"""The proxies: each one's configuration and commands for a work."""
import json, os
from dataclasses import dataclass
from typing import Callable

from works import AUDIENCE, BIG, ISSUER, UPSTREAM, WORKS, path, write

HERE = os.path.dirname(os.path.abspath(__file__))
AUTH_PORTS_ABOVE = 30


@dataclass(frozen=True)
class Peer:
    """`commands(work, port, folder)` are what it runs; its works are all, unless named."""
    commands: Callable
    works: tuple = tuple(WORKS)
    verifies: bool = True


def nginx_text(folder, server, more=""):
    return f"""user root;
worker_processes 1;
daemon off;
pid {path(folder)}/nginx.pid;
error_log {path(folder)}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    large_client_header_buffers 8 16k;
    {more}
    server {{
        {server}
    }}
}}
"""


def upstream():
    """Answers of 128 bytes, of 10 MiB, and one that says what subject the proxy found."""
    write("big/big", "x" * BIG)
    text = f"""listen 127.0.0.1:{UPSTREAM};
        default_type text/plain;
        location / {{ return 200 "{'x' * 127}\\n"; }}
        location = /big {{ root {path('big')}; sendfile on; }}
        location = /subject {{ return 200 $http_x_auth_sub; }}"""
    return ["nginx", "-p", path("upstream"), "-c", write("upstream/nginx.conf", nginx_text("upstream", text))]


def nginx(work, port, folder):
    tls = f"ssl; ssl_protocols TLSv1.3; ssl_certificate {path('tls.crt')}; ssl_certificate_key {path('tls.key')}"
    listen = {"http": "", "h2": "http2", "tls": tls}[work.client]
    server = f"""listen 127.0.0.1:{port} {listen};
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_pass http://up;
        }}"""
    more = f"upstream up {{ server 127.0.0.1:{UPSTREAM}; keepalive 256; keepalive_requests 100000000; }}"
    return [["nginx", "-p", path(folder), "-c", write(f"{folder}/nginx.conf", nginx_text(folder, server, more))]]


def haproxy_rules(work):
    """Signature, times, issuer, audience, type and, if wanted, the revocations; else 401."""
    if not work.tokens:
        return ""
    claim = lambda name, kind="": f"var(txn.claims),json_query('$.{name}'{kind})"
    refuse = "http-request deny deny_status 401"
    return f"""    {refuse} unless {{ http_auth_bearer -m found }}
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    {refuse} unless {{ var(txn.alg) -m str {work.algorithm} }}
    {refuse} unless {{ var(txn.token),jwt_verify(txn.alg,"{path(work.algorithm.lower() + '.pub')}") -m int 1 }}
    http-request set-var(txn.claims) var(txn.token),field(2,.),ub64dec
    http-request set-var(txn.now) date()
    {refuse} if {{ {claim('exp', ",'int'")},sub(txn.now) -m int lt 0 }}
    {refuse} if {{ {claim('nbf', ",'int'")},sub(txn.now) -m int gt 0 }}
    {refuse} unless {{ {claim('iss')} -m str {ISSUER} }}
    {refuse} unless {{ {claim('aud')} -m str {AUDIENCE} }}
    {refuse} unless {{ {claim('type')} -m str access }}
    {f"{refuse} if {{ {claim('jti')} -m str -f {path('deny.txt')} }}" if work.revocations else ""}
    http-request set-var(txn.sub) {claim('sub')}
"""


def haproxy_serving(work, port, folder, listen, then):
    text = f"""global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend in
    bind 127.0.0.1:{port} {listen}
{haproxy_rules(work)}{then}
"""
    return [["haproxy", "-db", "-f", write(f"{folder}/haproxy.cfg", text)]]


def haproxy(work, port, folder):
    listen = {"http": "", "h2": "proto h2", "tls": f"ssl crt {path('tls.pem')} alpn h2,http/1.1"}[work.client]
    subject = "    http-request set-header X-Auth-Sub %[var(txn.sub)]\n" if work.tokens else ""
    return haproxy_serving(work, port, folder, listen, f"""{subject}    default_backend up
backend up
    option forwardfor
    server up 127.0.0.1:{UPSTREAM}""")


def auth_service(work, port, folder):
    """For those who have no check of their own: HAProxy, which answers with the subject or with 401."""
    if not work.tokens:
        return []
    return haproxy_serving(work, port, folder, "", "    http-request return status 200 hdr X-Auth-Sub %[var(txn.sub)]")


def traefik(work, port, folder):
    auth = port + AUTH_PORTS_ABOVE
    router = {"rule": "PathPrefix(`/`)", "service": "up", "entryPoints": ["in"]}
    http = {"routers": {"all": router}, "serversTransports": {"kept": {"maxIdleConnsPerHost": 512}},
            "services": {"up": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{UPSTREAM}"}], "serversTransport": "kept"}}}}
    if work.tokens:
        router["middlewares"] = ["auth"]
        http["middlewares"] = {"auth": {"forwardAuth": {"address": f"http://127.0.0.1:{auth}/", "authResponseHeaders": ["X-Auth-Sub"]}}}
    routes = write(f"{folder}/routes.yml", json.dumps({"http": http}))  # JSON is YAML
    command = ["traefik", f"--entrypoints.in.address=127.0.0.1:{port}", f"--providers.file.filename={routes}", "--log.level=ERROR",
               "--global.checknewversion=false", "--global.sendanonymoususage=false"]
    return [*auth_service(work, auth, folder), ["env", "GOMAXPROCS=1", *command]]


def caddy(work, port, folder):
    auth = port + AUTH_PORTS_ABOVE
    forward_auth = f"forward_auth 127.0.0.1:{auth} {{\n\t\turi /\n\t\tcopy_headers X-Auth-Sub\n\t}}" if work.tokens else ""
    text = f"""{{
	admin off
	auto_https off
	persist_config off
}}
http://:{port} {{
	bind 127.0.0.1
	{forward_auth}
	reverse_proxy 127.0.0.1:{UPSTREAM} {{
		transport http {{
			keepalive_idle_conns 512
			keepalive_idle_conns_per_host 512
		}}
	}}
}}
"""
    homes = [f"{name}={path(folder)}" for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")]
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", write(f"{folder}/Caddyfile", text)]
    return [*auth_service(work, auth, folder), ["env", "GOMAXPROCS=1", *homes, *command]]


def envoy_filters(work):
    kind = lambda name: f"type.googleapis.com/envoy.extensions.filters.http.{name}"
    if work.tokens:
        with open(path(work.algorithm.lower() + ".jwks")) as file:
            keys = file.read()
        provider = {"issuer": ISSUER, "audiences": [AUDIENCE], "forward": True, "payload_in_metadata": "claims",
                    "claim_to_headers": [{"header_name": "x-auth-sub", "claim_name": "sub"}],
                    "jwt_cache_config": {"jwt_cache_size": 20000, "jwt_max_token_size": 4096}, "local_jwks": {"inline_string": keys}}
        yield {"name": "envoy.filters.http.jwt_authn", "typed_config": {
            "@type": kind("jwt_authn.v3.JwtAuthentication"), "providers": {"main": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "main"}}]}}
    if work.revocations:
        script = f"""local revoked = {{}}
for jti in io.lines("{path('deny.txt')}") do revoked[jti] = true end
function envoy_on_request(handle)
  local found = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  local claims = found and found["claims"]
  if not claims or claims["type"] ~= "access" or revoked[claims["jti"]] then handle:respond({{[":status"] = "401"}}, "refused") end
end"""
        yield {"name": "envoy.filters.http.lua", "typed_config": {"@type": kind("lua.v3.Lua"), "default_source_code": {"inline_string": script}}}
    yield {"name": "envoy.filters.http.router", "typed_config": {"@type": kind("router.v3.Router")}}


def envoy(work, port, folder):
    types = "type.googleapis.com/envoy.extensions"
    address = lambda number: {"address": {"socket_address": {"address": "127.0.0.1", "port_value": number}}}
    manager = {"@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
               "generate_request_id": False, "use_remote_address": True, "http_filters": list(envoy_filters(work)),
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}]}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if work.client == "tls":
        files = {"certificate_chain": {"filename": path("tls.crt")}, "private_key": {"filename": path("tls.key")}}
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": f"{types}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [files]}}}
    cluster = {"name": "up", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
        "cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": address(UPSTREAM)}]}]}}
    text = json.dumps({"static_resources": {"listeners": [{**address(port), "filter_chains": [chain]}], "clusters": [cluster]}})
    return [["envoy", "-c", write(f"{folder}/envoy.json", text), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]]


def portcullis(log):
    def commands(work, port, folder):
        deny = path("deny.txt") if work.revocations else ""
        told = {"RIG_AUTH": "jwt" if work.tokens else "none", "RIG_ALG": work.algorithm.lower(), "RIG_DATA": path(""), "RIG_RUN": path(folder),
                "RIG_DENY": deny, "RIG_TLS": int(work.client == "tls"), "OURS_LOG": log, "OURS_KEEP": path("stores")}
        command = [os.path.join(HERE, "ours"), "--port", str(port), "--upstream", f"127.0.0.1:{UPSTREAM}"]
        return [["env", *(f"{name}={value}" for name, value in told.items()), *command]]
    return commands


OURS = "portcullis"
PEERS = {
    OURS: Peer(portcullis("file")),
    "portcullis-no-log": Peer(portcullis("off")),
    "haproxy": Peer(haproxy),
    # Whom it does not matter to that a token comes once.
    "nginx": Peer(nginx, tuple(name for name, work in WORKS.items() if work.wanted == 200 and name != "once"), verifies=False),
    "envoy": Peer(envoy),
    "traefik": Peer(traefik, ("plain", "revocations")),
    "caddy": Peer(caddy, ("plain", "revocations")),
}
