"""The load, and what the proxy's processes spent on it."""
import json, os, re, subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PROXY_CPU, LOAD_CPU = "0", "1"


def load(work, port, seconds, tokens):
    """How many answers there were, in how many seconds, bytes, refused ones, broken ones and, by wrk, latencies in µs."""
    url = f"{'https' if work.client == 'tls' else 'http'}://127.0.0.1:{port}{work.target}"
    environment = {**os.environ, **({"TOKENS": work.file(tokens)} if tokens else {})}
    if work.client == "h2":
        with open(work.file(tokens)) as file:
            command = ["h2load", "-t1", "-c8", "-m8", f"-D{seconds}", "-H", f"authorization: Bearer {file.readline().strip()}", url]
    else:
        command = ["wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", os.path.join(HERE, "load.lua"), url]
    done = subprocess.run(["taskset", "-c", LOAD_CPU, *command], env=environment, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-500:]} {done.stderr[-500:]}")
    if work.client != "h2":
        return json.loads(re.search(r"^{.*}$", done.stdout, re.M).group(0))
    # A stream that is cut off at the end may have a status and no end: what is refused is read from the other statuses.
    answers, broken, *refused = (int(re.search(rf"(\d+) {what}", done.stdout)[1]) for what in ("done", "failed", "3xx", "4xx", "5xx"))
    return {"answers": answers, "seconds": seconds, "bytes": 0, "refused": sum(refused), "broken": broken, "p50": None, "p99": None}


def kin(processes):
    """Their identifiers and those of all below them."""
    below = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if fields := stat(name):
            below.setdefault(int(fields[1]), []).append(int(name))
    found = [process.pid for process in processes]
    for pid in found:
        found += below.get(pid, [])
    return found


def stat(pid):
    """What follows the name in its stat file; nothing if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def spent(processes):
    """Seconds of CPU in user and in system mode."""
    ticks = [(int(fields[11]), int(fields[12])) for pid in kin(processes) if (fields := stat(pid))]
    return tuple(sum(part) / os.sysconf("SC_CLK_TCK") for part in zip(*ticks))


def resident(processes):
    """The most memory they had, in MB."""
    total = 0
    for pid in kin(processes):
        with open(f"/proc/{pid}/status") as file:
            total += sum(map(int, re.findall(r"VmHWM:\s+(\d+)", file.read())))
    return total / 1000
