"""Checks a receipt with nothing but the key of the log: no server, no trust in whoever holds it.

What it shows: this release stands in the log at this place, was paid for by this question, at this price and under
these rules, and its table has this digest. The format is in ``docs/log-format.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enclave_client.errors import NotVerified
from enclave_client.notes import Checkpoint, LogKey, unbase64

_FORMAT = "enclave-receipt/1"
_RELEASE_TERMS = {
    "memorandum": "memorandum",
    "contract": "contract",
    "snapshot": "snapshot",
    "question": "question",
    "released": "at",
    "mechanism": "mechanism",
    "scales": "scales",
}
_QUESTION_TERMS = {
    "contract_version": "contract_version",
    "rules": "rules",
    "purpose": "purpose",
    "person": "person",
    "asked": "at",
    "rho_micro": "rho_micro",
    "epsilon_micro": "epsilon_micro",
    "threshold_delta": "threshold_delta",
}
_RESULT = ("sha256", "table_sha256")


@dataclass(frozen=True)
class Verified:
    """What a receipt shows, after it was checked."""

    #: Name of the log.
    origin: str
    #: Index of the release in the log.
    index: int
    #: Number of leaves that the checkpoint signs.
    size: int
    #: What the leaf of the release states.
    release: dict[str, Any]
    #: What the leaf of the question states; None where its words were pruned before the receipt was made.
    question: dict[str, Any] | None
    #: Whether a table was compared with the receipt, and is the one that was released. Names of columns are the
    #: asker's own words, and no part of the comparison.
    table: bool = False

    @property
    def rho(self) -> float | None:
        """The price in ρ, as the question's leaf states it."""
        micro = (self.question or {}).get("rho_micro")
        return micro / 1_000_000 if isinstance(micro, int) else None

    @property
    def table_sha256(self) -> str | None:
        """``sha256:…`` of the table as CSV without its header; None where the release was recorded without."""
        found = self.release.get("table_sha256")
        return found if isinstance(found, str) else None


def verify_receipt(receipt: Mapping[str, Any] | str, public_key: str | os.PathLike[str]) -> Verified:
    """Checks everything that a receipt says, offline.

    ``receipt`` is the receipt or its JSON; ``public_key`` is the log's key ``NAME+HASH+KEY``, or the path of a file
    that holds it. Take the key from somewhere else than the receipt: from the board, or the steward.

    Raises ``NotVerified`` where anything in it does not hold, ``ValueError`` where the key is none.
    """
    key = LogKey.read(public_key)
    parts = _parsed(receipt)
    checkpoint = Checkpoint.verified(parts["checkpoint"], key)
    if parts["key"] != str(key):
        raise NotVerified("`key` is not what the leaves say")
    release = _proven(parts["release"], checkpoint)
    asked = None if parts.get("question") is None else _proven(parts["question"], checkpoint)

    index: int = parts["release"]["index"]
    if release.get("kind") != "release":
        raise NotVerified(f"leaf {index} is not the release of this receipt")
    if asked is not None:
        place: int = parts["question"]["index"]
        belongs = (
            asked.get("kind") == "question"
            and _same(release.get("question_leaf"), place)
            and all(_same(release.get(name), asked.get(name)) for name in ("question", "memorandum", "contract"))
        )
        if not belongs:
            raise NotVerified(f"leaf {place} is not the question of this receipt")

    told = {name: release.get(of) for name, of in _RELEASE_TERMS.items()}
    told |= {name: (asked or {}).get(of) for name, of in _QUESTION_TERMS.items()}
    if not _same(parts["terms"], told):
        raise NotVerified("`terms` is not what the leaves say")
    if not _same(parts["result"], {name: release.get(name) for name in _RESULT}):
        raise NotVerified("`result` is not what the leaves say")
    return Verified(checkpoint.origin, index, checkpoint.size, release, asked)


def _parsed(receipt: Mapping[str, Any] | str) -> dict[str, Any]:
    """The parts of a receipt, each of its own type; what is unknown is refused."""
    wrong = NotVerified(f"is not a receipt of the form `{_FORMAT}`")
    try:
        parts = _json(receipt) if isinstance(receipt, str) else dict(receipt)
    except (ValueError, RecursionError) as error:
        raise wrong from error
    known = {"format", "terms", "result", "release", "question", "checkpoint", "key"}
    if not isinstance(parts, dict) or not known - {"question"} <= set(parts) <= known:
        raise wrong
    objects = isinstance(parts["terms"], dict) and isinstance(parts["result"], dict)
    texts = isinstance(parts["checkpoint"], str) and isinstance(parts["key"], str)
    leaves = [parts["release"]] + ([parts["question"]] if parts.get("question") is not None else [])
    if parts["format"] != _FORMAT or not objects or not texts or not all(map(_is_leaf, leaves)):
        raise wrong
    return parts


def _is_leaf(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and set(part) == {"index", "leaf", "proof"}
        and type(part["index"]) is int
        and 0 <= part["index"] < 2**64
        and isinstance(part["leaf"], str)
        and isinstance(part["proof"], list)
        and all(isinstance(line, str) for line in part["proof"])
    )


def _proven(part: dict[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """What a leaf states, if it stands under the signed root at its index."""
    absent = NotVerified(f"leaf {part['index']} is not in the log at this place")
    try:
        leaf = hashlib.sha256(b"\x00" + part["leaf"].encode()).digest()
        stated = _json(part["leaf"])
    except (ValueError, RecursionError) as error:
        raise absent from error
    path = [unbase64(line) for line in part["proof"]]
    if not _included(leaf, part["index"], checkpoint.size, checkpoint.root, path):
        raise absent
    return stated if isinstance(stated, dict) else {}


def _included(leaf: bytes, index: int, size: int, root: bytes, path: list[bytes | None]) -> bool:
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if sibling is None or len(sibling) != 32 or last == 0:
            return False
        if node % 2 == 1 or node == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        node, last = node // 2, last // 2
    return last == 0 and found == root


def _json(text: str) -> Any:
    def no(constant: str) -> None:
        raise ValueError(f"`{constant}` is not JSON")

    return json.loads(text, parse_constant=no)


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON: unlike Python's, 1, 1.0 and true differ."""
    try:
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
