"""What was seen: one line for each thing that must be so, and a total."""

import time
from collections import Counter


class NotSo(Exception):
    """Something that must be so is not."""


class Seen:
    def __init__(self):
        self.things, self.counts, self.began = 0, Counter(), time.monotonic()

    def must(self, holds, what):
        """Prints what is so; ends the scenario where it is not."""
        if not holds:
            raise NotSo(what)
        self.things += 1
        print(f"seen: {what}", flush=True)

    def equal(self, found, expected, what):
        """As `must`, of two values, with both where they differ."""
        self.must(found == expected, what if found == expected else f"{what}: {found!r}, and not {expected!r}")

    def count(self, what, number):
        """Adds to what was compared or searched, and gives the number back for the line that says so."""
        self.counts[what] += number
        return number

    def told(self, what):
        """Prints what is worth knowing and no verdict."""
        print(f"      {what}", flush=True)

    def seconds(self):
        return time.monotonic() - self.began
