"""Everything that crosses the bridge: taken by a process in the bridge's namespace, read back packet by packet and stream by stream.

As a program, `python3 capture.py LINK FILE`, it takes all frames of a link until it is told to stop (SIGTERM), and prints how many there
were, and how many the system could not hand over."""

import json
import signal
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field

ETH_P_ALL, SO_RCVBUFFORCE = 3, 33
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_STATISTICS, PACKET_MR_PROMISC = 263, 1, 6, 1
LARGEST = 1 << 17


def take(link, path):
    stopped = []
    taken = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    taken.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    taken.bind((link, 0))
    # So that the bridge hands over, too, what it passes on from one port to another.
    request = struct.pack("iHH8s", socket.if_nametoindex(link), PACKET_MR_PROMISC, 0, b"")
    taken.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
    taken.settimeout(0.2)
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    frames = 0
    with open(path, "wb") as file:
        print("taking", flush=True)
        while True:
            try:
                frame = taken.recv(LARGEST)
            except TimeoutError:
                if stopped:
                    break
                continue
            file.write(struct.pack("<I", len(frame)) + frame)
            frames += 1
    _, dropped = struct.unpack("II", taken.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    print(json.dumps({"frames": frames, "dropped": dropped}), flush=True)


class Capture:
    """A process that takes all frames of the bridge."""

    def __init__(self, fabric, path):
        self.path = path
        words = ["ip", "netns", "exec", fabric.hub, sys.executable, __file__, "bridge", path]
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "taking":
            raise RuntimeError("the bridge's frames cannot be taken")

    def stop(self):
        """Frames that were taken, and those that were lost."""
        self.process.send_signal(signal.SIGTERM)
        said = json.loads(self.process.communicate(timeout=30)[0])
        return said["frames"], said["dropped"]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


def frames(path):
    with open(path, "rb") as file:
        while head := file.read(4):
            yield file.read(struct.unpack("<I", head)[0])


@dataclass
class Stream:
    """One direction of one TCP connection."""

    ports: tuple
    nodes: tuple
    begin: int
    pieces: dict = field(default_factory=dict)

    def add(self, sequence, payload):
        at = (sequence - self.begin - 1) & 0xFFFFFFFF
        # A sign of life has a sequence number before what was sent.
        if at < 1 << 31 and len(payload) > len(self.pieces.get(at, b"")):
            self.pieces[at] = payload

    def whole(self):
        """The bytes in their order, and how many are missing."""
        out, missing = bytearray(), 0
        for at in sorted(self.pieces):
            payload, have = self.pieces[at], len(out) + missing
            if at > have:
                missing += at - have
                have = at
            out += payload[have - at :]
        return bytes(out), missing


@dataclass
class Packets:
    """What was taken: each packet's bytes, and the streams."""

    all: list = field(default_factory=list)
    streams: list = field(default_factory=list)
    kinds: dict = field(default_factory=lambda: defaultdict(int))
    strays: int = 0

    @classmethod
    def read(cls, path):
        packets, open_now = cls(), {}
        for frame in frames(path):
            packets.all.append(frame)
            kind = struct.unpack_from(">H", frame, 12)[0]
            if kind != 0x0800:
                packets.kinds[f"ethertype {kind:04x}"] += 1
                continue
            protocol = frame[23]
            packets.kinds[{6: "TCP", 17: "UDP", 1: "ICMP"}.get(protocol, f"protocol {protocol}")] += 1
            if protocol == 6:
                packets._tcp(frame, 14 + (frame[14] & 0x0F) * 4, open_now)
        return packets

    def _tcp(self, frame, at, open_now):
        end = 14 + struct.unpack_from(">H", frame, 16)[0]
        ports = struct.unpack_from(">HH", frame, at)
        sequence, flags = struct.unpack_from(">I", frame, at + 4)[0], frame[at + 13]
        payload = frame[at + (frame[at + 12] >> 4) * 4 : end]
        key = (frame[26:30], frame[30:34], ports)
        if flags & 0x02:
            known = open_now.get(key)
            if known is None or known.begin != sequence:
                open_now[key] = Stream(ports, (frame[29], frame[33]), sequence)
                self.streams.append(open_now[key])
        elif key in open_now:
            if payload:
                open_now[key].add(sequence, payload)
        elif payload:
            self.strays += 1


if __name__ == "__main__":
    take(*sys.argv[1:])
