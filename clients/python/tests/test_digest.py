"""The bytes that the digest of a table is of."""

from __future__ import annotations

import datetime
import hashlib
import math
import struct
from random import Random

import pyarrow as pa
import pytest

from enclave_client import table_sha256
from enclave_client.digest import float_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-12.5, "-12.5"),
        (490.931, "490.931"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1234e7, "12340000000.0"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e16"),
        (1234567890123456.0, "1234567890123456.0"),
        (12345678901234567.0, "1.2345678901234568e16"),
        (1.2e21, "1.2e21"),
        (1e-5, "0.00001"),
        (1.5e-5, "0.000015"),
        (1e-6, "1e-6"),
        (5.2e-7, "5.2e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "NaN"),
    ],
)
def test_floats_are_written_as_the_server_writes_them(value: float, text: str) -> None:
    assert float_text(value) == text


def test_floats_read_back_the_same() -> None:
    random = Random(1)
    for _ in range(20_000):
        (value,) = struct.unpack("<d", random.randbytes(8))
        if math.isfinite(value):
            assert float(float_text(value)) == value


def check(columns: dict[str, pa.Array], csv: str) -> None:
    digest = "sha256:" + hashlib.sha256(csv.encode()).hexdigest()
    assert table_sha256(pa.table(columns)) == digest


def test_tables_are_csv_without_a_header() -> None:
    texts = pa.array(["plain", 'a, "b"', "two\nlines", "cr\r", "児童", None, ""])
    check({"k": texts, "n": pa.array(range(7))}, 'plain,0\n"a, ""b""",1\n"two\nlines",2\n"cr\r",3\n児童,4\n,5\n,6\n')
    check({"k": pa.array(["a", None, ""])}, 'a\n""\n""\n')
    check({"b": pa.array([True, False, None]), "x": pa.array([0.5, None, 3.0])}, "true,0.5\nfalse,\n,3.0\n")
    check({"d": pa.array([datetime.date(2026, 4, 1), None]), "n": pa.array([-1, 2])}, "2026-04-01,-1\n,2\n")
    check({"n": pa.array([], type=pa.int64())}, "")


def test_chunks_make_no_difference() -> None:
    whole = pa.table({"n": [1, 2, 3]})
    parts = pa.concat_tables([pa.table({"n": [1]}), pa.table({"n": [2, 3]})])
    assert table_sha256(whole) == table_sha256(parts)


def test_a_type_that_no_answer_has_is_refused() -> None:
    with pytest.raises(TypeError, match="no column of type"):
        table_sha256(pa.table({"x": [[1]]}))
