"""Four network namespaces with addresses of their own on a bridge in a fifth, and what is let through between them.

The bridge stands in a namespace of its own, so that nothing of it touches the machine's own network, and all of it is gone with the namespaces."""

import json
import os
import signal
import subprocess

NODES = (1, 2, 3, 4)
VALIDATORS, HOSTS, CLIENTS = 4100, 4101, 4102


def tool(*words, **more):
    """Runs a tool of the system, which must succeed; what it printed."""
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, **more)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {ran.stderr.strip() or ran.returncode}")
    return ran.stdout


def address(n):
    return f"10.77.0.{n}"


def end_process(number):
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Fabric:
    """The namespaces, the bridge, and the rules between nodes."""

    def __init__(self, name=None):
        # Two of these programs at a time are in each other's way nowhere.
        self.name = name or f"dr{os.getpid()}"
        self.made = []

    def space(self, n):
        return f"{self.name}-{n}"

    @property
    def hub(self):
        return f"{self.name}-hub"

    def inside(self, n):
        """What a command begins with to run in a node's namespace. It becomes that command, with its process number."""
        return ["ip", "netns", "exec", self.space(n)]

    def make(self):
        self._add(self.hub)
        tool("ip", "-n", self.hub, "link", "add", "bridge", "type", "bridge")
        tool("ip", "-n", self.hub, "link", "set", "bridge", "up")
        for n in NODES:
            space = self.space(n)
            self._add(space)
            tool("ip", "-n", self.hub, "link", "add", f"port{n}", "type", "veth", "peer", "name", "eth0", "netns", space)
            tool("ip", "-n", self.hub, "link", "set", f"port{n}", "master", "bridge", "up")
            tool("ip", "-n", space, "addr", "add", f"{address(n)}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                tool("ip", "-n", space, "link", "set", link, "up")

    def _add(self, space):
        tool("ip", "netns", "add", space)
        self.made.append(space)

    def end(self):
        """Ends whatever still runs in the namespaces, and removes them; the first error is raised after all was tried."""
        failed = None
        while self.made:
            space = self.made.pop()
            try:
                for process in tool("ip", "netns", "pids", space).split():
                    end_process(int(process))
                tool("ip", "netns", "del", space)
            except RuntimeError as error:
                failed = failed or error
        if failed:
            raise failed

    # What is let through. Each rule counts what it drops, so that a test sees that there was something to drop.

    def _rules(self, n, rules):
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0; policy accept; {' '.join(r + ';' for h, r in rules if h == hook)} }}\n"
            for hook in ("input", "output")
        )
        self.heal(n)
        tool(*self.inside(n), "nft", "-f", "-", input=f"table ip wire {{\n{chains}}}\n")

    def split(self, *sides):
        """Nothing passes from a node of one side to one of another."""
        for side in sides:
            others = [n for other in sides if other is not side for n in other]
            drops = [("input", f"ip saddr {address(o)} counter drop") for o in others]
            drops += [("output", f"ip daddr {address(o)} counter drop") for o in others]
            for n in side:
                self._rules(n, drops)

    def lose(self, percent):
        """That many of a hundred packets that reach a node are lost, drawn at random."""
        for n in NODES:
            self._rules(n, [("input", f'iifname "eth0" numgen random mod 100 < {percent} counter drop')])

    def close(self, n, port):
        """A node hears nothing at that port, and no answer from another's."""
        self._rules(n, [(hook, f"tcp {side} {port} counter drop") for hook in ("input", "output") for side in ("sport", "dport")])

    def heal(self, *nodes):
        for n in nodes or NODES:
            # There may be none.
            subprocess.run([*self.inside(n), "nft", "delete", "table", "ip", "wire"], capture_output=True, timeout=60)

    def dropped(self, *nodes):
        """Packets that the rules in force have dropped."""
        packets = 0
        for n in nodes or NODES:
            for item in json.loads(tool(*self.inside(n), "nft", "-j", "list", "table", "ip", "wire"))["nftables"]:
                for step in item.get("rule", {}).get("expr", ()):
                    packets += step.get("counter", {}).get("packets", 0)
        return packets


def in_memory(folder, megabytes):
    """Makes a folder's files lie in memory, of a bounded size together."""
    tool("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "none", folder)


def unmount(folder):
    """Lets it go at once, with what is mounted below it, also where somebody still has a file open."""
    subprocess.run(["umount", "--recursive", "--lazy", str(folder)], capture_output=True, timeout=60)


def lacking():
    """Why these tests cannot be had here, in a sentence; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = Fabric(f"dr{os.getpid()}p")
    try:
        probe.make()
        probe.split([1, 2], [3, 4])
        probe.lose(20)
    except (OSError, RuntimeError) as error:
        return f"network namespaces, a bridge or nftables cannot be had ({error})"
    finally:
        probe.end()
    return None
