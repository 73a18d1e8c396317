"""What is compared: the works, each a row of the table, and where all files lie."""
import os
from dataclasses import dataclass

from rig import Folder

FOLDER = Folder("COMPARE_WORK", "portcullis-compare")
WORK, path, write = FOLDER.root, FOLDER.path, FOLDER.write
ISSUER, AUDIENCE = "https://issuer.test/realms/main", "https://api.test"
UPSTREAM, FIRST_PORT = 19101, 18201
BIG = 10 << 20
# More than one processor verifies in a second, so that none of them comes twice.
ONCE_A_SECOND = 40_000


@dataclass(frozen=True)
class Work:
    what: str
    tokens: str = ""  # which of the algorithm's files; empty: requests have no token and nobody checks any
    algorithm: str = "RS256"
    revocations: bool = False
    wanted: int = 200
    client: str = "http"  # or h2 (prior knowledge), or tls
    target: str = "/x"
    connections: int = 64

    def file(self, kind):
        return path(f"{self.algorithm.lower()}-{kind}.txt")

    @property
    def warm_tokens(self):
        """What proxies are warmed up with: tokens that come once can't be."""
        return "hot" if self.tokens == "once" else self.tokens

    @property
    def unit(self):
        return "ms a GB" if self.target == "/big" else "µs a request"


WORKS = {
    "plain": Work("plain proxy, no authentication"),
    "hot": Work("RS256, one hot token", "hot"),
    "revocations": Work("RS256, 10,000 tokens, with revocations", "good", revocations=True),
    "es256": Work("ES256, one hot token", "hot", "ES256"),
    "once": Work("RS256, each token seen once", "once"),
    "revoked": Work("refused: revoked, seen before", "revoked", revocations=True, wanted=401),
    "forged": Work("refused: bad signature", "forged", revocations=True, wanted=401),
    "h2": Work("HTTP/2 clients, RS256, one hot token", "hot", client="h2"),
    "tls": Work("TLS, kept connections, RS256, one hot token", "hot", client="tls"),
    "bodies": Work("10 MiB bodies, no authentication", target="/big", connections=8),
}
