"""The loads: wrk, h2load and the open loop, all on processor 1, and a writer of revocations beside them."""
import json, os, re, socket, subprocess, threading, time, uuid

from gate import entries, path, write

LUA = """
local all, at = {}, 0
function init()
  for line in io.lines(os.getenv("REQUESTS")) do
    local path, token = line:match("^(.-)\\t(.*)$")
    local size = tonumber(os.getenv("BODY"))
    local headers = { Host = "api.test", Authorization = "Bearer " .. token }
    all[#all + 1] = wrk.format(size and "POST" or "GET", path, headers, size and string.rep("x", size))
  end
end
function request() at = at % #all + 1 return all[at] end
function done(s, l)
  print(string.format("{\\"n\\":%d,\\"us\\":%d,\\"bad\\":%d,\\"broken\\":%d,\\"p50\\":%d,\\"p99\\":%d,\\"p999\\":%d}", s.requests, s.duration,
    s.errors.status, s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout, l:percentile(50), l:percentile(99),
    l:percentile(99.9)))
end
"""


def pinned(command, seconds, **environment):
    """What the command prints; it may take so long and a minute."""
    done = subprocess.run(["taskset", "-c", "1", *map(str, command)], env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return done.stdout


def wrk(connections=64, body=None):
    """Each connection asks again as soon as it has an answer."""
    def run(gate, requests, seconds):
        more = {"REQUESTS": requests, **({"BODY": str(body)} if body else {})}
        out = pinned(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", write("load.lua", LUA),
                      f"http://127.0.0.1:{gate.port}/"], seconds, **more)
        return json.loads(re.search(r"^{.*}$", out, re.M).group(0))
    return run


def h2load(connections, streams):
    def run(gate, requests, seconds):
        with open(requests) as file:
            target, token = file.readline().rstrip("\n").split("\t")
        out = pinned(["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", "-H", f"authorization: Bearer {token}",
                      f"http://127.0.0.1:{gate.port}{target}"], seconds)
        sent, failed, good = (int(re.search(pattern, out).group(1)) for pattern in (r"(\d+) done", r"(\d+) failed", r"status codes: (\d+) 2xx"))
        return {"n": sent, "us": seconds * 1e6, "bad": sent - good, "broken": failed}
    return run


def openloop(rate, connections=256, skip=1):
    """Requests at a fixed rate, answered or not."""
    def run(gate, requests, seconds):
        out = pinned([path("openloop"), "--to", f"127.0.0.1:{gate.port}", "--requests", requests, "--rate", rate,
                      "--seconds", seconds + skip, "--connections", connections, "--skip", skip], seconds)
        return json.loads(out)
    return run


def steady(run, ramp, gate, requests, seconds):
    """The load after it has run for a while: by then all connections are open. What is answered, and whether any was opened all the same,
    is counted by the gateway itself. How long answers took is not told: wrk would count the while before, too."""
    look = lambda: (gate.cpu(), gate.metric("portcullis_requests_total"), opened(gate), time.monotonic())
    whole = {}
    thread = threading.Thread(target=lambda: whole.update(run(gate, requests, ramp + seconds + 1)))
    thread.start()
    time.sleep(ramp)
    first = look()
    time.sleep(seconds)
    cpu, count, more, at = (after - before for before, after in zip(first, look()))
    thread.join()
    return {"bad": whole["bad"], "broken": whole["broken"], "cpu": cpu, "n": count, "us": at * 1e6, "opened": more}


def opened(gate):
    """Connections of clients and to the upstream, so far."""
    return gate.metric("portcullis_connections_accepted_total") + gate.metric("portcullis_upstream_connections_total")


class Idle:
    """So many open connections that have each had one answer and ask no more."""

    def __init__(self, gate, count, requests):
        with open(requests) as file:
            target, token = file.readline().rstrip("\n").split("\t")
        asked = f"GET {target} HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self.open = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", gate.port))
            connection.sendall(asked)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            self.open.append(connection)

    def close(self):
        for connection in self.open:
            connection.close()
        return 0


class Writer:
    """Revokes so many identifiers a second through the control port, in imports every 50 ms, until it is closed."""

    def __init__(self, gate, rate):
        self.gate, self.each, self.written, self.done = gate, rate // 20, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.began = time.monotonic()
        if rate:
            self.thread.start()

    def run(self):
        first, expires = uuid.uuid4().int >> 66, int(time.time()) + 3600
        turn = 0
        while not self.done.is_set():
            some = entries(first + self.written, self.each, expires)
            self.gate.call("POST", "/v1/revocations/import", some, "application/x-ndjson")
            self.written += self.each
            turn += 1
            self.done.wait(max(0, self.began + turn / 20 - time.monotonic()))

    def close(self):
        """How many a second it was."""
        self.done.set()
        if self.thread.is_alive():
            self.thread.join()
        return self.written / (time.monotonic() - self.began)
