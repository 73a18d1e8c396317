"""A store in Redis that trims its log behind a gateway, which must then load its checkpoint again while it serves."""
import json, os, shutil, subprocess, time, uuid
from contextlib import contextmanager

from gate import FIRST_PORT, Gate, end, issuer_of, lines, path, say, token

STREAM = "portcullis:revocations"
# A load may take longer than the usual ten seconds where the broker has to share its processor with the requests; until it is done the
# state counts as old.
FEED = 'max_staleness = "2m"\nfeed = "redis"\nredis = {{ url = "redis+unix://{socket}", stream = "%s" }}' % STREAM
# As after another node has trimmed what it had folded, while this one was cut off: of the log there is a mark, and behind it one record
# that this node was never told.
TRIM = """
local folded = redis.call('HGET', KEYS[2], 'folded')
if redis.call('XRANGE', KEYS[1], '(' .. folded, '+', 'COUNT', 1)[1] then return redis.error_reply('ERR it is not folded') end
local mark = redis.call('XADD', KEYS[1], '*', 'e', redis.call('HGET', KEYS[2], 'epoch'))
local last = mark
if ARGV[1] then last = redis.call('XADD', KEYS[1], '*', 'r', ARGV[1]) end
redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1] and 2 or 1)
redis.call('HSET', KEYS[2], 'folded', mark, 'first', mark)
return last
"""


class Broker:
    """A Redis of its own, on processor 1 and a Unix socket."""

    def __init__(self, kept=None):
        self.folder = path("redis")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        if kept:
            shutil.copy(kept, f"{self.folder}/dump.rdb")
        self.socket = f"{self.folder}/socket"
        with open(f"{self.folder}/redis.log", "w") as log:
            self.process = subprocess.Popen(["taskset", "-c", "1", "redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder,
                                             "--save", "", "--appendonly", "no"], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while "PONG" not in self.ask("PING"):
            if self.process.poll() is not None or time.monotonic() > until:
                self.close()
                raise RuntimeError("Redis does not answer: " + open(f"{self.folder}/redis.log").read()[-1000:])
            time.sleep(0.1)

    def ask(self, *calls):
        """What it answers to these lines; an error is one here too, but not that it is not there yet."""
        told = subprocess.run(["redis-cli", "-s", self.socket], input="\n".join(calls), capture_output=True, text=True).stdout
        if "ERR" in told:
            raise RuntimeError(f"Redis: {told[:500]}")
        return told

    def trim(self, record=None):
        """Trims the log behind its readers, who are cut off meanwhile; the cursor up to which it goes now."""
        keys = f"{STREAM} {{{STREAM}}}:meta"
        script = " ".join(TRIM.split("\n"))
        told = self.ask("MULTI", f'EVAL "{script}" 2 {keys} ' + (f"'{json.dumps(record)}'" if record else ""), "CLIENT KILL TYPE normal", "EXEC")
        milliseconds, number = told.split("QUEUED\nQUEUED\n")[1].split("\n")[0].split("-")
        return f"{int(milliseconds):020}-{int(number):020}"

    def close(self):
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def gate_on(broker, name, **more):
    return Gate(name, feed=FEED.format(socket=broker.socket), **more)


def stored(count):
    """A Redis snapshot with so many live entries, made once; its path."""
    kept = path(f"stores/{count}.rdb")
    if not os.path.exists(kept):
        say(f"  making a Redis store of {count} entries")
        broker = Broker()
        try:
            gate = gate_on(broker, "filling", processors="0,1").start(FIRST_PORT + 90)
            try:
                lines(gate, 0, count, int(time.time()) + 300 * 86400)
                # Whoever lists has folded the log before.
                gate.call("GET", "/v1/revocations?limit=1")
            finally:
                gate.stop()
            broker.trim()
            broker.ask("SAVE")
            shutil.move(f"{broker.folder}/dump.rdb", kept)
        finally:
            broker.close()
    return kept


@contextmanager
def serving(keys, count):
    """A gateway that follows such a Redis, with its checkpoint in its own copy too; the Redis is its `broker`."""
    broker = Broker(stored(count))
    try:
        gate = gate_on(broker, "checkpoint", keys=keys).start(FIRST_PORT + 2)
        try:
            gate.broker = broker
            wait(gate, lambda now: not now["local_copy"]["behind"], 60)
            if (there := entries(gate)) < count:
                raise RuntimeError(f"the Redis store has {there} entries and not {count}; delete {stored(count)}")
            yield gate
        finally:
            gate.stop()
    finally:
        broker.close()


def status(gate):
    return json.loads(gate.call("GET", "/v1/status"))


def entries(gate):
    return sum(status(gate)["entries"].values())


def wait(gate, until, seconds):
    """How long it takes until the gateway's status is so."""
    began = time.monotonic()
    while not until(status(gate)):
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"not within {seconds} s: {status(gate)}")
        time.sleep(0.2)
    return time.monotonic() - began


def load_again(gate):
    """Has the gateway load its checkpoint again; of how many entries and in how many seconds, once it is certain that this is what it did."""
    number = 1_000_000 + uuid.uuid4().int % 1_000_000
    jwt, now = token(gate.keys.keys[0].sign, number, kid="k0"), int(time.time())
    record = {"v": 1, "id": str(uuid.uuid4()), "op": "revoke", "issuer": issuer_of(0), "claim": "jti", "value": str(uuid.UUID(int=1 << 127 | number)),
              "expires_at": now + 100_000, "at": now}
    seen = lambda: (status(gate)["feed"]["applied"], status(gate)["feed"]["epoch_changes"], gate.status(jwt))
    before = seen()
    upto = gate.broker.trim(record)
    took = wait(gate, lambda now: now["feed"]["connected"] and (now["feed"]["cursor"] or "") >= upto, 60)
    # It knows the record, which no log has told it.
    if before[2] != 200 or seen() != (*before[:2], 401):
        raise RuntimeError(f"the checkpoint was not loaded again: records, epochs, status {before}, then {seen()}")
    return entries(gate), took
