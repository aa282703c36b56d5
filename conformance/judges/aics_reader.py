"""aics-tlog, which nobody here wrote, reads what the command gives of a ledger: checkpoints with their quorums, proofs, tiles."""

import base64
import json
import subprocess
import sys

from aics_tlog import (
    DirectoryTileStore,
    TileVerificationError,
    audit_tiles,
    format_vkey,
    key_hash,
    parse_checkpoint,
    parse_note,
    vkey_from_ed25519,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from workspace import due, parts, size


def flipped(text, after):
    """A text with a bit flipped in the base64 that follows, with room for a signature's key and time, this word."""
    at = text.index(after) + len(after) + 24
    return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]


def stranger(origin):
    """The key of somebody else, by the name of a log."""
    return format_vkey(vkey_from_ed25519(origin, Ed25519PrivateKey.generate().public_key()))


class Reader:
    """The command aics-tlog, with the log's key."""

    def __init__(self, run, log_key):
        self.run, self.key = run, ("--log-key", log_key)

    def ran(self, *words):
        ran = subprocess.run([sys.executable, "-m", "aics_tlog", *words], cwd=self.run.folder, capture_output=True, text=True, timeout=120)
        said = json.loads(ran.stdout)
        if said["ok"] != (ran.returncode == 0):
            raise SystemExit(f"WRONG  aics-tlog {words}: {ran.returncode}, {said}")
        return said

    def takes(self, what, *words, **found):
        said = self.ran(*words)
        due(f"aics-tlog: {what}", {name: said.get(name) for name in ["ok", "error", *found]}, {"ok": True, "error": None, **found})

    def refuses(self, what, why, *words):
        """Refuses, for this reason."""
        said = self.ran(*words)
        due(f"           {what}: {why}", (said["ok"], why in said.get("error", "")) or said, (False, True))

    def cannot(self, what, *words):
        if self.ran(*words)["ok"]:
            raise SystemExit(f"WRONG  aics-tlog judges {what}: have it do so here")
        print(f"cannot aics-tlog: {what}")


def checkpoints(reader, run, one, two):
    """A checkpoint, and a quorum."""
    (run.folder / "note").write_text(text := run("ledger", "checkpoint", "--ledger", "ledger"))
    origin, known = text.split("\n")[0], int(text.split("\n")[1])
    verify = ("verify-checkpoint", *reader.key, "--note")
    names = ("--witness-key", one.key, "--witness-key", two.key)
    reader.takes("a checkpoint", *verify, "note", "--origin", origin, size=known, log_ok=True)
    reader.takes("with the cosignatures of two witnesses", *verify, "note", *names, "--quorum", "2", "--max-age", "3600", cosignatures=2)
    reader.refuses("of three there are two", "quorum not met", *verify, "note", *names, "--quorum", "3")
    lines = text.splitlines(keepends=True)
    (run.folder / "without").write_text("".join(line for line in lines if not line.startswith(f"— {two.name} ")))
    reader.refuses("one was taken away", "quorum not met", *verify, "without", *names, "--quorum", "2")
    for what, after in (("log", origin), ("second witness", two.name)):
        (run.folder / "bad").write_text(flipped(text, f"\n— {after} "))
        reader.refuses(f"a flipped bit of the signature of the {what}", "failed verification", *verify, "bad", *names, "--quorum", "2")
    (run.folder / "bad").write_text(text.replace(f"\n{known}\n", f"\n{known + 1}\n", 1))
    reader.refuses("another size", "failed verification", *verify, "bad")
    reader.refuses("another log key", "no signature from log key", "verify-checkpoint", "--log-key", stranger(origin), "--note", "note")
    raw = bytes([6]) + bytes(1312)
    later = f"pq.example/w+{key_hash('pq.example/w', 6, raw[1:]).hex()}+{base64.b64encode(raw).decode()}"
    reader.cannot("cosignatures by ML-DSA-44 (judge.py has them judged)", *verify, "note", "--witness-key", later, "--quorum", "0")


def proofs(reader, run):
    """The proofs of an entry and of an extension, of which the judge is handed the parts."""
    proof = run("ledger", "prove", "--ledger", "ledger", "--entry", "2")
    entry, index, path, note = parts(proof)

    def written(name, hashes):
        (run.folder / name).write_text("".join(base64.b64encode(h).decode() + "\n" for h in hashes))

    bit = lambda raw: bytes([raw[0] ^ 1]) + raw[1:]
    (run.folder / "entry").write_bytes(entry)
    (run.folder / "other").write_bytes(entry[:-1] + bytes([entry[-1] ^ 1]))
    (run.folder / "of").write_text(note)
    (run.folder / "x.tlog-proof").write_text(proof)
    written("path", path)
    written("bent", [*path[:-1], bit(path[-1])])
    verify = lambda leaf, path, at=index: (
        "verify-inclusion", *reader.key, "--checkpoint", "of", "--leaf", leaf, "--index", str(at), "--proof", path)
    reader.takes("the proof of an entry under a signed checkpoint", *verify("entry", "path"), checkpoint_verified=True)
    for what, words in (
        ("a flipped bit of the entry", verify("other", "path")),
        ("of the path", verify("entry", "bent")),
        ("another index", verify("entry", "path", 3)),
    ):
        reader.refuses(what, "does not verify", *words)
    reader.cannot("a `.tlog-proof` as one file (its parts were handed over)", *verify("entry", "x.tlog-proof"))

    now = parse_checkpoint(parse_note(note).text)
    before = parse_checkpoint(parse_note((run.folder / "held").read_text()).text)
    extension = run("ledger", "prove", "--ledger", "ledger", "--since", str(before.size))
    path = [base64.b64decode(line) for line in extension.split("\n\n", 1)[0].split("\n")[1:]]
    written("path", path)
    written("bent", [bit(path[0]), *path[1:]])
    root = lambda raw: base64.b64encode(raw).decode()
    verify = lambda path, old: (
        "verify-consistency", "--old-size", str(before.size), "--new-size", str(now.size), "--old-root", root(old),
        "--new-root", root(now.root), "--proof", path)
    reader.takes(f"the extension from {before.size} to {now.size} entries", *verify("path", before.root))
    reader.refuses("a flipped bit of it", "does not verify", *verify("bent", before.root))
    reader.refuses("of the earlier root", "does not verify", *verify("path", bit(before.root)))


def tiles(reader, run, entries):
    """The tiles, each of them; proofs made of them; and two exports of one key that contradict each other."""
    run.append("ledger", max(0, entries - size(run)))
    run("ledger", "tiles", "--ledger", "ledger", "-o", "public")
    known = size(run)
    whole = ("verify-checkpoint", *reader.key, "--tiles", "public")
    reader.takes(f"the root of the tiles of {known} entries", *whole, size=known, tiles_ok=True)
    checkpoint = parse_checkpoint(parse_note((run.folder / "public/checkpoint").read_text()).text)
    store = DirectoryTileStore(run.folder / "public")
    due("aics-tlog: every tile and bundle", audit_tiles(store, known, checkpoint.root).size, known)
    one = lambda index: ("verify-inclusion", *reader.key, "--tiles", "public", "--index", str(index), "--entry-out", "read")
    for index in sorted({0, known // 2, known - 1}):
        reader.takes(f"entry {index} and a proof that it makes", *one(index), index=index)
        ours = parts(run("ledger", "prove", "--ledger", "ledger", "--entry", str(index)))[0]
        due("           it is the entry that we prove", (run.folder / "read").read_bytes(), ours)
    reader.takes("that they extend the checkpoint of before", "verify-consistency", *reader.key, "--tiles", "public", "--old-checkpoint", "held")

    reader.takes("a mirror that is behind", *whole, "--tiles", "earlier", size=known)
    reader.refuses("an export of another history by the same key", "split view", *whole, "--tiles", "forked")
    reader.takes("a proof in a file for later, from tiles", *one(1), "--bundle-out", "bundle")
    later = ("verify-bundle", *reader.key, "--offline", "--bundle")
    reader.takes("it verifies offline", *later, "bundle", index=1)
    bundle = json.loads((run.folder / "bundle").read_text())
    bundle["entry_bytes"] = "B" + bundle["entry_bytes"][1:] if bundle["entry_bytes"][0] != "B" else "C" + bundle["entry_bytes"][1:]
    (run.folder / "bent").write_text(json.dumps(bundle))
    reader.refuses("a flipped bit of its entry", "inclusion proof does not verify", *later, "bent")

    for name, words, why in (
        (f"tile/0/{known // 256:03}.p/{known % 256}", whole, "do not match the root"),
        ("tile/0/000", one(1), "does not match its parent"),
        ("tile/entries/000", one(1), "does not match its level 0 tile"),
        ("checkpoint", whole, "no tile source served a checkpoint that verifies"),
    ):
        path = run.folder / "public" / name
        right = path.read_bytes()
        path.write_bytes(right[:5] + bytes([right[5] ^ 1]) + right[6:])
        reader.refuses(f"a flipped bit of {name}", why, *words)
        if name.startswith("tile/"):
            try:
                audit_tiles(store, known, checkpoint.root)
                due("           by the walk of all tiles too", "taken", "refused")
            except TileVerificationError:
                due("           by the walk of all tiles too", True, True)
        path.write_bytes(right)
    reader.takes("the same as they were", *whole, size=known)
