"""The table in Markdown and the plot in SVG."""
import os, platform, re, subprocess, sys, time
from statistics import median

from peers import OURS, PEERS
from works import WORKS

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = {OURS: [os.path.join(HERE, "ours"), "--version"], "haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"],
           "envoy": ["envoy", "--version"], "traefik": ["traefik", "version"], "caddy": ["caddy", "version"]}
WIDTH, BAR, PALE = 430, {True: "#2a6f97", False: "#8f8f8f"}, {True: "#8fbcd6", False: "#c9c9c9"}


def said(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr


def about(asked):
    """On what, when, by which command, and which versions."""
    version = lambda peer: (re.search(r"\d+\.\d+\.\d+", said(VERSION[peer])) or ["?"])[0]
    with open("/proc/cpuinfo") as file:
        processor = re.search(r"model name\s*: (.*)", file.read())
    commit = said(["git", "-C", HERE, "log", "-1", "--format=%h"]).strip()
    peers = ", ".join(f"{peer} {version(peer)}" for peer in asked.peers if peer in VERSION)
    command = " ".join(["benches/compare/run", *sys.argv[1:]])
    return (f"`{command}`, {time.strftime('%Y-%m-%d %H:%M')}, commit {commit}: rounds: {asked.repeat}, each run {asked.seconds} s "
            f"after {asked.warm} s of the same load; {asked.revoked:,} entries where there are revocations.\n"
            f"{peers}. {processor[1] if processor else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}.\n")


def label(peer, work=None):
    alone = not PEERS[peer].verifies and (work is None or WORKS[work].tokens)
    return f"{peer}, no authentication" if alone else peer


def of(runs, work, peer, key="cost"):
    return [run[key] for run in runs if (run["work"], run["peer"]) == (work, peer)]


def number(value):
    return f"{value:,.0f}" if value >= 500 else f"{value:.1f}"


def ratios(costs, others):
    """Ours to it in each round: the median, the least and the most."""
    each = [cost / other for cost, other in zip(costs, others)]
    return f"**{median(each):.2f}** [{min(each):.2f}–{max(each):.2f}]" if each else ""


def present(runs, key):
    return list(dict.fromkeys(run[key] for run in runs))


def summary(runs):
    """A row for each work: medians, and ours to each of the others."""
    peers = present(runs, "peer")
    lines = ["| work | " + " | ".join(label(peer) for peer in peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for work in present(runs, "work"):
        cells = [f"{WORKS[work].what}{', CPU ms a GB' if WORKS[work].target == '/big' else ''}"]
        for peer in peers:
            costs = of(runs, work, peer)
            ratio = "" if peer == OURS else ratios(of(runs, work, OURS), costs)
            cells.append(number(median(costs)) + (ratio and " · " + ratio) if costs else "–")
        lines.append("| " + " | ".join(cells) + " |")
    refused = ratios(of(runs, "revoked", OURS), of(runs, "revocations", OURS))
    return "\n".join(lines) + "\n" + (f"\nOurs, refused as revoked to accepted: {refused}.\n" if refused else "")


def details(runs, work):
    unit = WORKS[work].unit
    head = ["", f"CPU {unit}", "least to most", "user", "system", "ours to it", "answers/s", "p50 µs", "p99 µs", "resident MB", "start s"]
    lines = [f"\n### {work}: {WORKS[work].what}\n", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for peer in present((run for run in runs if run["work"] == work), "peer"):
        costs = of(runs, work, peer)
        mid = lambda key, form: "–" if None in of(runs, work, peer, key) else form(median(of(runs, work, peer, key)))
        whole = "{:,.0f}".format
        cells = [label(peer, work), mid("cost", number), f"{number(min(costs))}–{number(max(costs))}", mid("user", number), mid("system", number),
                 "" if peer == OURS else ratios(of(runs, work, OURS), costs),
                 mid("rate", whole), mid("p50", whole), mid("p99", whole), mid("resident", whole), mid("ready", "{:.1f}".format)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(runs):
    """Bars, user darker than system; each work has its own scale."""
    out, y = ['<text x="10" y="18">CPU of the proxy, user (dark) and system, medians; less is better. Each work has its own scale.</text>'], 34
    for work in present(runs, "work"):
        out.append(f'<text x="10" y="{y + 12}" font-weight="bold">{WORKS[work].what}, {WORKS[work].unit}</text>')
        y += 20
        bars = {peer: [median(of(runs, work, peer, key)) for key in ("cost", "user", "system")] for peer in present(runs, "peer") if of(runs, work, peer)}
        scale = WIDTH / max(cost for cost, _, _ in bars.values())
        for peer, (cost, user, system) in bars.items():
            ours, middle, right = peer.startswith(OURS), 180 + user * scale, 180 + (user + system) * scale
            out.append(f'<text x="172" y="{y + 12}" text-anchor="end">{label(peer, work)}</text>'
                       f'<rect x="180" y="{y}" width="{user * scale:.0f}" height="15" fill="{BAR[ours]}"/>'
                       f'<rect x="{middle:.0f}" y="{y}" width="{system * scale:.0f}" height="15" fill="{PALE[ours]}"/>'
                       f'<text x="{right + 6:.0f}" y="{y + 12}">{number(cost)}</text>')
            y += 18
        y += 12
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{y}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(out)}</svg>\n')


def write(folder, about, runs):
    head = ("# Portcullis beside other proxies\n\n" + about + "\nMedians of CPU µs a request unless said otherwise; behind the point ours to it: "
            "median of the ratios of each round [least–most].\n\n")
    tables = head + summary(runs) + "".join(details(runs, work) for work in present(runs, "work"))
    for name, text in (("table.md", tables), ("plot.svg", plot(runs))):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
