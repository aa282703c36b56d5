#!/usr/bin/env python3
"""Random graphs, sealed and run, beside onnxruntime: differential.py DEEPRING [--graphs N] [--seed S] [--jobs N] [--together N] [--late N] [--keep DIR].

Graphs (random_graphs.py) are sealed several to a network, and one by one where that is refused. Verdicts, of each graph:
  right    every output has the due shape, type and values
  refused  `seal` exits 1, leaves no ring, and says why
  named    sealed, and the query refused as one whose numbers are out of the range that is computed or checked
  late     sealed, and then no answer
  wrong    sealed, and another answer than onnxruntime and ONNX's own reference give
  edge     another answer, and ONNX's own reference gives it another one too if its inputs move by a millionth (a threshold, a tie)
  disputed another answer than onnxruntime's, and those two differ
  crash    ended by a signal, a panic, or not within the time limit
Every late, wrong or crashed graph is written to --keep, with its inputs. Exit 1 if one is wrong or crashed, or more are late than
--late says."""

import argparse, collections, concurrent.futures, os, pathlib, re, subprocess, sys, tempfile, warnings

import numpy as np

warnings.filterwarnings("ignore")
import onnx
from onnx.reference import ReferenceEvaluator

from node_tests import call, crashed, file_of, plain, reason
from random_graphs import Graph, model_of

OUT_OF_RANGE = re.compile("integers in block|beyond 2\\^60|not a number|too large for the check")


def differs(got, want):
    if got.dtype != want.dtype:
        return f"type {got.dtype}, due {want.dtype}"
    if got.shape != want.shape:
        return f"shape {list(got.shape)}, due {list(want.shape)}"
    if want.dtype.kind == "f":
        # Sums in another order; of large ones more.
        scale = float(np.max(np.abs(want[np.isfinite(want)]), initial=0))
        if not np.allclose(got, want, rtol=1e-4, atol=1e-5 + 2e-6 * scale, equal_nan=True):
            with np.errstate(all="ignore"):
                return f"off by {np.nanmax(np.abs(got.astype(np.float64) - want)):.3g} of {scale:.3g}"
    elif not np.array_equal(got, want):
        return f"{int((got != want).sum())} of {want.size} elements differ"
    return None


def disputed(graph, name):
    """Whether ONNX's reference differs from onnxruntime there, too, or cannot tell."""
    try:
        found = ReferenceEvaluator(model_of([graph])).run([name], {n: graph.values[n] for n in graph.inputs})[0]
    except Exception:
        return True
    return differs(np.asarray(found), graph.values[name]) is not None


def on_edge(graph, name):
    """Whether ONNX's reference itself gives another answer where its inputs move by what rounding does."""
    for by in (1 - 1e-6, 1 + 1e-6):
        inputs = {n: v * v.dtype.type(by) if (v := graph.values[n]).dtype.kind == "f" else v for n in graph.inputs}
        try:
            found = ReferenceEvaluator(model_of([graph])).run([name], inputs)[0]
        except Exception:
            return False
        if differs(np.asarray(found), graph.values[name]):
            return True
    return False


def seal(deepring, keys, graphs, folder):
    onnx.save(model_of(graphs), folder / "m.onnx")
    return call([deepring, "seal", "m.onnx", "--owner", keys / "owner.key", "--host", keys / "host.pub", "-o", "m.ring"], folder)


def run(deepring, keys, graphs, folder, check):
    command = [deepring, "run", "m.ring", "--owner", keys / "owner.pub", "--key", keys / "host.key", "--output-dir", "out", "--check", check]
    for graph in graphs:
        for name in graph.inputs:
            np.save(folder / f"{name}.npy", graph.values[name])
            command += ["--input", f"{name}={name}.npy"]
    return call(command, folder)


def judge(deepring, keys, graphs, check):
    """The verdict on each of these graphs, sealed together."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        code, said = seal(deepring, keys, graphs, folder)
        sealed = code == 0
        if sealed:
            code, said = run(deepring, keys, graphs, folder, check)
        if code != 0 and len(graphs) > 1:
            return [verdict for graph in graphs for verdict in judge(deepring, keys, [graph], check)]
        if crashed(code):
            return [("crash", f"rc {code} {reason(said)}")]
        if not sealed:
            refused = code == 1 and not (folder / "m.ring").exists()
            return [("refused" if refused else "late", reason(said))]
        if code != 0:
            return [("named" if code == 1 and OUT_OF_RANGE.search(said) else "late", f"rc {code} {reason(said)}")]
        verdicts = []
        for graph in graphs:
            found = ("right", "")
            for name, want in graph.due().items():
                path = file_of(folder / "out", name)
                wrong = "no such output" if path is None else differs(np.load(path), want)
                if wrong:
                    verdict = "disputed" if disputed(graph, name) else "edge" if on_edge(graph, name) else "wrong"
                    found = (verdict, f"{name}: {wrong}")
                    break
            verdicts.append(found)
        return verdicts


def batch(deepring, keys, seed, together, keep):
    """Grows graphs from this seed and judges them; gives counts, reasons of refusals, operators, and what is bad."""
    rng = np.random.default_rng(seed)
    check = ["compute", "auto", "run"][seed % 3]
    graphs = []
    while len(graphs) < together:
        graph = Graph(rng, f"g{len(graphs)}_")
        if graphs:
            graph.opset = graphs[0].opset
        if graph.grow(int(rng.integers(1, 6))).nodes and graph.inputs:
            graphs.append(graph)
    counts, reasons, operators, bad = collections.Counter(), collections.Counter(), collections.Counter(), []
    for index, (graph, (verdict, why)) in enumerate(zip(graphs, judge(deepring, keys, graphs, check))):
        counts[verdict] += 1
        operators.update(n.op_type for n in graph.nodes if verdict == "right")
        if verdict == "refused":
            reasons[plain(why)] += 1
        if verdict in ("late", "wrong", "crash", "disputed", "edge"):
            ops = " ".join(n.op_type for n in graph.nodes)
            bad.append((verdict, f"seed {seed} graph {index}, opset {graph.opset}, --check {check}: {ops}: {why[:300]}"))
            if keep and verdict not in ("disputed", "edge"):
                folder = pathlib.Path(keep) / f"{verdict}-{seed}-{index}"
                folder.mkdir(parents=True, exist_ok=True)
                onnx.save(model_of([graph]), folder / "model.onnx")
                for name in graph.inputs:
                    np.save(folder / f"{name}.npy", graph.values[name])
    return counts, reasons, operators, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deepring")
    parser.add_argument("--graphs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--together", type=int, default=10, help="graphs in a network")
    parser.add_argument("--late", type=int, default=0, help="how many may be late")
    parser.add_argument("--keep", help="folder for what is late, wrong or crashed")
    args = parser.parse_args()
    deepring = os.path.abspath(args.deepring)
    counts, reasons, operators = collections.Counter(), collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        keys = pathlib.Path(folder) / "keys"
        subprocess.run([deepring, "keygen", "--out", keys], check=True, capture_output=True)
        seeds = range(args.seed, args.seed + -(-args.graphs // args.together))
        work = [pool.submit(batch, deepring, keys, seed, args.together, args.keep) for seed in seeds]
        for done in concurrent.futures.as_completed(work):
            found = done.result()
            for total, part in zip((counts, reasons, operators), found):
                total.update(part)
            for verdict, text in found[3]:
                print(f"{verdict:8} {text}", flush=True)
    for text, n in reasons.most_common():
        print(f"refused {n:6}: {text}")
    print("operators in right graphs: " + ", ".join(f"{op} {n}" for op, n in sorted(operators.items())))
    print(f"{sum(counts.values())} graphs: " + ", ".join(f"{n} {v}" for v, n in sorted(counts.items())))
    return 1 if counts["wrong"] or counts["crash"] or counts["late"] > args.late else 0


if __name__ == "__main__":
    sys.exit(main())
