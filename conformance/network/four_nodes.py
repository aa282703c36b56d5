"""A network of four nodes, as processes of this machine: set up, started, asked, killed, looked at."""

import http.client
import json
import os
import random
import re
import secrets
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODES = (1, 2, 3, 4)


class Network:
    """Four nodes of a sealed LeNet, in a folder that is made anew. `sections` are set in every node's file, as `{"host": {"batch": 64}}`."""

    def __init__(self, deepring, deepringd, folder, first_port, *, copies=3, cut="op", sections=None):
        self.deepring, self.deepringd = (str(Path(p).resolve()) for p in (deepring, deepringd))
        self.folder, self.net = Path(folder), Path(folder) / "net"
        self.folder.mkdir(parents=True)
        self.environment = os.environ | {"DEEPRING_TRUST": str(self.folder / "trust.json")}
        self.running, self.heights_a_second = {}, 12
        self.command("keygen", "--out", self.folder / "keys")
        self.command(
            "seal", ROOT / "zoo/fashion-lenet5.onnx", "--owner", self.folder / "keys/owner.key", "--host", self.folder / "keys/host.pub",
            "--cut", cut, "--labels", ROOT / "zoo/labels.txt", "--preprocess", "color=gray,scale=1/255,layout=NCHW",
            "-o", self.folder / "model.ring",
        )  # fmt: skip
        self.daemon(
            "cluster", "init", "--nodes", 4, "--copies", copies, "--ring", self.folder / "model.ring",
            "--owner-key", self.folder / "keys/owner.key", "--first-port", first_port, "-o", self.net,
        )  # fmt: skip
        for n in NODES:
            for section, values in (sections or {}).items():
                self.configure(n, section, **values)
        self.gateways = [n for n in NODES if self.address(n)]

    def command(self, *words):
        return self._run(self.deepring, *words)

    def daemon(self, *words):
        return self._run(self.deepringd, *words)

    def _run(self, program, *words, **more):
        ran = subprocess.run([program, *map(str, words)], env=self.environment | more, capture_output=True, text=True, timeout=600)
        if ran.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, words))}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def node(self, n):
        """The folder of a node."""
        return self.net / f"node-{n}"

    def configure(self, n, section, **values):
        """Sets keys in a section of a node's file. A section that is missing is not added: not every node has a gateway."""
        file = self.node(n) / "deepringd.toml"
        head, found, rest = file.read_text().partition(f"[{section}]\n")
        if not found:
            return
        own, mark, later = rest.partition("\n[")
        for key, value in values.items():
            own = re.sub(rf"^{key} = .*\n?", "", own, flags=re.M)
            own = f"{key} = {json.dumps(value)}\n{own}"
        file.write_text(head + found + own + mark + later)

    def address(self, n):
        """Where a node's gateway listens; None where it has none."""
        found = re.search(r'^\[gateway\]\n(?:.+\n)*?listen = "([^"]+)"', (self.node(n) / "deepringd.toml").read_text(), flags=re.M)
        return found and found.group(1)

    def client(self, n, key=None, timeout=120):
        return Client(self.address(n), key, timeout)

    def start(self, n):
        log = open(self.folder / f"node-{n}.log", "ab")
        self.running[n] = subprocess.Popen(
            [self.deepringd, "run", str(self.node(n) / "deepringd.toml")],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()

    def kill(self, n, by=signal.SIGKILL):
        """Ends a node, and waits until it is gone."""
        process = self.running.pop(n)
        process.send_signal(by)
        process.wait(60)

    def start_all(self, key=None):
        for n in NODES:
            self.start(n)
        for n in self.gateways:
            self.wait_until_ready(n, key)

    def stop_all(self):
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for n in list(self.running):
            try:
                self.running[n].wait(30)
            except subprocess.TimeoutExpired:
                self.running[n].kill()
                self.running[n].wait(30)
            del self.running[n]

    def wait_until_ready(self, n, key=None, seconds=180):
        """Until a node is fit to answer, and the log has its first two entries."""
        until, client = time.monotonic() + seconds, self.client(n, key, timeout=5)
        while time.monotonic() < until:
            if n in self.running and self.running[n].poll() is not None:
                break
            try:
                if client.get("/v1/ledger")["size"] >= 2 and client.status("/ready") == 200:
                    return
            except (OSError, http.client.HTTPException, Refused):
                pass
            time.sleep(0.05)
        raise RuntimeError(f"node {n} is not ready:\n{self.log(n)}")

    def state(self, n):
        """What a running node says of itself to this machine, every second; None before it does."""
        try:
            state = json.loads((self.node(n) / "data/state.json").read_text())
        except (OSError, ValueError):
            return None
        return state if n in self.running and state["pid"] == self.running[n].pid else None

    def wait_until_together(self, seconds=120):
        """Until all nodes run, are open and as far as each other: of what they say, which is a second old."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            states = [self.state(n) for n in NODES]
            if all(s and s["caught_up"] and s["blocks_open"] for s in states):
                heights = [s["height"] for s in states]
                if max(heights) - min(heights) <= max(3, self.heights_a_second):
                    return
            time.sleep(0.1)
        ended = {n: process.returncode for n, process in self.running.items() if process.poll() is not None}
        silent = [n for n, state in zip(NODES, states) if not state]
        logs = "".join(f"\nnode {n}:\n{self.log(n)}" for n in sorted({*ended, *silent}))
        raise RuntimeError(f"the nodes are not together after {seconds} s: {states}; ended: {ended}{logs}")

    def log(self, n, last=2000):
        return (self.folder / f"node-{n}.log").read_text(errors="replace")[-last:]

    def memory(self, n):
        """Resident memory of a running node in MB (10^6 bytes): all of it, and what is no file's."""
        text = Path(f"/proc/{self.running[n].pid}/status").read_text()
        return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", text, flags=re.M).group(1)) * 1024 / 1e6 for name in ("VmRSS", "RssAnon"))

    def ledger(self, n):
        """The root of the ledger of a node that is stopped, whose tree is computed anew, and its entries."""
        # A trust store for each node: it remembers ledgers, and these are one.
        trust = {"DEEPRING_TRUST": str(self.folder / f"trust-{n}.json")}
        where = self.node(n) / "data/ledger"
        words = ("--ledger", where, "--json")
        verified = json.loads(self._run(self.deepring, "ledger", "verify", "--ledger-key", where / "log.pub", *words, **trust))
        shown = json.loads(self._run(self.deepring, "ledger", "show", *words, **trust))
        return verified["report"]["root"], [row["entry"] for row in shown["entries"]]

    def verify(self, certificate):
        """Why a certificate does not verify with the owner's key and the validator set alone; None where it does."""
        ran = subprocess.run(
            [self.deepring, "certificate", "verify", str(certificate), "--owner", str(self.net / "owner.pub"),
             "--validators", str(self.net / "validators.set")],
            env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return None if ran.returncode == 0 else f"{certificate}: {ran.returncode}: {ran.stderr.strip()}"


class Refused(Exception):
    """An answer of another status than 200."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


# A gateway waits ten seconds for the next request.
KEPT = 5.0


class Client:
    """A connection to a gateway, which is kept for some seconds; opened anew where it was lost."""

    def __init__(self, address, key=None, timeout=120):
        host, port = address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        self.headers, self.used = {"Authorization": f"Bearer {key}"} if key else {}, 0.0

    def _ask(self, method, path, body=None, **headers):
        if time.monotonic() - self.used > KEPT:
            self.connection.close()
        try:
            self.connection.request(method, path, body, self.headers | headers)
            response = self.connection.getresponse()
            answer = response.status, response.read()
            self.used = time.monotonic()
            return answer
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def status(self, path):
        return self._ask("GET", path)[0]

    def text(self, path):
        status, text = self._ask("GET", path)
        if status != 200:
            raise Refused(status, text.decode(errors="replace"))
        return text.decode()

    def get(self, path):
        return json.loads(self.text(path))

    def decide(self, question):
        """The answer to a question's bytes."""
        status, text = self._ask("POST", "/v1/decisions", question, **{"Content-Type": "application/json"})
        if status != 200:
            raise Refused(status, text.decode(errors="replace"))
        return json.loads(text)


def picture(rng):
    """A picture's tensor of the network that is asked, as text."""
    data = ",".join(f"0.{rng.randrange(1, 100):02}" for _ in range(784))
    return f'[{{"name":"image","dtype":"f32","dims":[1,1,28,28],"data":[{data}]}}]'


def question(queries=1, rng=random):
    """A question of so many queries, with a nonce of its own."""
    pictures = [picture(rng) for _ in range(queries)]
    asked = f'"inputs":{pictures[0]}' if queries == 1 else f'"batch":[{",".join(pictures)}]'
    return f'{{"nonce":"{secrets.token_hex(32)}",{asked}}}'.encode()


def folder_bytes(folder):
    """Bytes of the files below a folder: as they say, and as the disk keeps them."""
    said = kept = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(path, name))
            except FileNotFoundError:
                continue
            said, kept = said + found.st_size, kept + 512 * found.st_blocks
    return said, kept


def load():
    """The machine's load, over one minute."""
    return float(Path("/proc/loadavg").read_text().split()[0])
