"""What crosses the network: of parameters, inputs and what is computed between, no eight numbers in a row.

Every frame of the bridge is taken while questions are answered and a copy is repaired, and searched packet by packet and stream by stream for
every run of eight numbers, at any byte. Runs that are sent in the clear on purpose must be found, or the search shows nothing."""

import struct
import subprocess
import sys
import time
from collections import Counter

import onnx_bytes
from asking import NETWORK, floats, only_file, read_npy
from capture import Capture, Packets
from fabric import CLIENTS, HOSTS, NODES, VALIDATORS, address
from killing import ALARM, REPAIR, agree, damage, wait_for_log

RUN = 8
# A run of equal numbers, as the black edge of a picture, says nothing, and zeros are everywhere.
DIFFERENT = 5
PLANTED = 4199

RECEIVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("listens", flush=True)
    connection, _ = server.accept()
    got = b""
    while piece := connection.recv(65536):
        got += piece
    print(got.hex())
"""
SENDER = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in sys.argv[3:]:
        connection.sendall(bytes.fromhex(piece))
        time.sleep(0.2)
"""


class Secrets:
    """Every run of eight numbers that nobody on the way may see, and what it is of."""

    def __init__(self):
        self.runs, self.passed_over, self.numbers = {}, 0, Counter()

    def add(self, kind, name, raw):
        self.numbers[kind] += len(raw) // 4
        for at in range(0, len(raw) - 4 * RUN + 1, 4):
            run = raw[at : at + 4 * RUN]
            if len({run[i : i + 4] for i in range(0, 4 * RUN, 4)}) < DIFFERENT:
                self.passed_over += 1
            else:
                self.runs.setdefault(run, (kind, name))

    def search(self, data):
        """What stands where: by offset."""
        runs, width = self.runs, 4 * RUN
        return {at: runs[data[at : at + width]] for at in range(len(data) - width + 1) if data[at : at + width] in runs}


def secrets_of(network, clients, seen):
    """Parameters by rows and by columns, inputs, and every value between nodes, as the network without protection computes them."""
    secrets = Secrets()
    for name, dims, raw in onnx_bytes.tensors(NETWORK):
        secrets.add("parameters", name, raw)
        if len(dims) > 1:
            secrets.add("parameters by columns", name, onnx_bytes.transposed(dims, raw))
    opened = network.folder / "all-values.onnx"
    names = onnx_bytes.with_all_values(NETWORK, opened)
    for i, picture in enumerate(clients.pictures.files):
        secrets.add("inputs", picture.name, read_npy(picture))
        out = network.folder / f"values-{i}"
        out.mkdir()
        network.command(network.deepring, "run", opened, "--plain", "--threads", 1, "--input", picture, "--output-dir", out)
        values = {file.stem: read_npy(file) for file in out.glob("*.npy")}
        if len(values) != len(names):
            raise RuntimeError(f"each of {names} is written: {sorted(values)}")
        for name, raw in values.items():
            secrets.add("values between layers", name, raw)
    seen.equal(floats(values[names[-1]]), clients.pictures.answers[-1], "what is computed between layers ends in the network's very answer")
    for kind, count in secrets.numbers.items():
        seen.must(count > 1000, f"searched for: {seen.count('numbers that must not be found', count)} numbers of {kind}")
    seen.must(len(secrets.runs) > 100_000, f"in {len(secrets.runs)} different runs of {RUN}; {secrets.passed_over} of fewer than {DIFFERENT} different numbers are passed over")
    return secrets


def plant(fabric, secrets):
    """Sends one run of each kind from node 1 to node 2 in the clear, the first in one packet, the others cut in two; the runs."""
    kinds = {}
    for run, (kind, _) in secrets.runs.items():
        kinds.setdefault(kind, run)
    pieces = []
    for number, run in enumerate(kinds.values()):
        # At an odd place.
        pieces += [b"\xa5" * 3 + run + b"\xa5"] if number == 0 else [b"\xa5" * 2 + run[:13], run[13:] + b"\xa5"]
    at = (address(2), str(PLANTED))
    receiver = subprocess.Popen([*fabric.inside(2), sys.executable, "-c", RECEIVER, *at], stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    subprocess.run([*fabric.inside(1), sys.executable, "-c", SENDER, *at, *(piece.hex() for piece in pieces)], check=True, timeout=30)
    got = bytes.fromhex(receiver.communicate(timeout=30)[0].strip())
    if got != b"".join(pieces):
        raise RuntimeError("what was planted arrived")
    return list(kinds.items())


def searched(network, clients, seen):
    """Questions and a repair, with every frame of the bridge taken; then the search."""
    secrets = secrets_of(network, clients, seen)
    path, hurt = network.folder / "frames", NODES[-1]
    capture = Capture(network.fabric, path)
    try:
        network.start()
        network.until_certified(2)
        clients.several(seen, network.gateways, 3, "each gateway answers")
        since = len(network.log(hurt))
        sealed = damage(network, hurt)
        wait_for_log(network, hurt, ALARM, since)
        wait_for_log(network, hurt, REPAIR, since)
        seen.must(network.ring(hurt).read_bytes() == sealed, f"a copy was damaged and repaired from another's, {seen.count('bytes of repaired copies', len(sealed))} bytes as they were sealed")
        clients.several(seen, network.gateways, 1, "each gateway answers")
        planted = plant(network.fabric, secrets)
        agree(network, clients, seen, 2 + len(clients.acknowledged) + 2)
        time.sleep(0.5)
        frames, lost = capture.stop()
    finally:
        capture.end()
    # So what is searched for are the very bits that pass from host to host.
    same = sum(floats(read_npy(only_file(a.folder / "out"))) == clients.pictures.answers[a.picture] for a in clients.acknowledged)
    seen.equal(same, len(clients.acknowledged), f"{same} answers are the unprotected network's, bit for bit")
    for answer in clients.acknowledged:
        secrets.add("values between layers", "an answer", read_npy(only_file(answer.folder / "out")))
    seen.must(frames > 0 and lost == 0, f"{frames} frames crossed the bridge, and each was taken")
    judge(Packets.read(path), secrets, planted, len(clients.acknowledged), seen)


def judge(packets, secrets, planted, questions, seen):
    wholes = [(stream, *stream.whole()) for stream in packets.streams]
    seen.equal((packets.strays, sum(missing for _, _, missing in wholes)), (0, 0), f"{len(wholes)} streams are whole, from their first byte on")
    for port, what, least in ((VALIDATORS, "between validators", 10_000), (HOSTS, "between hosts", questions * 28 * 28 * 4)):
        of = [(stream.nodes, len(data)) for stream, data, _ in wholes if port in stream.ports]
        pairs = {nodes for nodes, size in of if size > 0}
        size = sum(size for _, size in of)
        seen.must(len(pairs) == 12 and size > least, f"{what}: {size} bytes, in each direction between each two of four nodes")
    seen.equal([s.ports for s, _, _ in wholes if any(CLIENTS <= port < PLANTED for port in s.ports)], [], "nothing of a client crosses the bridge")
    seen.told(f"frames: {dict(packets.kinds)}")

    in_streams, elsewhere, bytes_searched = Counter(), [], 0
    for stream, data, _ in wholes:
        bytes_searched += len(data)
        for at, what in secrets.search(data).items():
            if PLANTED in stream.ports:
                in_streams[what[0]] += 1
            else:
                elsewhere.append((stream.ports, at, what))
    seen.equal(dict(in_streams), {kind: 1 for kind, _ in planted}, "in the streams each run is found that was sent in the clear, once, of each kind")
    seen.equal(elsewhere[:5], [], f"and nothing else in {seen.count('bytes searched', bytes_searched)} bytes of streams")

    in_packets, elsewhere, bytes_searched = Counter(), [], 0
    for frame in packets.all:
        bytes_searched += len(frame)
        for at, what in secrets.search(frame).items():
            if struct.pack(">H", PLANTED) in frame[34:38]:
                in_packets[what[0]] += 1
            else:
                elsewhere.append((at, what))
    seen.equal(dict(in_packets), {planted[0][0]: 1}, "packet by packet the one is found that was sent in one packet")
    seen.equal(elsewhere[:5], [], f"and nothing else in {seen.count('bytes searched', bytes_searched)} bytes of frames")
