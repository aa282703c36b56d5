"""The files of a ring of weights: FORMAT.md, section 25."""

from collections import namedtuple

from encoding import Reader
from header import PARAMETER
from rules import Refused, require

OTHER, SAFETENSORS, GGUF = range(3)                                  # kinds of files
ZEROS, BYTES, TENSOR, MORE = range(4)                                # kinds of extents
U8 = 2
LONGEST_MANIFEST, LONGEST_HEADER = 2 ** 28, 2 ** 27

File = namedtuple("File", "path kind size digest sha256 extents")
Extent = namedtuple("Extent", "kind zeros digest")

def read_extent(r):
    kind = r.u8()
    if kind not in (ZEROS, BYTES, TENSOR, MORE):
        raise Refused(f"an extent of kind {kind}")
    zeros = r.u16() if kind == ZEROS else 0
    require("zeros are some", kind != ZEROS or zeros)
    return Extent(kind, zeros, r.raw(32) if kind == TENSOR else None)

def check_path(path):
    names = path.split("/")
    require("a path has 1 to 1024 bytes, a name in it at most 255",
            0 < len(path.encode()) <= 1024 and all(len(name.encode()) <= 255 for name in names))
    require("a path has no control character, backslash or colon",
            not any(c in "\\:" or c < " " or "\x7f" <= c <= "\x9f" for c in path))
    require("no name in a path is empty", not path or all(names))
    require("no name in a path ends with a dot or a space", not any(name.endswith((".", " ")) for name in names))

def check_order(file):
    """What a file's kind says of its extents, and they of each other."""
    kinds = [extent.kind for extent in file.extents]
    require("a file of tensors begins with its header", file.kind == OTHER or kinds[:1] == [BYTES])
    require("another file has bytes alone", file.kind != OTHER or all(kind == BYTES for kind in kinds))
    require("safetensors has tensors alone behind its header",
            file.kind != SAFETENSORS or all(kind in (TENSOR, MORE) for kind in kinds[1:]))
    for before, kind in zip([None] + kinds, kinds):
        require("no zeros behind zeros", (before, kind) != (ZEROS, ZEROS))
        require("more stands behind a tensor", kind != MORE or before in (TENSOR, MORE))

def read_file(r, left):
    """left: how many extents the files before have left."""
    path = r.string()
    check_path(path)
    kind = r.u8()
    require("a file is of three kinds", kind in (OTHER, SAFETENSORS, GGUF))
    file = File(path, kind, r.u64(), r.raw(32), r.raw(32), r.list(left[0], 1, lambda: read_extent(r)))
    left[0] -= len(file.extents)
    check_order(file)
    return file

def folded(path):
    """With ASCII letters of one case."""
    return "".join(c.lower() if c.isascii() else c for c in path)

def check_unique(paths):
    in_bytes = [path.encode() for path in paths]
    require("paths ascend", in_bytes == sorted(set(in_bytes)) or len(set(in_bytes)) < len(in_bytes))
    known = [folded(path) for path in paths]
    require("paths differ in more than case", len(set(known)) == len(known))
    known = set(known)
    for path in known:
        names = path.split("/")
        require("no path is another's folder", not any("/".join(names[:n]) in known for n in range(1, len(names))))

def read_weights_manifest(data):
    """The model's name and its files."""
    r, left = Reader(data), [2 ** 22]
    name, files = r.string(), r.list(2 ** 16, 80, lambda: read_file(r, left))
    r.end()
    if not files:
        raise Refused("a ring of weights without a file")
    check_unique([file.path for file in files])
    return name, files

def check_fit(files, headers):
    """Gives each extent its part: those of the blocks behind Genesis, in order."""
    parts = [part for header in headers[1:] for part in header.parts]
    due = sum(extent.kind != ZEROS for file in files for extent in file.extents)
    require("each part is an extent, and each extent a part", due == len(parts))
    parts = iter(parts)
    for file in files:
        size, names, before = 0, set(), None
        for place, extent in enumerate(file.extents):
            if extent.kind == ZEROS:
                size += extent.zeros
                continue
            part = next(parts)
            name, element, dims = part.spec
            if place == 0 and file.kind != OTHER and part.length > LONGEST_HEADER:
                raise Refused("a file's own header of more than 2^27 bytes")
            require("bytes are called by their file", extent.kind != BYTES or name == file.path)
            require("bytes are u8 of one dimension", extent.kind != BYTES or (element, len(dims)) == (U8, 1))
            require("a file has one tensor of a name", extent.kind != TENSOR or name not in names)
            require("more is of the tensor before it",
                    extent.kind != MORE or dims and (name, element, dims[1:]) == before)
            if extent.kind == TENSOR:
                names.add(name)
            before = name, element, dims[1:] if dims else None
            size += part.length
        require("a file has the size of its extents", size == file.size)

def check_manifest(data, headers):
    if any(part.kind != PARAMETER for header in headers[1:] for part in header.parts):
        raise Refused("a part that is no parameter")
    check_fit(read_weights_manifest(data)[1], headers)
