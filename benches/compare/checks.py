"""Whether a proxy does the work: the answers to a good, an expired, a damaged, a missing and a revoked token."""
import http.client, re, ssl, subprocess, time

from works import BIG


def answer(work, port, token, target):
    """Status and body."""
    headers = {"Authorization": "Bearer " + token} if token else {}
    if work.client == "h2":
        named = [f"-H{name}: {value}" for name, value in headers.items()]
        out = subprocess.run(["nghttp", "-v", *named, f"http://127.0.0.1:{port}{target}"], capture_output=True, text=True, timeout=10).stdout
        status = re.search(r":status: (\d+)", out)
        if not status:
            raise ConnectionError("no answer")
        return int(status.group(1)), out.encode()
    kind = http.client.HTTPSConnection if work.client == "tls" else http.client.HTTPConnection
    more = {"context": ssl._create_unverified_context()} if work.client == "tls" else {}
    connection = kind("127.0.0.1", port, timeout=5, **more)
    connection.request("GET", target, headers=headers)
    got = connection.getresponse()
    return got.status, got.read()


def first(work, kind):
    with open(work.file(kind)) as file:
        return file.readline().strip()


def wait(work, port, token, running):
    """Until a good token passes."""
    limit = time.monotonic() + 120
    while running() and time.monotonic() < limit:
        try:
            if answer(work, port, token, work.target)[0] == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    return False


def wrong_answers(work, port, verifies, running=lambda: True):
    """What it does wrong, in words."""
    good = first(work, "hot") if work.tokens else None
    if not wait(work, port, good, running):
        return ["does not let a good token pass" if good else "does not answer"]
    wrong = []
    if work.target == "/big" and len(answer(work, port, None, "/big")[1]) != BIG:
        wrong.append("shortens bodies")
    if work.tokens and verifies:
        if not re.search(rb"user-[0-9a-f]{8}", answer(work, port, good, "/subject")[1]):
            wrong.append("does not tell the upstream whose token it is")
        bad = {kind: first(work, kind) for kind in ("expired", "forged") + ("revoked",) * work.revocations}
        for kind, token in {**bad, "missing": None}.items():
            status, _ = answer(work, port, token, "/x")
            if status != 401:
                wrong.append(f"answers {status} where the token is {kind}")
    return wrong
