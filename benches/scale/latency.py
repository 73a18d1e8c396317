"""Open loops: how long answers take at fixed rates, beside others, and while something else goes on."""
import importlib.machinery, importlib.util, os, signal, statistics, threading, time, uuid
from contextlib import nullcontext

import checkpoint, load, plot
from gate import FIRST_PORT, HERE, Gate, entries, say, write
from rsa import KeySet

RATES = (1_000, 5_000, 10_000)
# What each of the others does: nginx has no check of tokens, so it only proxies.
PEERS = {"portcullis": "revocations", "haproxy": "revocations", "nginx": "plain"}
PAUSE_RATE, EVENT_AT = 2_000, 3
EVENTS = {"nothing else": None, "reload each second": "reload", "key set changed each second": "rotate", "import of a million": "fill",
          "checkpoint loaded again": "checkpoint", "sweep of a million": "sweep"}
# Entries are imported with this many seconds to live; they expire a minute after that and are swept another minute later, for clocks that
# are ahead or behind. One that comes too late is taken for one that does not say when it expires, and is not swept.
LIVES, MARGIN = 30, 120


def comparison():
    """benches/compare/run as a module: it knows how the others are started."""
    loader = importlib.machinery.SourceFileLoader("compare", os.path.join(HERE, "../compare/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


class Listening:
    """Something that serves on a port, as far as a load must know."""

    def __init__(self, port):
        self.port = port


def rates(asked):
    """A million revocations, RS256, 2,000 tokens in turn, each at its fixed rate."""
    compare = comparison()
    compare.prepare(min(asked.entries, 1_000_000))
    with open(compare.path("good.txt")) as file:
        requests = write("requests/compare", "".join(f"/x\t{line}" for line in file))
    runs = {(peer, rate): [] for rate in RATES for peer in PEERS}
    upstream = compare.start_upstream()
    try:
        for turn in range(asked.rounds):
            for number, (peer, work) in enumerate(PEERS.items()):
                port = compare.FIRST_PORT + number
                process = compare.start(peer, work, port)
                try:
                    if wrong := compare.does_the_work(work, port):
                        raise RuntimeError(f"{peer} {wrong}")
                    load.wrk()(Listening(port), requests, 1)
                    for rate in RATES:
                        run = load.openloop(rate)(Listening(port), requests, 2 * asked.seconds)
                        if run["bad"] or run["broken"]:
                            raise RuntimeError(f"{peer}: {run['bad']} answers were not 200")
                        runs[peer, rate].append(run)
                        say(f"  {turn + 1}/{asked.rounds} {peer:12} {rate:6}/s p50 {run['p50']} p99 {run['p99']} p99.9 {run['p999']} µs")
                finally:
                    compare.end(process)
    finally:
        compare.end(upstream)
    rows = [{"peer": peer, "rate": rate, "longest": max(run["max"] for run in seen),
             **{key: statistics.median(run[key] for run in seen) for key in ("p50", "p99", "p999", "late_p50", "late_p99")}}
            for (peer, rate), seen in runs.items()]
    return {"title": "Latency at fixed rates", "rows": rows, "rounds": asked.rounds, "seconds": 2 * asked.seconds,
            "notes": "An open loop: request n is sent at n/rate seconds whether or not earlier ones were answered, and its time counts from there. RS256 with a million "
                     "revocations, 2,000 tokens in turn; nginx only proxies. The upstream and the generator share processor 1; \"sent late\" is the generator's own part in the times."}


def rates_table(made):
    ms = lambda us: f"{us / 1000:.2f} ms"
    out = ["| requests/s | | p50 | p99 | p99.9 | longest of all runs | sent late: p50, p99 |", "|---|---|---|---|---|---|---|"]
    for row in made["rows"]:
        out.append(f'| {row["rate"]:,} | {row["peer"]} | {ms(row["p50"])} | {ms(row["p99"])} | {ms(row["p999"])} | {ms(row["longest"])} | '
                   f'{ms(row["late_p50"])}, {ms(row["late_p99"])} |')
    return "\n".join(out) + "\n"


def rates_plot(made):
    series = {}
    for peer in PEERS:
        for key, name in (("p50", "p50"), ("p999", "p99.9")):
            series[f"{peer}, {name}"] = [(row["rate"], row[key] / 1000) for row in made["rows"] if row["peer"] == peer]
    return plot.lines(made["title"], "requests a second", "ms, median of the runs", series, log_y=True)


class Event:
    """What goes on beside the load; each begins some `EVENT_AT` seconds after it."""

    def __init__(self, gate, kind, due):
        self.gate, self.done, self.told, self.wrong = gate, threading.Event(), "", None
        self.thread = threading.Thread(target=self.go, args=[getattr(self, kind)]) if kind else None
        self.first = uuid.uuid4().int >> 66
        if kind == "sweep":
            self.swept = gate.metric("portcullis_revocation_swept_total")
            time.sleep(max(0, due - EVENT_AT - time.time()))
        if kind == "fill":
            self.body = entries(self.first, 1_000_000, int(time.time()) + 86400)
        if self.thread:
            self.thread.start()

    def go(self, act):
        try:
            act()
        except Exception as wrong:
            self.wrong = wrong

    def each_second(self, act):
        self.done.wait(EVENT_AT)
        times = 0
        while not self.done.wait(1):
            act(times)
            times += 1
        return times

    def reload(self):
        before = self.gate.metric("portcullis_config_reloads_total")
        self.each_second(lambda _: self.gate.process.send_signal(signal.SIGHUP))
        self.tell(self.gate.metric("portcullis_config_reloads_total") - before, 1, "reloads")

    def rotate(self):
        loads = lambda: sum(float(line.rsplit(" ", 1)[1]) for line in self.gate.call("GET", "/metrics").splitlines()
                            if line.startswith("portcullis_key_fetches_total") and 'outcome="loaded"' in line)
        before = loads()
        self.each_second(lambda times: self.gate.keys.publish(self.gate.folder, extra=[2 + times % 3]))
        self.tell(loads() - before, 1, "times loaded")

    def fill(self):
        self.done.wait(EVENT_AT + 1)
        began = time.monotonic()
        self.gate.call("POST", "/v1/revocations/import", self.body, "application/x-ndjson")
        self.told = f"took {time.monotonic() - began:.1f} s"

    def checkpoint(self):
        self.done.wait(EVENT_AT)
        entries, took = checkpoint.load_again(self.gate)
        self.told = f"{entries:,.0f} loaded in {took:.1f} s" + (", longer than the requests" if self.done.is_set() else "")

    def sweep(self):
        self.done.wait()
        self.tell(self.gate.metric("portcullis_revocation_swept_total") - self.swept, 1_000_000, "swept")

    def tell(self, count, least, what):
        """What is not there can't have made a pause."""
        self.told = f"{count:,.0f} {what}"
        if count < least:
            raise RuntimeError(f"only {self.told}, of {least:,} at least")

    def close(self):
        self.done.set()
        if self.thread:
            self.thread.join()
        if self.wrong:
            raise self.wrong
        return self.told


def beside(gate, kind, due, requests, seconds):
    """One run of the load, and what went on."""
    if kind == "checkpoint":
        load.wrk()(gate, requests, 2)
    event = Event(gate, kind, due)
    try:
        run = load.openloop(PAUSE_RATE)(gate, requests, seconds)
    finally:
        told = event.close()
    return run, told


def pauses(asked):
    """The same load with and without something going on."""
    seconds, most, keys = 12 + 2 * asked.seconds, min(asked.entries, 1_000_000), KeySet(2)
    checkpoint.stored(most)
    gate = Gate("pauses", keys=keys, entries=most).start(FIRST_PORT)
    requests = gate.requests(200)
    runs = {name: [] for name in EVENTS}
    try:
        load.wrk()(gate, requests, 2)
        for turn in range(max(1, asked.rounds // 2)):
            due = time.time() + LIVES + MARGIN
            some = entries(uuid.uuid4().int >> 66, 1_000_000, int(due) - MARGIN)
            gate.call("POST", "/v1/revocations/import", some, "application/x-ndjson")
            for name, kind in EVENTS.items():
                with checkpoint.serving(keys, most) if kind == "checkpoint" else nullcontext(gate) as served:
                    run, told = beside(served, kind, due, requests, seconds)
                if run["bad"] or run["broken"]:
                    raise RuntimeError(f"{name}: {run['bad']} answers were not 200")
                runs[name].append({**run, "told": told})
                say(f"  {turn + 1} {name:28} p50 {run['p50']} p99 {run['p99']} p99.9 {run['p999']} longest {run['max']} µs {told}")
    finally:
        gate.stop()
    rows = [{"event": name, "told": seen[-1]["told"], "longest": max(run["max"] for run in seen), "over": sum(run["over_10ms"] for run in seen),
             "of": sum(run["n"] for run in seen), "slots": seen[-1]["slots"],
             **{key: statistics.median(run[key] for run in seen) for key in ("p50", "p99", "p999", "late_p99")}} for name, seen in runs.items()]
    return {"title": "Pauses", "rows": rows, "rounds": max(1, asked.rounds // 2), "seconds": seconds,
            "notes": f"{PAUSE_RATE:,} requests a second in an open loop, RS256, 200 tokens, a million entries in the set; gateway and all its background threads on one processor. "
                     "The key file is looked at every two seconds, and each change has every token verified anew. "
                     "The checkpoint is of a gateway that follows a Redis (on the other processor), whose log is trimmed behind it while it is cut off."}


def pauses_table(made):
    ms = lambda us: f"{us / 1000:.2f} ms"
    out = ["| meanwhile | | p50 | p99 | p99.9 | longest | over 10 ms |", "|---|---|---|---|---|---|---|"]
    for row in made["rows"]:
        out.append(f'| {row["event"]} | {row["told"]} | {ms(row["p50"])} | {ms(row["p99"])} | {ms(row["p999"])} | {ms(row["longest"])} | {row["over"]:,} of {row["of"]:,} |')
    return "\n".join(out) + "\n"


def pauses_plot(made):
    series = {row["event"]: [(number / 10, longest / 1000) for number, longest in enumerate(row["slots"])] for row in made["rows"]}
    return plot.lines("Pauses: the longest answer of each tenth of a second", "seconds", "ms", series, log_x=False, log_y=True)


PARTS = {"rates": (rates, rates_plot, rates_table), "pauses": (pauses, pauses_plot, pauses_table)}
