"""A gateway as the curves need it: its configuration, tokens, processor time and memory, and the upstream behind it."""
import hashlib, hmac, http.client, json, os, re, resource, shutil, socket, subprocess, sys, time, uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "../support"))
from rig import Folder, b64, end, identifier

FOLDER = Folder("SCALE_WORK", "portcullis-scale")
WORK, path, write = FOLDER.root, FOLDER.path, FOLDER.write
BUILT = [os.path.join(HERE, f"../../target/{profile}/portcullis") for profile in ("dist", "release")]
BINARY = os.environ.get("OURS_BIN") or next(filter(os.path.exists, BUILT), BUILT[1])
CONTROL = "control-credential-of-at-least-thirty-two-bytes"
UPSTREAM, FIRST_PORT = 19401, 18500
FILES = 65_536
BODIES = [128, 1024, 16 << 10, 128 << 10, 1 << 20, 10 << 20]

HEAD = """
[listener]
address = "127.0.0.1:{port}"
workers = {workers}
drain_timeout = "1s"
limits = {{ connections = 60000, idle_timeout = "10m", body_bytes = "16MiB" }}
[control]
address = "127.0.0.1:{control}"
credentials = [{{ name = "bench", secret = {{ file = "control.secret" }}, role = "admin" }}]
[log]
access = "file:access.jsonl"
level = "warn"
[revocation]
{feed}
[upstreams.up]
endpoints = ["http://127.0.0.1:{upstream}"]
"""

EMBEDDED = 'feed = "embedded"\nembedded = { path = "revocations.redb" }'

ISSUER = """
[[issuers]]
name = "i{number}"
issuer = "{issuer}"
audiences = ["api"]
algorithms = ["{algorithm}"]
keys = {keys}
leeway = "0s"
max_lifetime = {{ access = "400d", refresh = "400d" }}
"""

# Ten thousand of them fit into the megabyte that a configuration may have.
ROUTE = """[[routes]]
name="r{number}"
path="/service-{number}/"
upstream="up"
auth="required"
"""

NGINX = """worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx.log warn;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 10m;
    client_max_body_size 0;
    client_body_buffer_size 16m;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ default_type text/plain; return 200 "{answer}"; }}
        location /service-0/b/ {{ alias {work}/bodies/; }}
        # The answer comes when the whole body is there.
        location /service-0/up/ {{
            proxy_pass http://127.0.0.1:{port}/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
}}
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def open_files():
    """How many files each process started from here may open: 65,536, or as many as we may ask for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES if most == resource.RLIM_INFINITY else max(FILES, most)))
    except (ValueError, PermissionError):
        # Only root may raise what it was given, and not in every container.
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def install():
    """What Debian has of it, the generator, and a place to work."""
    os.environ["PATH"] += ":/usr/sbin"
    missing = [package for tool, package in (("wrk", "wrk"), ("h2load", "nghttp2-client"), ("nginx", "nginx-light"), ("openssl", "openssl"),
                                             ("redis-server", "redis-server"))
               if not shutil.which(tool)]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True)
    if not os.path.exists(BINARY):
        sys.exit("build it first: cargo build --release")
    os.environ["OURS_BIN"] = BINARY
    os.makedirs(path("stores"), exist_ok=True)
    subprocess.run(["rustc", "-O", "--edition", "2024", os.path.join(HERE, "openloop.rs"), "-o", path("openloop")], check=True)


def start_upstream():
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", UPSTREAM)) == 0:
            sys.exit(f"something listens on port {UPSTREAM} already: another run?")
    for size in BODIES:
        write(f"bodies/{size}", "x" * size)
    text = write("nginx.conf", NGINX.format(work=WORK, port=UPSTREAM, files=open_files(), answer="x" * 127 + "\\n"))
    return subprocess.Popen(["taskset", "-c", "1", "nginx", "-p", WORK, "-c", text])


def secret_of(issuer):
    return f"the-shared-secret-of-issuer-{issuer}-is-long-enough"


def issuer_of(number):
    return f"https://issuer-{number}.test/realms/main"


def token(sign, number, issuer=0, kid=None, jti=None):
    now = int(time.time())
    claims = {"iss": issuer_of(issuer), "aud": "api", "sub": f"user-{number}", "jti": jti or str(uuid.UUID(int=1 << 127 | number)),
              "iat": now - 60, "nbf": now - 60, "exp": now + 86400, "type": "access", "sid": str(uuid.UUID(int=1 << 126 | number)),
              "azp": "web", "scope": "openid profile email orders:read orders:write invoices:read"}
    header = {"alg": "RS256" if kid else "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}
    head = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    return head + "." + b64(sign(head.encode()))


def shared(issuer):
    return lambda data: hmac.new(secret_of(issuer).encode(), data, hashlib.sha256).digest()


def forged(jwt):
    at = len(jwt) - 12
    return jwt[:at] + ("A" if jwt[at] != "A" else "B") + jwt[at + 1:]


class Gate:
    """One gateway, on processor 0 unless told otherwise."""

    def __init__(self, name, *, routes=1, issuers=1, keys=None, entries=0, feed=EMBEDDED, workers=1, processors="0"):
        self.name, self.routes, self.issuers, self.keys, self.entries = name, routes, issuers, keys, entries
        self.feed, self.workers, self.processors, self.process = feed, workers, processors, None

    def configuration(self):
        text = HEAD.format(port=self.port, control=self.port + 1, workers=self.workers, feed=self.feed, upstream=UPSTREAM)
        for number in range(self.issuers):
            keys = '{ jwks_file = "jwks.json" }' if self.keys else f'{{ secret = {{ file = "hs256-{number}.secret" }} }}'
            text += ISSUER.format(number=number, issuer=issuer_of(number), algorithm="RS256" if self.keys else "HS256", keys=keys)
        return text + "".join(ROUTE.format(number=number) for number in range(self.routes))

    def start(self, port):
        self.port = port
        self.folder = path(f"gates/{self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        own = lambda name, text: os.chmod(write(f"gates/{self.name}/{name}", text), 0o600)
        own("gateway.toml", self.configuration())
        own("control.secret", CONTROL)
        for number in range(self.issuers):
            own(f"hs256-{number}.secret", secret_of(number))
        if self.keys:
            self.keys.publish(self.folder)
        if self.entries:
            shutil.copy(store(self.entries), self.folder + "/revocations.redb")
        with open(self.folder + "/out.log", "w") as log:
            self.process = subprocess.Popen(["taskset", "-c", self.processors, BINARY, "run", "--config", "gateway.toml"],
                                            cwd=self.folder, stdout=log, stderr=log)
        jwt = self.tokens(1)[0]
        end = time.monotonic() + 120
        while self.status(jwt) != 200:
            if self.process.poll() is not None or time.monotonic() > end:
                self.give_up("does not serve: " + open(self.folder + "/out.log").read()[-2000:])
            time.sleep(0.02)
        if self.status(forged(jwt)) != 401 or self.status(None) != 401:
            self.give_up("lets pass what it should not")
        if self.entries and not self.keys and self.status(token(shared(0), 0, jti=identifier(self.entries - 1))) != 401:
            self.give_up("lets a revoked token pass")
        return self

    def give_up(self, why):
        end(self.process)
        sys.exit(f"{self.name} {why}")

    def tokens(self, count):
        """So many different ones, of all issuers and keys in turn."""
        if self.keys:
            return self.keys.tokens(count)
        return [token(shared(number % self.issuers), number, number % self.issuers) for number in range(count)]

    def requests(self, count=2000, tokens=None, target="x"):
        """A file of `path, tab, token`, the routes in turn; its name."""
        tokens = tokens or self.tokens(count)
        lines = (f"/service-{number * 7919 % self.routes}/{target}\t{jwt}\n" for number, jwt in enumerate(tokens))
        text = "".join(lines)
        return write(f"requests/{hashlib.sha256(text.encode()).hexdigest()[:16]}", text)

    def status(self, jwt):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/service-0/x", headers={"Authorization": "Bearer " + jwt} if jwt else {})
            return connection.getresponse().status
        except OSError:
            return None

    def call(self, method, target, body=None, kind="application/json"):
        """A call of the control port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port + 1, timeout=300)
        connection.request(method, target, body, {"Authorization": "Bearer " + CONTROL, "Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status} {text[:300]}")
        return text

    def metric(self, name):
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.call("GET", "/metrics"), re.M)
        return sum(map(float, found))

    def cpu(self, thread=""):
        """Seconds, user and system, of its process, or of its threads whose names begin so."""
        task = f"/proc/{self.process.pid}/task"
        files = [f"{task}/{tid}/stat" for tid in os.listdir(task)] if thread else [f"/proc/{self.process.pid}/stat"]
        total = 0
        for name in files:
            comm, fields = open(name).read().split("(", 1)[1].rsplit(")", 1)
            if comm.startswith(thread):
                total += sum(map(int, fields.split()[11:13]))
        return total / os.sysconf("SC_CLK_TCK")

    def memory(self, field="VmRSS"):
        """In MB."""
        text = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(rf"{field}:\s+(\d+)", text).group(1)) * 1024 / 1e6

    def stop(self):
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def entries(first, count, expires):
    return "".join('{"claim":"jti","value":"%s","expires_at":%d}\n' % (identifier(number), expires) for number in range(first, first + count))


def lines(gate, first, count, expires):
    """Imports so many entries; seconds."""
    began = time.monotonic()
    for at in range(first, first + count, 1_000_000):
        some = entries(at, min(1_000_000, first + count - at), expires)
        gate.call("POST", "/v1/revocations/import", some, "application/x-ndjson")
    return time.monotonic() - began


def store(count):
    """A store that holds so many entries, made once; its path."""
    kept = path(f"stores/{count}.redb")
    if not os.path.exists(kept):
        say(f"  making a store of {count} entries")
        gate = Gate("filling", processors="0,1").start(FIRST_PORT + 90)
        lines(gate, 0, count, int(time.time()) + 300 * 86400)
        end(gate.process)
        shutil.move(gate.folder + "/revocations.redb", kept)
        shutil.rmtree(gate.folder)
    return kept
