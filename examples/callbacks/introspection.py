"""An issuer that introspects its own tokens (RFC 7662) and revokes them (RFC 7009). Standard library only.

Not for production: tokens are given to whoever asks, and what was revoked is forgotten at the end.
"""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote_plus


def secret(name):
    with open(os.environ[name], "rb") as file:
        return file.read().rstrip(b"\n")


JWT_SECRET, CLIENT_SECRET = secret("JWT_SECRET_FILE"), secret("CLIENT_SECRET_FILE")
CLIENT = "gateway:" + quote_plus(CLIENT_SECRET.decode())
revoked = set()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(text):
    return encode(hmac.new(JWT_SECRET, text.encode(), hashlib.sha256).digest())


def issue(subject):
    now = int(time.time())
    claims = {"iss": "https://login.example.com/", "aud": "orders-api", "sub": subject,
              "jti": str(uuid.uuid4()), "iat": now, "exp": now + 600}
    text = encode(b'{"alg":"HS256","typ":"at+jwt"}') + "." + encode(json.dumps(claims).encode())
    return text + "." + sign(text)


def claims_of(token):
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(sign(text), signature):
        return None
    payload = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Issuer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path == "/token":
            return self.answer(200, {"access_token": issue(form["username"])})
        basic = "Basic " + base64.b64encode(CLIENT.encode()).decode()
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), basic.encode()):
            return self.answer(401, {"error": "invalid_client"})
        claims = claims_of(form["token"])
        if self.path == "/revoke":
            revoked.add(claims and claims["jti"])
            return self.answer(200, {})
        if claims is None or claims["jti"] in revoked or claims["exp"] <= time.time():
            return self.answer(200, {"active": False})
        return self.answer(200, {"active": True, **claims})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9100"))), Issuer)
    print(server.server_port, flush=True)
    server.serve_forever()
