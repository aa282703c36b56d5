"""How fields are written: FORMAT.md, section 3."""

from rules import Refused, require

ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

class Reader:
    """Takes fields off bytes, never beyond their end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, n):
        if n > len(self.data) - self.at:
            raise Refused(f"ends inside a field of {n} bytes")
        self.at += n
        return bytes(self.data[self.at - n:self.at])

    def number(self, size):
        return int.from_bytes(self.raw(size), "little")

    def u8(self): return self.number(1)
    def u16(self): return self.number(2)
    def u32(self): return self.number(4)
    def u64(self): return self.number(8)

    def string(self):
        n = self.u16()
        require("a string has at most 4096 bytes", n <= 4096)
        try:
            return self.raw(n).decode("utf-8")                       # strict: no overlong forms, no surrogates
        except UnicodeDecodeError:
            raise Refused("a string that is not UTF-8") from None

    def bytes(self, limit):
        n = self.u32()
        if n > limit:
            raise Refused(f"a field of {n} bytes")
        return self.raw(n)


    def list(self, limit, smallest, item):
        """`item` reads one element, which takes at least `smallest` bytes."""
        n = self.u32()
        if n > limit or n * smallest > len(self.data) - self.at:
            raise Refused(f"a list of {n}")
        return [item() for _ in range(n)]

    def end(self):
        require("nothing follows the last field", self.at == len(self.data))

def u16(n): return n.to_bytes(2, "little")
def u32(n): return n.to_bytes(4, "little")
def u64(n): return n.to_bytes(8, "little")
def string(text): return u16(len(text.encode())) + text.encode()
def listed(items): return u32(len(items)) + b"".join(items)
