"""What the judges of the ledger stand on: a folder in which the command runs, a server of answers, and verdicts."""

import base64
import http.client
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def due(what, found, expected):
    """Prints a verdict; ends where it is not the one due."""
    good = found == expected
    print(f"{'ok   ' if good else 'WRONG'}  {what}" + ("" if good else f": {found!r}, not {expected!r}"))
    if not good:
        raise SystemExit(1)


class Workspace:
    """A folder, and the command run in it."""

    def __init__(self, deepring, folder):
        self.deepring, self.folder = Path(deepring).resolve(), Path(folder)
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self.environment = kept | {"DEEPRING_TRUST": "trust.json", "NO_COLOR": "1"}
        self.keys = 0

    def __call__(self, *words, code=0, **more):
        ran = subprocess.run(
            [self.deepring, *words], cwd=self.folder, env=self.environment | more, capture_output=True, text=True, timeout=120
        )
        if ran.returncode != code:
            raise SystemExit(f"WRONG  deepring {' '.join(words)}: {ran.returncode}, not {code}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def append(self, ledger, entries=1):
        """Puts entries on a ledger: each a new key that revokes itself."""
        while entries > 0:
            self.keys += 1
            self("keygen", "--out", f"k{self.keys}")
            for kind in ("owner", "host")[:entries]:
                key = f"k{self.keys}/{kind}.key"
                self("revoke", "key", "--key", key, "--ledger", ledger, "--reason", f"the {self.keys}th")
                entries -= 1


class Served:
    """A function from a body to status, content type and body, behind `POST /add-checkpoint` on loopback."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, kind, text = (404, "text/plain", "") if self.path != "/add-checkpoint" else answer(body)
                bytes = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(bytes)))
                self.end_headers()
                self.wfile.write(bytes)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def post(self, body):
        """The status of a body that did not come from the command."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/add-checkpoint", body.encode())
        return connection.getresponse().status


def parts(proof):
    """A `.tlog-proof`: the entry, its index, the path, the checkpoint's text."""
    head, note = proof.split("\n\n", 1)
    first, extra, index, *path = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    entry = base64.b64decode(extra.removeprefix("extra "))
    return entry, int(index.removeprefix("index ")), [base64.b64decode(h) for h in path], note


def size(run, ledger="ledger"):
    """The entries of a ledger."""
    return json.loads(run("ledger", "checkpoint", "--ledger", ledger, "--json"))["size"]
