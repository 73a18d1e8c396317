"""A callback: the verified claims come in, a verdict goes out. Standard library only."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ON_LEAVE = {"bob"}


def verdict(question):
    if question["claims"]["sub"] in ON_LEAVE:
        return {"allow": False, "reason": "on leave"}
    return {"allow": True}


class Verdicts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(verdict(question)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9200"))), Verdicts)
    print(server.server_port, flush=True)
    server.serve_forever()
