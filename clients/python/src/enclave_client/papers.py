"""What the server tells of agreements and past questions: dictionaries with known keys, as the HTTP API sends them."""

from __future__ import annotations

from typing import TypedDict


class Bilingual(TypedDict):
    """A text in English and Japanese."""

    en: str
    ja: str


_Term = TypedDict("_Term", {"from": str, "until": str})


class _Memorandum(_Term):
    id: str
    version: int
    contract: str
    title: Bilingual
    institution: str
    purpose: Bilingual
    use_cases: list[str]
    rules: str
    ended: bool


class Memorandum(_Memorandum, total=False):
    """An agreement. ``from`` and ``until`` are its first and last day, as ISO 8601."""

    #: Under whose id you act.
    you: str


class Item(TypedDict):
    """A column that a memorandum lets you ask about."""

    table: str
    column: str
    #: As Data Package names it: ``string``, ``integer``, ``number``, ``boolean``, ``date``, ``datetime``.
    type: str
    title: str
    title_ja: str


class _Amount(TypedDict):
    #: None where there is no cap.
    rho: float | None


class Amount(_Amount, total=False):
    """A privacy loss in ρ; in ε too under a pure memorandum."""

    epsilon: float


class Entry(TypedDict):
    """A line of an account."""

    #: Index in the log.
    leaf: int
    #: RFC 3339, UTC.
    at: str
    kind: str
    question: str | None
    person: str | None
    price: Amount
    balance: Amount
    #: Index of the release that it paid for.
    release: int | None


class Budget(TypedDict):
    """What was promised, debited and is left."""

    allotment: Amount
    charged: Amount
    balance: Amount
    statement: list[Entry]


class Asked(TypedDict):
    """A question that was charged."""

    #: Index in the log.
    leaf: int
    #: RFC 3339, UTC.
    at: str
    person: str
    #: Without texts that are not codes of the contract.
    sql: str
    purpose: str
    question: str
    #: What it cost, in ρ.
    rho: float
    #: Index of the release; None where a crash or a failure came first.
    release: int | None
