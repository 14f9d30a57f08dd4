"""The log's key, and checkpoints that it signed: C2SP signed-note and tlog-checkpoint, with Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from enclave_client.errors import NotVerified

#: Signed-note's identifier of Ed25519.
_ED25519 = b"\x01"


def unbase64(text: str) -> bytes | None:
    """Standard Base64 in its one spelling; None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


@dataclass(frozen=True)
class LogKey:
    """A verifier key of signed notes, written ``NAME+HASH+KEY``."""

    #: Name of the log.
    name: str
    #: The Ed25519 public key, 32 bytes.
    key: bytes

    @staticmethod
    def parse(text: str) -> LogKey:
        """Reads a verifier key. Raises ``ValueError`` for any other text, and for another spelling of a key."""
        name, plus, rest = text.partition("+")
        data = unbase64(rest.partition("+")[2])
        plain = name and plus and not any(c.isspace() or not c.isprintable() for c in name)
        if plain and data and len(data) == 33 and data[:1] == _ED25519:
            key = LogKey(name, data[1:])
            if str(key) == text:
                return key
        raise ValueError("not an Ed25519 verifier key of the form `NAME+HASH+KEY`, nor a file that holds one")

    @staticmethod
    def read(key: str | os.PathLike[str]) -> LogKey:
        """The key itself, or the path of a file that holds it. Raises ``ValueError`` or ``OSError``.

        A text that is no key is a path, if there is a file of that name.
        """
        if isinstance(key, str):
            try:
                return LogKey.parse(key.strip())
            except ValueError:
                if not os.path.isfile(key):
                    raise
        return LogKey.parse(Path(key).read_text(encoding="utf-8").strip())

    @property
    def id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ line feed ‖ type ‖ key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"


@dataclass(frozen=True)
class Checkpoint:
    """Size and root of the log, as its key signed them."""

    origin: str
    size: int
    root: bytes

    @staticmethod
    def verified(note: str, key: LogKey) -> Checkpoint:
        """Reads a signed note of which every byte counts: its one signature is the key's."""
        head, gap, tail = note.rpartition("\n\n")
        if not gap or not tail.endswith("\n"):
            raise NotVerified("the checkpoint is not a signed note")
        body, lines = head + "\n", tail[:-1].split("\n")
        own = _signature(lines[0])
        if own is None:
            raise NotVerified("the checkpoint is not a signed note")
        name, key_id, signature = own
        if (name, key_id) != (key.name, key.id):
            raise NotVerified(f"the checkpoint is not signed by the key of `{key.name}`")
        try:
            Ed25519PublicKey.from_public_bytes(key.key).verify(signature, body.encode())
        except (InvalidSignature, ValueError) as error:
            raise NotVerified("the checkpoint: the signature does not verify") from error
        if len(lines) != 1:
            raise NotVerified("the checkpoint has another signature than the log's")
        return Checkpoint._stated(body, key)

    @staticmethod
    def _stated(body: str, key: LogKey) -> Checkpoint:
        parts = body.split("\n")
        if len(parts) == 4 and parts[0] == key.name and parts[1].isascii() and parts[1].isdigit():
            size, root = int(parts[1]), unbase64(parts[2])
            if str(size) == parts[1] and root is not None and len(root) == 32:
                return Checkpoint(key.name, size, root)
        raise NotVerified("the checkpoint does not state origin, size and root")


def _signature(line: str) -> tuple[str, bytes, bytes] | None:
    """Name, key id and signature of a line ``— NAME BASE64``."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = unbase64(encoded)
    if dash != "—" or data is None or len(data) < 4:
        return None
    return name, data[:4], data[4:]
