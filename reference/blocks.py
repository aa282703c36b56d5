"""Opening a block, and the manifest: FORMAT.md, sections 10 and 11."""

from blake3 import blake3

from crypto import derive, gcm_open, hpke_open
from encoding import Reader, u32, u64
from findings import TAMPERED
from rules import Refused

def recipients_of(header, key):
    return [r for r in header.recipients if (r.role, r.public) == (key.role, key.public)]

def is_for(ring, header, key):
    used = [ring.headers[block] for block in header.shared_blocks()]
    return all(recipients_of(h, key) for h in [header] + used)

def open_block(ring, index, key, about, kept=None):
    """Opens a block; what is refused is a finding about block `about`: this one, or one that shares it. Whether it
    opened: it does not either if it is not for this key, which is no finding. kept: takes the plaintext, paddings left out."""
    header = ring.headers[index]
    mine = recipients_of(header, key)                                # step 1
    if not mine:
        return False
    try:                                                             # step 2
        block_key = unwrap(header, mine[0], key)
    except Refused as e:
        ring.add(TAMPERED, about, "header", f"the block key: {e}")
        return False
    return open_body(ring, index, block_key, key, about, kept)

def unwrap(header, recipient, key):
    info = b"deepring v1 wrap block key\0" + header.ring_id + u32(header.index)
    block_key = hpke_open(key.x25519, recipient.enc, info, key.public, recipient.wrapped)
    if derive("deepring v1 block key commitment", block_key) != header.commitment:
        raise Refused("is not the one that the header commits to")
    return block_key

def open_body(ring, index, block_key, key, about, kept=None):
    """Steps 3 to 5 of §10, over chunks whose hashes fit. The plaintext goes through the digest, and into memory where it is wanted."""
    header = ring.headers[index]
    cipher_key = derive("deepring v1 chunk encryption key", block_key)
    content = blake3(key=derive("deepring v1 content digest key", block_key))
    aad = header.ring_id + u64(header.version) + u32(header.index) + bytes(4)
    body, done, part_before = ring.closure.bodies_at[index], 0, None
    for number, part, at, length in header.each_chunk():
        if part is not part_before:
            content.update(bytes(part.offset - done))                # the padding
            done, part_before = part.offset, part
        nonce = number.to_bytes(11, "big") + bytes([number == len(header.chunks) - 1])
        try:
            plaintext = gcm_open(cipher_key, nonce, aad, ring.file.read(body + at, length))
        except Refused as e:
            ring.add(TAMPERED, about, "body", str(e), part.name(), (body + at, body + at + length))
            return False
        content.update(plaintext)
        if kept is not None:
            kept += plaintext
        done += len(plaintext)
    for block in header.shared_blocks():
        if not open_block(ring, block, key, about):
            return False
        content.update(ring.headers[block].content)
    if content.digest() != header.content:
        ring.add(TAMPERED, about, "body", "the content digest does not fit")
        return False
    return True

def read_manifest(data):
    r = Reader(data)
    manifest = {"model": r.string(), "producer": r.string(), "opset": r.u64(), "preprocess": r.string(),
                "labels": r.list(2 ** 20, 2, r.string)}
    r.end()
    return manifest
