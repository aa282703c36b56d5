"""Clients of the network: each asks on the loopback of a node's namespace, believes nothing, and keeps what was acknowledged."""

import json
import struct
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nodes import ROOT
from seen import NotSo

SAMPLE = ROOT / "zoo/fashion-sample/images-idx3-ubyte"
NETWORK = ROOT / "zoo/fashion-lenet5.onnx"
PIXELS = 28 * 28
# Two machines of one kind compute the same; what is compared with is the network without protection.
NEAR = 1e-4


def write_npy(path, dims, numbers):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(dims)}, }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(numbers)}f", *numbers))


def read_npy(path):
    """The bytes of a file of single precision, as they lie there."""
    data = path.read_bytes()
    start = 10 + struct.unpack_from("<H", data, 8)[0]
    if data[:8] != b"\x93NUMPY\x01\x00" or b"'<f4'" not in data[:start] or (len(data) - start) % 4:
        raise NotSo(f"{path} is an array of single precision")
    return data[start:]


def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


class Pictures:
    """Some pictures of the sample as tensors, and what the unprotected network answers to each."""

    def __init__(self, network, folder, count=6):
        folder.mkdir()
        pixels = SAMPLE.read_bytes()[16:]
        self.files, self.answers = [], []
        for i in range(count):
            picture, out = folder / f"{i}.npy", folder / f"plain-{i}"
            write_npy(picture, (1, 1, 28, 28), [byte / 255 for byte in pixels[i * PIXELS :][:PIXELS]])
            out.mkdir()
            network.command(network.deepring, "run", NETWORK, "--plain", "--threads", 1, "--input", picture, "--output-dir", out)
            self.files.append(picture)
            self.answers.append(floats(read_npy(only_file(out))))


def only_file(folder):
    files = sorted(folder.glob("*.npy"))
    if len(files) != 1:
        raise NotSo(f"one array lies in {folder}: {files}")
    return files[0]


@dataclass(frozen=True)
class Answer:
    """What a gateway acknowledged: the client verified the certificate about this very input, nonce and output."""

    gateway: int
    picture: int
    folder: Path
    decision: str
    entry: int


class Clients:
    def __init__(self, network, pictures, folder):
        self.network, self.pictures, self.folder = network, pictures, folder
        self.folder.mkdir()
        self.asked, self.acknowledged, self.refused = 0, [], Counter()
        self.lock = threading.Lock()

    def ask(self, gateway, timeout=60):
        """Asks a node's gateway; an answer that verified, or None. Anything that came and did not verify ends the scenario."""
        with self.lock:
            number, self.asked = self.asked, self.asked + 1
        picture, folder = number % len(self.pictures.files), self.folder / str(number)
        folder.mkdir()
        network = self.network
        ran = network.command(
            network.deepring, "query", network.gateway(gateway), "--input", self.pictures.files[picture], "--owner", network.owner,
            "--validators", network.validators, "--certificate", folder / "certificate", "--output-dir", folder / "out",
            "--timeout", timeout, "--json", inside=gateway, code=None, timeout=timeout * 3,
        )  # fmt: skip
        if ran.returncode == 1:
            with self.lock:
                self.refused[why(ran)] += 1
            return None
        if ran.returncode != 0:
            raise NotSo(f"an answer verifies or there is none: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        said = json.loads(ran.stdout)
        answer = Answer(gateway, picture, folder, decision_id(said["decision"]), said["entry"])
        self.compare(answer)
        with self.lock:
            self.acknowledged.append(answer)
        return answer

    def compare(self, answer):
        """The outputs are those of the network without protection."""
        outputs = floats(read_npy(only_file(answer.folder / "out")))
        plain = self.pictures.answers[answer.picture]
        if len(outputs) != len(plain) or any(abs(a - b) > NEAR for a, b in zip(outputs, plain)):
            raise NotSo(f"an answer is the network's: {outputs}, and not {plain}")

    def verify_all(self, seen, entries):
        """Verifies each certificate that was ever given out, offline, about its input and output; each has its entry in the ledger."""
        network, indices = self.network, set()
        for answer in self.acknowledged:
            tensors = ("--input", self.pictures.files[answer.picture], "--output", only_file(answer.folder / "out"))
            trusted = ("--owner", network.owner, "--validators", network.validators, "--json")
            ran = network.command(network.deepring, "certificate", "verify", answer.folder / "certificate", *tensors, *trusted)
            said = json.loads(ran.stdout)
            if (decision_id(said["decision"]), said["entry"]) != (answer.decision, answer.entry) or len(said["cosigned_by"]) < 3:
                raise NotSo(f"a certificate says later what it said at first: {said}, and not {answer}")
            if answer.entry >= len(entries) or answer.decision not in json.dumps(entries[answer.entry]):
                raise NotSo(f"decision {answer.decision} is entry {answer.entry} of the ledger")
            indices.add(answer.entry)
        seen.must(len(indices) == len(self.acknowledged) > 0, f"each of {seen.count('certificates', len(indices))} certificates verifies offline, about its input and output, and its entry is in the ledger")

    def ask_at_once(self, gateways, timeout):
        """Asks several gateways at the same time; their answers."""
        with ThreadPoolExecutor(len(gateways)) as pool:
            return list(pool.map(lambda gateway: self.ask(gateway, timeout), gateways))

    def cut(self):
        """How many questions were under way at a gateway, and ended without an answer."""
        return sum(count for reason, count in self.refused.items() if "/v1/decisions" in reason)

    def several(self, seen, gateways, each, what):
        """Asks gateways one after the other; every question must be answered."""
        answers = [self.ask(gateway) for _ in range(each) for gateway in gateways]
        good = sum(answer is not None for answer in answers)
        seen.must(good == len(answers) > 0, f"{what}: {good} of {len(answers)} questions answered and certified {dict(self.refused) if good < len(answers) else ''}".rstrip())


def why(ran):
    """The first line of what went wrong, without what differs each time."""
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    return lines[0][:110] if lines else "no reason"


def decision_id(decision):
    return decision["id"] if isinstance(decision, dict) else decision


class Load:
    """Clients that ask without end while something happens to the nodes."""

    def __init__(self, clients, gateways, timeout=60):
        self.clients, self.timeout, self.over = clients, timeout, threading.Event()
        self.under_way, self.failed = {}, []
        self.threads = [threading.Thread(target=self._run, args=(gateway,), daemon=True) for gateway in gateways]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        if kind:
            # The nodes end next, and with them what is asked.
            return
        for thread in self.threads:
            thread.join()
        if self.failed:
            raise self.failed[0]

    def _run(self, gateway):
        while not self.over.is_set():
            self.under_way[gateway] = self.clients.asked
            try:
                answer = self.clients.ask(gateway, self.timeout)
            except Exception as error:  # Said by the thread that waits for this one.
                self.failed.append(error)
                return
            finally:
                self.under_way.pop(gateway, None)
            if answer is None:
                self.over.wait(0.3)
