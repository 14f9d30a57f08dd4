#!/usr/bin/env python3
"""A second verifier of an exported disclosure log, with nothing of ours in it.

Written from the public texts alone: RFC 6962 (hashes, proofs), RFC 9162 section 2.1.3.2 (checking a proof), RFC 8032
section 5.1.7 (Ed25519), and C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature and tlog-proof; and from
docs/log-format.md for what a leaf is. The standard library only.

    verify.py DIR --key FILE [--since FILE]

FILE after --key holds the log's verifier key; after --since, a checkpoint that was seen before. Exit 0 if everything
is as it should be; 1, with a reason, if not.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

# --- Ed25519, RFC 8032 section 5.1 -------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def add(a, b):
    """Points in extended homogeneous coordinates (X, Y, Z, T)."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def x_of(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def point(encoded):
    number = int.from_bytes(encoded, "little")
    y = number & (2**255 - 1)
    x = x_of(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verifies(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = point(key), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


# --- Merkle trees, RFC 6962 section 2.1 --------------------------------------------------------------------------


class Wrong(Exception):
    """What is not as it should be."""


def check(holds, problem):
    if not holds:
        raise Wrong(problem)


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """Hashes of complete subtrees, level by level."""

    def __init__(self, leaves):
        self.levels = [list(leaves)]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([node_hash(*below[i : i + 2]) for i in range(0, len(below) - 1, 2)])

    def root(self, size):
        """MTH of the first `size` leaves."""
        result, start = None, []
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                start.append(self.levels[level][(size >> level) - 1])
        for part in reversed(start):
            result = part if result is None else node_hash(part, result)
        return hashlib.sha256(b"").digest() if result is None else result


def included(leaf, index, size, root, proof):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(sibling, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


# --- Notes and checkpoints, C2SP ---------------------------------------------------------------------------------


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong("not base64") from error
    check(base64.b64encode(data).decode() == text, "not base64 in its one spelling")
    return data


def decimal(text):
    check(text.isascii() and text.isdigit() and str(int(text)) == text, "not a decimal number")
    return int(text)


class Key:
    """A verifier key: `name+id+base64(type || key)`."""

    def __init__(self, text, kind):
        parts = text.split("+", 2)
        check(len(parts) == 3, "not a verifier key")
        self.name, data = parts[0], unbase64(parts[2])
        check(len(data) == 33 and data[0] == kind, "not an Ed25519 key of this type")
        self.bytes = data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        check(parts[1] == self.id.hex(), "the id of a key is wrong")


class Checkpoint:
    """A note whose first signature is the log's."""

    def __init__(self, note, key):
        text, end, signatures = note.rpartition("\n\n")
        check(end and signatures.endswith("\n"), "not a signed note")
        self.body = text + "\n"
        lines = self.body.split("\n")
        check(len(lines) == 4 and lines[0] == key.name, "not a checkpoint of this log")
        self.size, self.root = decimal(lines[1]), unbase64(lines[2])
        check(len(self.root) == 32, "a root has 32 bytes")
        self.signatures = []
        for line in signatures[:-1].split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, signature = rest.partition(" ")
            check(dash == "—", "not a signature line")
            signature = unbase64(signature)
            self.signatures.append((name, signature[:4], signature[4:]))
        name, key_id, signature = self.signatures.pop(0)
        check((name, key_id) == (key.name, key.id), "signed by another key")
        check(ed25519_verifies(key.bytes, self.body.encode(), signature), "the log's signature does not verify")

    def cosigned_by(self, witnesses):
        """Names and times of its cosignatures, each of which is one of `witnesses`."""
        for name, key_id, signature in self.signatures:
            time = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {time}\n{self.body}".encode()
            known = [key for key in witnesses if (key.name, key.id) == (name, key_id)]
            check(
                time < 2**63 and any(ed25519_verifies(key.bytes, message, signature[8:]) for key in known),
                f"the cosignature of {name} does not verify",
            )
            yield name, time


# --- The export --------------------------------------------------------------------------------------------------


def tile_path(level, number, width):
    groups = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < 256 else "")


class Export:
    """The folder, and which of its files were looked at."""

    def __init__(self, folder):
        self.folder, self.seen = pathlib.Path(folder), set()

    def read(self, name):
        self.seen.add(name)
        path = self.folder / name
        check(path.is_file() and not path.is_symlink(), f"{name} is missing")
        return path.read_bytes()

    def text(self, name):
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise Wrong(f"{name} is not UTF-8") from error

    def all(self):
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir()}


def stub(line):
    """What is kept of a pruned leaf, and its hash; `None` for a leaf that is whole."""
    if not line.startswith(b'{"kept":{'):
        return None
    try:
        fields = json.loads(line)
        check(set(fields) == {"kept", "pruned"}, "a stub has other fields")
        check(len(fields["pruned"]) == 64, "a stub has no hash")
        return fields["kept"], bytes.fromhex(fields["pruned"])
    except (ValueError, TypeError) as error:
        raise Wrong("a stub is not one") from error


def read_leaves(data):
    """Hash and statement of each line, after checking that the log vouches for what is left of pruned ones."""
    check(not data or data.endswith(b"\n"), "leaves.jsonl does not end with a line feed")
    hashes, facts, digest, stated, pruned = [], [], hashlib.sha256(), None, False
    for index, line in enumerate(data.split(b"\n")[:-1]):
        left = stub(line)
        if left:
            pruned = True
            digest.update(f"{index} ".encode() + line + b"\n")
            facts.append(left[0])
            hashes.append(left[1])
            continue
        try:
            facts.append(json.loads(line))
        except ValueError as error:
            raise Wrong(f"line {index + 1} is not JSON") from error
        hashes.append(leaf_hash(line))
        if facts[-1].get("kind") == "prune":
            stated = facts[-1]["pruned_sha256"]
    vouched = stated == "sha256:" + digest.hexdigest() if pruned or stated else True
    return hashes, facts, vouched


def check_tiles(export, tree, lines, size):
    level = 0
    while size >> (8 * level):
        width = size >> (8 * level)
        for number in range((width + 255) // 256):
            hashes = tree.levels[8 * level][256 * number : min(256 * number + 256, width)]
            name = tile_path(level, number, len(hashes))
            check(export.read(name) == b"".join(hashes), f"{name} is not what the leaves give")
        level += 1
    for number in range((size + 255) // 256):
        bundle = lines[256 * number : 256 * number + 256]
        if any(stub(line) for line in bundle):
            continue
        name = tile_path("entries", number, len(bundle))
        entries = b"".join(len(line).to_bytes(2, "big") + line for line in bundle)
        check(export.read(name) == entries, f"{name} is not what the leaves give")


def check_witnesses(export, key, tree, facts):
    """The cosigned checkpoints are those of the leaves, by who was a witness then."""
    witnesses, notes = {}, {}
    for index, fact in enumerate(facts):
        if fact.get("kind") == "witness" and fact["act"] == "register":
            witnesses[fact["witness"]] = Key(fact["vkey"], 4)
        elif fact.get("kind") == "witness":
            del witnesses[fact["witness"]]
        elif fact.get("kind") == "cosignature":
            checkpoint = Checkpoint(fact["checkpoint"], key)
            check(checkpoint.size <= index, "a checkpoint of leaves to come")
            check(tree.root(checkpoint.size) == checkpoint.root, "a cosigned checkpoint is not of this log")
            by = list(checkpoint.cosigned_by([witnesses[fact["witness"]]]))
            check(by == [(fact["witness"], fact["time"])], "a leaf tells of another cosignature")
            own, _, line = fact["checkpoint"].rstrip("\n").rpartition("\n")
            notes.setdefault(checkpoint.size, own + "\n")
            notes[checkpoint.size] += line + "\n"
    for size, note in notes.items():
        check(export.text(f"cosigned/{size}") == note, f"cosigned/{size} is not what the leaves give")
    return notes


def check_proofs(export, key, hashes, facts, newest, notes):
    checked = {}
    for index, fact in enumerate(facts):
        if fact.get("kind") != "release":
            continue
        name = f"proofs/{index}.tlog-proof"
        head, _, note = export.text(name).partition("\n\n")
        lines = head.split("\n")
        check(lines[:2] == ["c2sp.org/tlog-proof@v1", f"index {index}"], f"{name} is not the proof of its leaf")
        # The newest checkpoint that witnesses vouch for, where it covers the leaf; else the newest.
        covering = max((size for size in notes), default=0)
        expected = notes[covering] if covering > index else newest
        check(note == expected, f"{name} has another checkpoint")
        if note not in checked:
            checked[note] = Checkpoint(note, key)
        proof = [unbase64(line) for line in lines[2:]]
        check(
            included(hashes[index], index, checked[note].size, checked[note].root, proof),
            f"{name} does not prove its leaf",
        )


def verify(folder, vkey, since=None):
    key = Key(vkey, 1)
    export = Export(folder)
    check(export.read("vkey") == vkey.encode() + b"\n", "vkey is another key")
    note = export.text("checkpoint")
    checkpoint = Checkpoint(note, key)
    check(not checkpoint.signatures, "checkpoint has another signature than the log's")
    data = export.read("leaves.jsonl")
    hashes, facts, vouched = read_leaves(data)
    tree = Tree(hashes)
    check(len(hashes) == checkpoint.size, "the checkpoint is of another number of leaves")
    check(tree.root(checkpoint.size) == checkpoint.root, "the leaves are not those that the checkpoint signs")
    check(vouched, "what is kept of pruned leaves is not what the log vouches for")
    check_tiles(export, tree, data.split(b"\n")[:-1], checkpoint.size)
    notes = check_witnesses(export, key, tree, facts)
    check_proofs(export, key, hashes, facts, note, notes)
    check(export.all() == export.seen, f"files that do not belong: {sorted(export.all() - export.seen)}")
    if since is not None:
        earlier = Checkpoint(since, key)
        check(earlier.size <= checkpoint.size, "the log was rolled back")
        check(tree.root(earlier.size) == earlier.root, "the log was rewritten")
    return checkpoint


def main():
    parser = argparse.ArgumentParser(description="Verify an exported disclosure log.")
    parser.add_argument("folder", nargs="+")
    parser.add_argument("--key", required=True)
    parser.add_argument("--since")
    given = parser.parse_args()
    vkey = pathlib.Path(given.key).read_text(encoding="utf-8").strip()
    since = pathlib.Path(given.since).read_text(encoding="utf-8") if given.since else None
    failed = False
    for folder in given.folder:
        try:
            checkpoint = verify(folder, vkey, since)
            print(f"{folder}: verified: {checkpoint.size} leaves, root {checkpoint.root.hex()}")
        except (Wrong, KeyError, IndexError, TypeError, AttributeError) as wrong:
            failed = True
            print(f"{folder}: not verified: {wrong}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
