"""A network of four `deepringd`, each a process in a namespace of its own: set up, started, killed, looked at."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from fabric import CLIENTS, HOSTS, NODES, VALIDATORS, address
from seen import NotSo

ROOT = Path(__file__).resolve().parents[2]
# How long anything may take before a scenario gives up.
LONG = 90


class Network:
    """Folders, keys and processes of the four nodes. What is one party's alone lies in its node's folder."""

    def __init__(self, fabric, programs, folder, seen):
        self.fabric, self.seen, self.folder = fabric, seen, Path(folder)
        self.deepring, self.deepringd = programs
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self.environment = kept | {"DEEPRING_TRUST": str(self.folder / "trust.json"), "NO_COLOR": "1"}
        self.running = {}
        self.gateways = ()

    # Setting up.

    def command(self, program, *words, code=0, inside=None, timeout=LONG):
        """Runs a command to its end, which must come with this exit code (None: any); the code, and what it printed."""
        before = self.fabric.inside(inside) if inside else []
        words = [*before, program, *map(str, words)]
        ran = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if code is not None and ran.returncode != code:
            raise NotSo(f"`{' '.join(map(str, words))}` ends with {code}: {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return ran

    def set_up(self, ring, owner_key, audit_seconds=60):
        requests = []
        for n in NODES:
            at = lambda port: f"{address(n)}:{port}"
            # A gateway on each node's own loopback, where its client asks: nothing of it crosses the bridge.
            gateway = f"127.0.0.1:{CLIENTS + n}"
            self.command(self.deepringd, "init", self.node(n), "--validator", at(VALIDATORS), "--hosting", at(HOSTS), "--gateway", gateway)
            requests.append(self.node(n) / "join.toml")
        out = self.folder / "out"
        deal = ("--copies", 3, "--ring", ring, "--owner-key", owner_key, "-o", out)
        self.command(self.deepringd, "cluster", "assemble", *requests, *deal)
        for n in NODES:
            for file in (out / f"node-{n}").iterdir():
                shutil.copy2(file, self.node(n) / file.name)
            config = self.config(n)
            text = config.read_text()
            if text.count("audit_seconds = 60") != 1:
                raise NotSo(f"{config} says how often it audits")
            config.write_text(text.replace("audit_seconds = 60", f"audit_seconds = {audit_seconds}"))
        self.gateways = tuple(n for n in NODES if "[gateway]" in self.config(n).read_text())
        if len(self.gateways) < 2:
            raise NotSo(f"two nodes or more have a gateway: {self.gateways}")
        self.owner, self.validators = out / "owner.pub", out / "validators.set"
        return self

    def node(self, n):
        return self.folder / f"node-{n}"

    def config(self, n):
        return self.node(n) / "deepringd.toml"

    def ring(self, n):
        return self.node(n) / "model.ring"

    def host(self, n):
        return (self.node(n) / "host.pub").read_text().strip()

    def gateway(self, n):
        return f"http://127.0.0.1:{CLIENTS + n}"

    # Processes.

    def start(self, *nodes, flags=(), **more):
        for n in nodes or NODES:
            # A node ends with this program, however that ends.
            words = [*self.fabric.inside(n), self.deepringd, "run", self.config(n), "--until-stdin-closes", *flags]
            with open(self.log_file(n), "a") as log:
                self.running[n] = subprocess.Popen(
                    [str(word) for word in words], env=self.environment | more, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
                )

    def kill(self, *nodes):
        """SIGKILL to all of them at once, then waits for their ends."""
        children = [self.running.pop(n) for n in nodes]
        for child in children:
            child.kill()
        return [child.wait(LONG) for child in children]

    def stop(self, *nodes):
        """Asks nodes to stop, which must end by themselves and well."""
        nodes = nodes or tuple(self.running)
        children = [(n, self.running.pop(n)) for n in nodes]
        for _, child in children:
            child.send_signal(signal.SIGTERM)
        codes = {}
        for n, child in children:
            try:
                codes[n] = child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                codes[n] = child.wait(LONG)
        if any(codes.values()):
            raise NotSo(f"nodes that are told to stop end well: {codes}")

    def ended(self, n, seconds=LONG):
        """Waits for a node that ends by itself; its exit code."""
        code = self.running[n].wait(seconds)
        del self.running[n]
        return code

    def end(self):
        """Whatever still runs is killed."""
        for child in self.running.values():
            child.kill()
        for child in self.running.values():
            child.wait(LONG)
        self.running.clear()

    # Looking.

    def log_file(self, n):
        return self.node(n) / "node.log"

    def log(self, n):
        path = self.log_file(n)
        return path.read_text(errors="replace") if path.exists() else ""

    def state(self, n):
        """What a node said last of itself; {} where it said nothing since it was started."""
        try:
            state = json.loads((self.node(n) / "data/state.json").read_text())
        except (OSError, ValueError):
            return {}
        running = self.running.get(n)
        return state if running and state.get("pid") == running.pid else {}

    def states(self, *nodes):
        return {n: self.state(n) for n in nodes or NODES}

    def until(self, what, so, nodes=NODES, seconds=LONG):
        """Waits until something is so; a node that ends meanwhile ends the scenario. How long it took."""
        began = time.monotonic()
        while not so():
            gone = {n: child.returncode for n, child in self.running.items() if child.poll() is not None}
            if gone or time.monotonic() - began > seconds:
                logs = "\n".join(f"-- node {n}\n{self.log(n)[-1500:]}" for n in gone or nodes)
                raise NotSo(f"{what} ({f'ended: {gone}' if gone else f'waited {seconds} s'}): {self.states()}\n{logs}")
            time.sleep(0.1)
        return time.monotonic() - began

    def until_certified(self, size, *nodes):
        """Waits until nodes have as many entries under a checkpoint that a quorum cosigned, and heights go on."""
        nodes = nodes or NODES
        done = lambda n: self.state(n).get("certified", 0) >= size and self.state(n).get("caught_up")
        return self.until(f"nodes {nodes} have {size} certified entries", lambda: all(map(done, nodes)), nodes)

    def until_level(self, *nodes, least=0):
        """Waits until nodes have the same entries, all of them certified, while nobody asks anything; how many."""
        nodes = nodes or NODES

        def level():
            states = [self.state(n) for n in nodes]
            sizes = {state.get("size", -n) for n, state in zip(nodes, states)} | {state.get("certified", -1) for state in states}
            return len(sizes) == 1 and min(sizes) >= least and all(s["waiting"] == 0 and s["caught_up"] for s in states)

        self.until(f"nodes {nodes} have the same entries, all certified", level, nodes)
        return self.state(nodes[0])["size"]

    # Ledgers of nodes that are stopped.

    def entries(self, n):
        """All entries of a stopped node's ledger, after every byte of it was verified."""
        if n in self.running:
            raise NotSo(f"the ledger of node {n} is read when the node is stopped")
        ledger = ("--ledger", self.node(n) / "data/ledger", "--json")
        self.command(self.deepring, "ledger", "verify", *ledger)
        shown = json.loads(self.command(self.deepring, "ledger", "show", *ledger).stdout)
        entries = shown["entries"]
        if [row["index"] for row in entries] != list(range(shown["size"])):
            raise NotSo(f"the ledger of node {n} shows each of its {shown['size']} entries")
        return [row["entry"] for row in entries]

    def checkpoint(self, n):
        """Name, size and root of a stopped node's ledger: equal where every byte of every entry is."""
        said = self.command(self.deepring, "ledger", "checkpoint", "--ledger", self.node(n) / "data/ledger").stdout
        return said.splitlines()[:3]

    def equal_ledgers(self, *nodes):
        """Compares the ledgers of stopped nodes entry by entry; the entries."""
        nodes = nodes or NODES
        ledgers = {n: self.entries(n) for n in nodes}
        first, root = ledgers[nodes[0]], self.checkpoint(nodes[0])
        for n in nodes[1:]:
            differing = [index for index, pair in enumerate(zip(first, ledgers[n])) if pair[0] != pair[1]]
            found = (len(ledgers[n]), differing, self.checkpoint(n))
            if found != (len(first), [], root):
                raise NotSo(f"the ledgers of nodes {nodes[0]} and {n} are equal: {(len(first), [], root)}, and {found}")
            self.seen.count('entries', len(first))
        self.seen.must(len(first) > 2, f"the ledgers of nodes {nodes} verify and are equal, entry by entry, under one root: {len(first)} entries")
        return first
