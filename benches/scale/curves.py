"""The curves: what varies, which gateways and loads its points are, and how they are measured."""
import os, statistics
from collections import namedtuple

import load
from gate import BODIES, FIRST_PORT, Gate, forged, open_files, say
from rsa import KeySet

# Its line and x; the gate; the load and its requests; whether they must be refused; what is open or written meanwhile; whose CPU time
# counts; how many seconds pass before it does.
Point = namedtuple("Point", "series x gate load requests refused beside thread ramp")
Curve = namedtuple("Curve", "title axis points notes memory")  # memory: whether the table says it


# Files that a gateway has open beside its connections, and some more.
SPARE = 100


def point(series, x, gate, run=None, requests=lambda gate: gate.requests(), refused=False, beside=None, thread="", ramp=0):
    return Point(series, x, gate, run or load.wrk(), requests, refused, beside, thread, ramp)


def checked_each_time(gate):
    """Tokens whose signature is wrong, which no cache keeps."""
    return gate.requests(tokens=[forged(jwt) for jwt in gate.tokens(500)])


def routes(_):
    gates = [Gate(f"routes-{count}", routes=count) for count in (1, 100, 10_000)]
    points = [point("verified, the routes in turn", gate.routes, gate) for gate in gates]
    return Curve("Routes", "routes", points, "2,000 tokens and the paths of all routes in turn.", True)


def issuers(_):
    gates = [Gate(f"issuers-{count}", issuers=count) for count in (1, 10, 100)]
    points = [point("seen before", gate.issuers, gate) for gate in gates]
    points += [point("bad signature, refused", gate.issuers, gate, requests=checked_each_time, refused=True) for gate in gates]
    return Curve("Issuers", "issuers", points, "HS256, 2,000 tokens of all issuers in turn; a bad signature is checked anew each time.", True)


def keys(_):
    gates = [Gate(f"keys-{count}", keys=KeySet(count)) for count in (1, 10, 64)]
    points = [point("seen before", len(gate.keys.keys), gate, requests=lambda gate: gate.requests(640)) for gate in gates]
    points += [point("bad signature, refused", len(gate.keys.keys), gate, requests=checked_each_time, refused=True) for gate in gates]
    return Curve("Keys in a set", "keys", points, "RS256, 640 tokens signed by all keys in turn. A set has 64 keys at most, by design: a larger one is refused.", True)


def entries(asked):
    gates = [Gate(f"entries-{count}", entries=count) for count in (0, 10_000, 1_000_000, 10_000_000) if count <= asked.entries]
    points = [point("verified, 10,000 tokens", gate.entries, gate, requests=lambda gate: gate.requests(10_000)) for gate in gates]
    return Curve("Entries in the set", "entries (0 is drawn at 1)", points, "10,000 tokens in turn, each looked up in the set once, for nothing is added meanwhile.", True)


def extrapolated(rows):
    """What nobody has memory for here, out of what was measured."""
    # With fewer the tables that are there from the start would weigh too much.
    if rows[-1]["x"] < 10_000_000:
        return ""
    none, most = (pick(rows, key=lambda row: row["x"]) for pick in (min, max))
    each = (most["start_mb"] - none["start_mb"]) * 1e6 / most["x"]
    return f' Resident for each entry, at {most["x"]:,}: {each:.0f} bytes; a hundred million at as many would be {each / 10 + none["start_mb"] / 1000:.1f} GB.'


def connections(_):
    files = open_files()
    most, busy = fitting(10_000, files - SPARE)
    gate = Gate("connections")
    idle = lambda count: lambda gate: load.Idle(gate, count, gate.requests())
    points = [point("all of them busy", count, gate, load.wrk(min(count, busy)), beside=idle(count - min(count, busy)), ramp=2 + count // 1000)
              for count in (100, 1000, most)]
    points += [point("100 busy, the others idle", count, gate, load.wrk(100), beside=idle(count - 100), ramp=2) for count in (100, 1000, most)]
    notes = "Kept connections; timed when all are open, two seconds after the load began and another for each thousand busy ones."
    if busy < 10_000:
        notes += (f" Of the {most:,} busy ones {most - busy} are idle" if busy < most else f" {most:,} and not 10,000") + \
            f", because each busy one has another to the upstream and a process here may open {files:,} files, which could not be raised."
    return Curve("Connections", "connections", points, notes, False)


def fitting(wanted, files):
    """How many connections of clients there can be, and how many of them busy, where each busy one takes two files."""
    busy = min(wanted, files - wanted)
    # Nearly all of them, or another number of them.
    return (wanted, busy) if busy >= wanted * 0.9 else (files // 2, files // 2)


def workers(_):
    gates = [Gate("workers-1", workers=1, processors="0"), Gate("workers-2", workers=2, processors="0,1")]
    points = [point("verified", gate.workers, gate) for gate in gates]
    return Curve("Workers", "workers, each with a processor", points, "Two processors in all: with two workers the load shares the second one, so this "
                 "shows what a request costs, not how many there can be.", False)


def streams(_):
    gate = Gate("streams")
    points = [point("64 requests at once", each, gate, load.h2load(64 // each, each)) for each in (1, 8, 64)]
    points += [point("8 connections", each, gate, load.h2load(8, each)) for each in (1, 8, 64)]
    return Curve("HTTP/2 streams", "streams at once on a connection", points, "64, 8 and 1 connections; or always 8. One token.", False)


def bodies(_):
    gate = Gate("bodies")
    points = [point("answer", size, gate, load.wrk(8), requests=lambda gate, size=size: gate.requests(100, target=f"b/{size}")) for size in BODIES]
    points += [point("request", size, gate, load.wrk(8, size), requests=lambda gate, size=size: gate.requests(4, target="up/x")) for size in BODIES]
    return Curve("Body size", "bytes of the body", points, "8 connections.", False)


def writes(_):
    gate = Gate("writes", entries=10_000)
    points = []
    for rate in (0, 1_000, 50_000):
        beside = lambda gate, rate=rate: load.Writer(gate, rate)
        points += [point("the whole process", rate, gate, load.openloop(5000), beside=beside),
                   point("the request's thread alone", rate, gate, load.openloop(5000), beside=beside, thread="worker")]
    return Curve("Revocations written", "revocations a second (0 is drawn at 1)", points, "5,000 requests a second in an open loop while so many revocations a second "
                 "are imported through the control port, each durable.", False)


CURVES = {"routes": routes, "issuers": issuers, "keys": keys, "entries": entries, "connections": connections, "workers": workers,
          "streams": streams, "bodies": bodies, "writes": writes}


def once(point, seconds):
    """One run of one point."""
    gate, requests = point.gate, point.requests(point.gate)
    beside = point.beside(gate) if point.beside else None
    try:
        before = gate.cpu(point.thread)
        got = point.load(gate, requests, seconds) if not point.ramp else load.steady(point.load, point.ramp, gate, requests, seconds)
        spent = got.pop("cpu", None) or gate.cpu(point.thread) - before
    finally:
        told = beside.close() if beside else None
    told = got.pop("opened", told)
    wrong = got["n"] - got["bad"] if point.refused else got["bad"]
    if wrong > got["n"] // 100 or got["broken"]:
        raise RuntimeError(f"{point.series} {point.x}: {wrong} answers of {got['n']} are not what is wanted, {got['broken']} connections broke")
    count = got.get("sent", got["n"])
    return {**got, "cpu_us": spent / max(count, 1) * 1e6, "rps": count / got["us"] * 1e6, "told": told, "mb": gate.memory()}


def measure(make, asked):
    """All points of a curve, one after the other, and then again: what the machine does meanwhile hits them all."""
    curve = make(asked)
    gates = list({id(point.gate): point.gate for point in curve.points}.values())
    runs = [[] for _ in curve.points]
    memory = {}
    try:
        for number, gate in enumerate(gates):
            gate.start(FIRST_PORT + 2 * number)
            memory[gate.name] = gate.memory()
        for turn in range(asked.rounds + 1):
            for point, seen in zip(curve.points, runs):
                # The first round warms up: connections to the upstream, the cache, the branch predictors.
                run = once(point, asked.seconds if turn else 1)
                if turn:
                    seen.append(run)
                    say(f"  {turn}/{asked.rounds} {point.series:28} {point.x:>11,} {run['cpu_us']:9.1f} µs {run['rps']:8.0f}/s")
    finally:
        for gate in gates:
            if gate.process:
                gate.stop()
    rows = []
    for point, seen in zip(curve.points, runs):
        middle = lambda key: statistics.median(run[key] for run in seen)
        rows.append({"series": point.series, "x": point.x, "us": middle("cpu_us"), "least": min(run["cpu_us"] for run in seen),
                     "most": max(run["cpu_us"] for run in seen), "rps": middle("rps"), "mb": middle("mb"), "start_mb": memory[point.gate.name],
                     **{key: middle(key) for key in ("p50", "p99", "p999") if key in seen[0]},
                     **({"told": middle("told")} if seen[0]["told"] is not None else {})})
    notes = curve.notes + (extrapolated(rows) if make is entries else "")
    return {"title": curve.title, "axis": curve.axis, "notes": notes, "memory": curve.memory, "rows": rows, "told": "connections opened meanwhile" if make is connections else "written a second",
            "seconds": asked.seconds, "rounds": asked.rounds}
