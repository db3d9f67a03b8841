"""BLAKE3 as its specification has it, apart from the program's own: what checksums are compared with."""

import struct

IV = struct.unpack("<8I", bytes.fromhex("67e6096a85ae67bb72f36e3c3af54fa57f520e518c68059babd9831f19cde05b"))
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, BLOCK, MASK = 1024, 64, 0xFFFFFFFF


def compress(chaining, words, counter, length, flags):
    """The chaining value of a block."""
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    words = list(words)
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(COLUMNS + DIAGONALS):
            for word, left, right in ((words[2 * n], 16, 12), (words[2 * n + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & MASK
                x = v[d] ^ v[a]
                v[d] = (x >> left | x << 32 - left) & MASK
                v[c] = (v[c] + v[d]) & MASK
                x = v[b] ^ v[c]
                v[b] = (x >> right | x << 32 - right) & MASK
        words = [words[n] for n in ORDER]
    return [v[n] ^ v[n + 8] for n in range(8)]


def chunk(data, counter, root):
    chaining = IV
    blocks = range(0, max(len(data), 1), BLOCK)
    for at in blocks:
        block = data[at : at + BLOCK]
        flags = CHUNK_START * (at == 0) | (CHUNK_END | root) * (at == blocks[-1])
        words = struct.unpack("<16I", block.ljust(BLOCK, b"\0"))
        chaining = compress(chaining, words, counter, len(block), flags)
    return chaining


def tree(data, counter, root):
    if len(data) <= CHUNK:
        return chunk(data, counter, root)
    left = CHUNK << ((len(data) - 1) // CHUNK).bit_length() - 1
    words = tree(data[:left], counter, 0) + tree(data[left:], counter + left // CHUNK, 0)
    return compress(IV, words, 0, BLOCK, PARENT | root)


def blake3(data):
    """The digest of bytes, in hex."""
    return struct.pack("<8I", *tree(data, 0, ROOT)).hex()
