"""Has aics-witness and aics-tlog, which nobody here wrote, judge the ledger, through the command: two running witnesses, which cosign its
checkpoints and refuse what they must, and a verifier of its checkpoints, quorums, proofs and tiles.

    python aics.py DEEPRING [--entries N]

Prints a line for each verdict and fails at the first that is not the one due. What these tools cannot judge is said (`cannot`), and tried,
so that a version which can is noticed.
"""

import argparse
import collections
import hashlib
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from aics_reader import Reader, checkpoints, flipped, proofs, stranger, tiles
from workspace import Served, Workspace, due, size

NETWORK = Path(__file__).resolve().parents[2] / "crates/deepring-cli/tests/cmd/road.in"


class Witness:
    """An aics-witness: a process with a key and a database of its own, on loopback."""

    def __init__(self, folder, number):
        self.folder, self.name = folder / f"w{number}", f"witness.example/aics{number}"
        self.folder.mkdir()
        self.key = self("init", "--name", self.name).strip()
        self.process = None

    def __call__(self, *words):
        words = [sys.executable, "-m", "aics_witness", *words]
        return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=60, check=True).stdout

    def serve(self, *log):
        """Starts it, or starts it again, with one more log that it knows, by origin and key."""
        self.stop()
        if log:
            self("add-log", "--origin", log[0], "--vkey", log[1])
        words = [sys.executable, "-m", "aics_witness", "serve", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(words, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"listening on (http://127\.0\.0\.1:(\d+)) ", line):
                self.url, self.port = found[1], int(found[2])
                break
        else:
            raise SystemExit(f"WRONG  aics-witness does not start in {self.folder}")
        # It would stop when nobody reads what it says.
        threading.Thread(target=collections.deque, args=(self.process.stderr, 0), daemon=True).start()
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    def request(self, method, path, body=None):
        """The status and the body of an answer; of what did not come from the command."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body and body.encode())
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", "").split(";")[0], answer.read().decode()

    def add_checkpoint(self, body):
        return self.request("POST", "/add-checkpoint", body)

    def evidence(self):
        """The signed requests that it kept, since they contradict what it cosigned."""
        return json.loads(self("evidence"))


def witnessed(run, one, two, log_key):
    """Two witnesses cosign; nothing is kept of what does not verify, and a policy finds what is kept."""
    origin = log_key.split("+", 1)[0]
    ask = lambda of, key=None: ("ledger", "witness", of.url, "--ledger", "ledger", "--witness-key", key or of.key)
    text = lambda: run("ledger", "checkpoint", "--ledger", "ledger")
    unknown = text()
    one.serve()
    run(*ask(one), code=1)
    due("aics-witness: 404, the log is not known", text(), unknown)
    one.serve(origin, stranger(origin))
    run(*ask(one), code=4)
    due("aics-witness: 403, the log is known by another key", text(), unknown)
    one.serve(origin, log_key)

    def on_the_way(body):
        status, kind, answer = one.add_checkpoint(body)
        return status, kind, flipped(answer, f"— {one.name} ") if status == 200 else answer

    relayed = Served(on_the_way)
    run(*ask(relayed, one.key), code=3)
    due("aics-witness: 200, but a bit of the cosignature was flipped on the way", text(), unknown)
    two.serve(origin, log_key)
    run(*ask(one, two.key), code=4)
    due("aics-witness: 409 and 200, but not by the key that was given", text(), unknown)

    policy = run.folder / "two.policy"
    policy.write_text(f"witness A {one.key}\nwitness B {two.key}\ngroup both all A B\nquorum both\n")
    verify = ("ledger", "verify", "--ledger", "ledger", "--witness-policy", "two.policy", "--json")
    run(*ask(one))
    due("aics-witness: 409 and 200, its cosignature is kept", text().count(f"\n— {one.name} "), 1)
    run(*verify, code=4)
    run(*ask(two))
    due("aics-witness: 200 of another, and both are found by a policy", len(json.loads(run(*verify))["witnesses"]), 2)
    held = one.request("GET", f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint")
    (run.folder / "held").write_text(held[2])
    (run.folder / "changed").write_text(flipped(held[2], f"— {origin} "))
    against = ("ledger", "verify", "--ledger", "ledger", "--against")
    run(*against, "held")
    due("aics-witness: it shows to others the checkpoint that it cosigned, and the ledger extends that", held[0], 200)
    run(*against, "changed", code=3)
    due("                the same with a bit of the log's signature flipped is refused", True, True)
    shutil.copytree(run.folder / "ledger", run.folder / "older")
    run.append("ledger", 3)
    run(*verify, code=4)
    for of in (one, two):
        run(*ask(of))
        run(*ask(of))
    due("aics-witness: 409 and 200, an extension; and the same again", len(json.loads(run(*verify))["witnesses"]), 2)
    one.serve()
    run(*ask(one))
    due("aics-witness: the same after it was started again", len(json.loads(run(*verify))["witnesses"]), 2)


def contradicted(run, one):
    """What a witness must not cosign, from us and from others, and what the command says of it."""
    known = size(run)
    prove = lambda since: run("ledger", "prove", "--ledger", "ledger", "--since", str(since))
    run.append("ledger", 1)
    good = prove(known)
    head, note = good.split("\n\n", 1)
    (old, first, *path), origin = head.split("\n"), note.split("\n")[0]
    broken = "\n".join([old, ("B" if first[0] == "A" else "A") + first[1:], *path])
    for status, what, body in (
        (409, "a proof from another size", prove(known - 1)),
        (403, "a size that nobody signed", good.replace(f"\n{known + 1}\n", f"\n{known + 2}\n")),
        (403, "a flipped bit of the signature", f"{head}\n\n{flipped(note, f'— {origin} ')}"),
        (422, "a flipped bit of the proof", f"{broken}\n\n{note}"),
        (422, "no proof", f"{old}\n\n{note}"),
        (400, "what is no checkpoint", f"{head}\n\nhello\n"),
        (200, "the very text of `ledger prove --since`", good),
    ):
        due(f"aics-witness: {status}, {what}", one.add_checkpoint(body)[0], status)
    due("aics-witness: keeps what contradicts: the requests of wrong proofs", len(one.evidence()), 2)
    # The same key's ledger as it was, and then with other entries: each with a trust store that knows nothing.
    older = ("ledger", "witness", one.url, "--ledger", "older", "--witness-key", one.key)
    run(*older, code=5, DEEPRING_TRUST="none.json")
    due("aics-witness: 409, a ledger that was rolled back is told as such", True, True)
    run.environment["DEEPRING_TRUST"] = "none.json"
    before = run("ledger", "checkpoint", "--ledger", "older")
    run("ledger", "tiles", "--ledger", "older", "-o", "earlier")
    run.append("older", size(run) - size(run, "older"))
    run(*older, code=3)
    due("aics-witness: 422, another history of equal size is told as such", size(run, "older"), known + 1)
    run.append("older", 1)
    run(*older, code=3)
    forked = run("ledger", "checkpoint", "--ledger", "older")
    due("aics-witness: 422, and of one entry more", (before != forked, f"— {one.name} " in forked), (True, False))
    run("ledger", "tiles", "--ledger", "older", "-o", "forked")
    run.environment["DEEPRING_TRUST"] = "trust.json"
    kept = [row["request"] for row in one.evidence()]
    due("aics-witness: has the forked checkpoint for everybody to see", any(forked.split("\n\n")[0] in row for row in kept), True)
    run("ledger", "witness", one.url, "--ledger", "ledger", "--witness-key", one.key)
    due("aics-witness: and goes on with the first history", True, True)


def certificate(run, one):
    """A certificate that holds a cosignature."""
    for name in ("tiny.onnx", "x.npy", "labels.txt"):
        shutil.copy(NETWORK / name, run.folder)
    run("keygen", "--out", "keys")
    run("seal", "tiny.onnx", "--owner", "keys/owner.key", "--host", "keys/host.pub", "--labels", "labels.txt", "-o", "tiny.ring")
    on = ("--ledger", "ledger")
    run("ledger", "register", "tiny.ring", "--owner-key", "keys/owner.key", *on)
    owner = ("--owner", "keys/owner.pub")
    run("run", "tiny.ring", *owner, "--key", "keys/host.key", "--input", "x.npy", *on, "--receipt", "x.receipt")
    (run.folder / "one.policy").write_text(f"witness A {one.key}\nquorum A\n")
    verify = lambda name: ("certificate", "verify", name, *owner, "--ledger-key", "ledger/log.pub", "--witness-policy", "one.policy")
    make = lambda name: run("certificate", "make", "--receipt", "x.receipt", *on, "-o", name)
    make("early.certificate")
    run(*verify("early.certificate"), code=4)
    run("ledger", "witness", one.url, *on, "--witness-key", one.key)
    make("x.certificate")
    due("aics-witness: a certificate is verified by its cosignature", one.name in run(*verify("x.certificate")), True)
    whole = (run.folder / "x.certificate").read_bytes().decode("latin-1")
    changed = flipped(whole, f"— {one.name} ".encode().decode("latin-1"))
    (run.folder / "changed.certificate").write_bytes(changed.encode("latin-1"))
    run(*verify("changed.certificate"), code=3)
    due("              and with a bit of it flipped it is refused", changed != whole, True)
    run(*verify("changed.certificate")[:-2])
    due("              for that alone: who asks for no witness takes it", True, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deepring")
    parser.add_argument("--entries", type=int, default=258, help="entries of the log whose tiles are read: over 256, and no multiple")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Workspace(args.deepring, folder)
        log_key = run("ledger", "init", "ledger").splitlines()[1]
        run.append("ledger", 4)
        one, two = Witness(run.folder, 1), Witness(run.folder, 2)
        try:
            witnessed(run, one, two, log_key)
            contradicted(run, one)
            certificate(run, one)
            run("ledger", "witness", two.url, "--ledger", "ledger", "--witness-key", two.key)
        finally:
            one.stop()
            two.stop()
        reader = Reader(run, log_key)
        checkpoints(reader, run, one, two)
        proofs(reader, run)
        tiles(reader, run, args.entries)


if __name__ == "__main__":
    main()
