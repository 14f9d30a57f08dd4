"""[Answer]: a table in which every measure comes with its interval, with what was charged and the receipt."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enclave_client.digest import table_sha256
from enclave_client.errors import EnclaveError, NotVerified, expect
from enclave_client.receipt import Verified, verify_receipt

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Charged:
    """A privacy loss."""

    #: ρ; under a pure memorandum, what the pool counts.
    rho: float
    #: ε at `delta`.
    epsilon: float
    #: The memorandum's δ; 0 where it is pure.
    delta: float
    #: δ used by the threshold for unknown keys.
    threshold_delta: float | None = None


@dataclass(frozen=True)
class Balance:
    """What is left of the memorandum's allotment."""

    #: ρ.
    rho: float
    #: ε, under a pure memorandum.
    epsilon: float | None = None


@dataclass(frozen=True)
class Column:
    """A column of an answer: a key, or a measure with its interval."""

    #: Name or alias.
    name: str
    #: ``key`` or ``measure``.
    role: str
    #: ``count``, ``sum``, ``avg``, …; ``expression`` where it is computed from several.
    aggregate: str | None = None
    #: The noise.
    mechanism: str | None = None
    #: Scale of the noise, in the unit of the count or sum that it was added to.
    scale: float | None = None
    #: What one pupil can change, in the same unit, by norm: ``l2``, under a pure memorandum ``l1`` too.
    sensitivity: Mapping[str, float] | None = None
    #: Range that one row's contribution was clamped to.
    clipped: tuple[float, float] | None = None
    #: How often intervals hold the true number.
    confidence: float | None = None
    #: In a preview: the half-width to expect, in the unit of the measure.
    half_width: float | None = None
    #: In a preview: the number of pupils in a cell that `half_width` is stated for, where it depends on that.
    half_width_for_pupils: float | None = None
    #: In a preview: the noisy number of pupils below which a cell is hidden.
    hidden_below: int | None = None
    #: Where the column begins in the table.
    position: int = 0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Cell:
    """A measure in one row. Without a value it is not shown; an end of None is infinite."""

    value: float | int | None
    low: float | int | None
    high: float | int | None
    #: ``shown``, ``small cell`` or ``undefined``.
    status: str


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """An answer. The intervals hold the true number 95 times in 100; they cover the noise alone."""

    #: Keys as they are; each measure as NAME, NAME_low, NAME_high, NAME_status.
    table: pa.Table
    memorandum: str
    #: Digest of the canonical question with its price.
    question: str
    #: Digest of the answer on record; None in a preview.
    release: str | None
    #: Whether the answer was on record already, and cost nothing.
    replayed: bool
    #: Whether nothing was asked yet.
    preview: bool
    #: What was charged now.
    charged: Charged
    #: What is left.
    balance: Balance
    columns: tuple[Column, ...]
    #: Index of the release in the disclosure log; None in a preview.
    log_index: int | None
    #: What shows offline that this was released; None in a preview.
    receipt: dict[str, Any] | None = field(default=None)

    @staticmethod
    def of(table: pa.Table) -> Answer:
        """Reads an answer as the server sends it in Arrow. Raises ``EnclaveError`` for any other table."""
        facts = _facts(table.schema.metadata)
        try:
            receipt = facts.get("enclave:receipt")
            log = facts.get("enclave:log")
            return Answer(
                table=table,
                memorandum=facts["enclave:memorandum"],
                question=facts["enclave:question"],
                release=facts.get("enclave:release"),
                replayed=facts["enclave:replayed"] == "true",
                preview=facts["enclave:preview"] == "true",
                charged=charged(json.loads(facts["enclave:charged"])),
                balance=balance(json.loads(facts["enclave:balance"])),
                columns=_columns(table.schema),
                log_index=None if log is None else int(log),
                receipt=None if receipt is None else expect(json.loads(receipt), dict, "receipt"),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise EnclaveError(f"the table does not say what answer it is: {error}", "form") from error

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns that groups are named by."""
        return tuple(column for column in self.columns if column.role == "key")

    @property
    def measures(self) -> tuple[Column, ...]:
        """The columns that carry noise."""
        return tuple(column for column in self.columns if column.role == "measure")

    def key(self, column: Column) -> list[Any]:
        """The values of a key, row by row."""
        values: list[Any] = self.table.column(column.position).to_pylist()
        return values

    def cells(self, measure: Column) -> list[Cell]:
        """The cells of a measure, row by row."""
        parts = [self.table.column(measure.position + i).to_pylist() for i in range(4)]
        return [Cell(*cell) for cell in zip(*parts, strict=True)]

    def measure(self, name: str | None = None) -> Column:
        """A measure by name; without one, the first. Raises ``KeyError`` where there is none."""
        return _named(self.measures, name, "measure")

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas data frame. Hidden cells are missing values; NAME_status says why."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """As a Polars data frame. Hidden cells are nulls; NAME_status says why."""
        import polars as pl

        frame = pl.from_arrow(self.table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def verify(self, public_key: str | os.PathLike[str]) -> Verified:
        """Checks, without the server, that this very table was released.

        ``public_key`` is the log's key ``NAME+HASH+KEY``, or the path of a file that holds it: take it from the board
        or the steward, not from the server.

        Checked: the signature of the checkpoint; that the leaves of release and question stand under it; that the
        receipt says what they say; that they are of this memorandum, question and place; that the digest of every
        value, end and status in ``table`` is the one in the log.

        Not checked: names of columns, which are your own words; what the schema says of mechanism and scale of a
        measure (the leaf has its own ``mechanism`` and ``scales``); ``charged`` and ``balance``, which the server
        tells at the moment of asking: the price that the log states is ``Verified.rho``.

        Raises ``NotVerified``; ``ValueError`` where the key is none.
        """
        if self.receipt is None:
            raise NotVerified("there is no receipt: a preview has none")
        verified = verify_receipt(self.receipt, public_key)
        told = (self.log_index, self.memorandum, self.question)
        release = verified.release
        if told != (verified.index, release.get("memorandum"), release.get("question")):
            raise NotVerified("the receipt is of another answer")
        if verified.table_sha256 is None:
            raise NotVerified("the release was recorded without a digest of its table: only its place can be checked")
        if table_sha256(self.table) != verified.table_sha256:
            raise NotVerified("the table is not the one that was released")
        return replace(verified, table=True)

    def plot(self, x: str | None = None, measure: str | None = None, ax: Axes | None = None) -> Axes:
        """Draws a measure over a key, with its intervals as error bars; the other keys become series.

        Without ``x`` the first key, without ``measure`` the first measure, without ``ax`` new axes. Hidden cells are
        crosses at the foot. Raises ``KeyError`` for a name that is none, ``ImportError`` without matplotlib.
        """
        from enclave_client.plot import plot

        return plot(self, x, measure, ax)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        from enclave_client.show import summary

        return f"<Answer: {summary(self)}>"

    def _repr_html_(self) -> str:
        from enclave_client.show import answer_html

        return answer_html(self)


@dataclass(frozen=True, repr=False)
class Preview:
    """What a question would cost, and how accurate its answer would be. Nothing was charged or read."""

    memorandum: str
    #: Digest of the canonical question with its price.
    question: str
    #: What would be charged.
    charged: Charged
    #: What is left now.
    balance: Balance
    columns: tuple[Column, ...]
    #: What bounds one pupil's effect on each result; each ``explanation`` says what would lower the noise.
    bounds: tuple[Mapping[str, Any], ...]
    #: The principles that leave it to the board; empty where nobody has to decide.
    board: tuple[str, ...]
    #: A preview has none.
    receipt: None = None

    @staticmethod
    def of(value: Mapping[str, Any]) -> Preview:
        """Reads a preview as the server sends it in JSON."""
        try:
            return Preview(
                memorandum=value["memorandum"],
                question=value["question"],
                charged=charged(value["charged"]),
                balance=balance(value["balance"]),
                columns=tuple(_column(told) for told in value["columns"]),
                bounds=tuple(value.get("bounds") or ()),
                board=tuple(value.get("board") or ()),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise EnclaveError(f"the server's preview does not read: {error}", "form") from error

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns that groups are named by."""
        return tuple(column for column in self.columns if column.role == "key")

    @property
    def measures(self) -> tuple[Column, ...]:
        """The columns that carry noise, each with the half-width to expect."""
        return tuple(column for column in self.columns if column.role == "measure")

    def measure(self, name: str | None = None) -> Column:
        """A measure by name; without one, the first. Raises ``KeyError`` where there is none."""
        return _named(self.measures, name, "measure")

    def __repr__(self) -> str:
        widths = ", ".join(f"{column.name} ± {column.half_width:g}" for column in self.measures if column.half_width)
        return f"<Preview: ρ {self.charged.rho:g} of {self.balance.rho:g}; {widths or 'half-widths not known yet'}>"

    def _repr_html_(self) -> str:
        from enclave_client.show import preview_html

        return preview_html(self)


def _named(columns: tuple[Column, ...], name: str | None, what: str) -> Column:
    for column in columns:
        if name is None or column.name == name:
            return column
    names = ", ".join(column.name for column in columns)
    raise KeyError(f"there is no {what} `{name}`; there are: {names}" if name else f"there is no {what}")


def charged(value: Mapping[str, Any]) -> Charged:
    """Reads a charge."""
    threshold = value.get("threshold_delta")
    return Charged(
        float(value["rho"]),
        float(value["epsilon"]),
        float(value["delta"]),
        None if threshold is None else float(threshold),
    )


def balance(value: Mapping[str, Any]) -> Balance:
    """Reads a balance."""
    epsilon = value.get("epsilon")
    return Balance(float(value["rho"]), None if epsilon is None else float(epsilon))


def _column(told: Mapping[str, Any]) -> Column:
    clipped = told.get("clipped")
    return Column(
        name=told["name"],
        role=told["role"],
        aggregate=told.get("aggregate"),
        mechanism=told.get("mechanism"),
        scale=told.get("scale"),
        sensitivity=told.get("sensitivity"),
        clipped=None if clipped is None else (float(clipped[0]), float(clipped[1])),
        half_width=told.get("half_width"),
        half_width_for_pupils=told.get("half_width_for_pupils"),
        hidden_below=told.get("hidden_below"),
    )


def _columns(schema: pa.Schema) -> tuple[Column, ...]:
    """A key is one field, a measure four: by their places, since an alias may look like any of them."""
    columns = []
    position = 0
    while position < len(schema):
        facts = _facts(schema.field(position).metadata)
        parts = ["key"] if facts["enclave:role"] == "key" else ["value", "low", "high", "status"]
        if position + len(parts) > len(schema):
            raise ValueError("a measure lacks its interval")
        found = [_facts(schema.field(position + i).metadata)["enclave:part"] for i in range(len(parts))]
        if found != parts:
            raise ValueError("the parts of a column are not in their order")
        told: dict[str, Any] = {"name": facts["enclave:of"], "role": facts["enclave:role"]}
        told |= {name: facts.get(f"enclave:{name}") for name in ("aggregate", "mechanism")}
        for name in ("scale", "sensitivity", "clipped"):
            text = facts.get(f"enclave:{name}")
            told[name] = None if text is None else json.loads(text)
        confidence = facts.get("enclave:confidence")
        column = replace(_column(told), position=position)
        columns.append(replace(column, confidence=None if confidence is None else float(confidence)))
        position += len(parts)
    return tuple(columns)


def _facts(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
