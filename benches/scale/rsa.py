"""Sets of RSA keys, and tokens signed by each of them in turn, with nothing but openssl for making the keys."""
import hashlib, json, os, subprocess

from gate import b64, path, token

# DigestInfo of SHA-256 (RFC 8017 §9.2).
DIGEST = bytes.fromhex("3031300d060960864801650304020105000420")


class Key:
    """n, e, d, p, q, dp, dq, qi out of the DER form (RFC 8017 §A.1.2): a sequence of numbers after a version."""

    def __init__(self, der):
        at = 4
        numbers = []
        while at < len(der):
            size, at = der[at + 1], at + 2
            if size > 128:
                more = size - 128
                size, at = int.from_bytes(der[at:at + more], "big"), at + more
            numbers.append(int.from_bytes(der[at:at + size], "big"))
            at += size
        _, self.n, self.e, _, self.p, self.q, self.dp, self.dq, self.qi = numbers

    def sign(self, data):
        digest = DIGEST + hashlib.sha256(data).digest()
        number = int.from_bytes(b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest, "big")
        low, high = pow(number, self.dq, self.q), pow(number, self.dp, self.p)
        return (low + (high - low) * self.qi % self.p * self.q).to_bytes(256, "big")

    def public(self, kid):
        text = lambda number: b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        return {"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": text(self.n), "e": text(self.e)}


class KeySet:
    """So many keys; made once and kept."""

    def __init__(self, count):
        self.keys = [key(number) for number in range(count)]
        self.made = []

    def publish(self, folder, extra=()):
        """Writes the set as a whole, with more keys behind if wanted."""
        keys = [key.public(f"k{number}") for number, key in enumerate(self.keys)]
        keys += [key(number).public(f"extra-{number}") for number in extra]
        with open(folder + "/jwks.json.new", "w") as file:
            json.dump({"keys": keys}, file)
        os.replace(folder + "/jwks.json.new", folder + "/jwks.json")

    def tokens(self, count):
        for number in range(len(self.made), count):
            at = number % len(self.keys)
            self.made.append(token(self.keys[at].sign, number, kid=f"k{at}"))
        return self.made[:count]


def key(number):
    kept = path(f"keys/{number}.der")
    if not os.path.exists(kept):
        os.makedirs(path("keys"), exist_ok=True)
        made = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
        subprocess.run(["openssl", "rsa", "-traditional", "-outform", "DER", "-out", kept], input=made, capture_output=True, check=True)
    with open(kept, "rb") as file:
        return Key(file.read())
