"""The digest of an answer's table that the log states: SHA-256 of it as CSV without the header.

The server writes that CSV with Arrow's Rust writer. Its form is small enough to be written here byte for byte:
commas, line feeds, empty for NULL, quotes where needed, and numbers the shortest way that reads back the same. The
tests compare with a table and a receipt that the enclave wrote.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa


def table_sha256(table: pa.Table) -> str:
    """``sha256:…`` of a table of an answer.

    Raises ``TypeError`` for a column of a type that no answer has.
    """
    columns = [_texts(table.column(i)) for i in range(table.num_columns)]
    digest = hashlib.sha256()
    for row in range(table.num_rows):
        record = ",".join(column[row] for column in columns)
        # A record without a byte would not read back as one.
        digest.update((record or '""').encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _texts(column: pa.ChunkedArray) -> list[str]:
    write = _writer(column.type)
    return ["" if value is None else write(value) for value in column.to_pylist()]


def _writer(kind: pa.DataType) -> Callable[[Any], str]:
    if pa.types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if pa.types.is_integer(kind):
        return str
    if pa.types.is_float64(kind):
        return float_text
    if pa.types.is_date32(kind):
        return lambda value: str(value.isoformat())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _quoted
    raise TypeError(f"an answer has no column of type {kind}")


def _quoted(text: str) -> str:
    """RFC 4180: quotes only round what needs them."""
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def float_text(value: float) -> str:
    """A float as the Rust library `ryu` prints it: ``0.5``, ``12.0``, ``5.2e-7``, ``1e21``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    # The shortest digits that read back the same are Python's too; what differs is where the point goes.
    _, all_digits, exponent = Decimal(repr(abs(value))).as_tuple()
    digits = "".join(map(str, all_digits)).lstrip("0")
    point = len(digits) + int(exponent)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 16:
        return f"{sign}{digits}{'0' * (point - count)}.0"
    if 0 < point <= 16:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1}"
