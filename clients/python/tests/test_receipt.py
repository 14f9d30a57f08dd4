"""Receipts that hold, and every way in which one does not."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enclave_client import Answer, LogKey, NotVerified, table_sha256, verify_receipt
from support import Log, answer_table, released

DATA = Path(__file__).parent / "data"
TABLE = "sha256:" + "7" * 64
#: The example key of the documentation of signed notes.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_a_receipt_holds() -> None:
    log = Log()
    verified = verify_receipt(released(log, TABLE), str(log.key))
    assert (verified.origin, verified.index, verified.size) == ("example.org/log", 6, 10)
    assert (verified.rho, verified.table_sha256, verified.table) == (0.02, TABLE, False)


def test_a_receipt_holds_as_text_with_a_key_in_a_file(tmp_path: Path) -> None:
    log = Log()
    (tmp_path / "log.vkey").write_text(f"{log.key}\n")
    assert verify_receipt(json.dumps(released(log, TABLE)), tmp_path / "log.vkey").index == 6


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("after", range(5))
def test_a_receipt_holds_at_every_place(before: int, after: int) -> None:
    log = Log()
    assert verify_receipt(released(log, TABLE, before, after), str(log.key)).index == before + 1


def test_a_receipt_without_its_question_holds() -> None:
    log = Log()
    receipt = released(log, TABLE)
    release = json.loads(receipt["release"]["leaf"])
    told = {"memorandum", "contract", "snapshot", "question", "mechanism", "scales", "released"}
    receipt["terms"] = {name: value if name in told else None for name, value in receipt["terms"].items()}
    receipt["question"] = None
    verified = verify_receipt(receipt, str(log.key))
    assert (verified.question, verified.rho, verified.release) == (None, None, release)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the scalars are."""
    if isinstance(value, dict):
        return [place for name, part in value.items() for place in places(part, (*at, name))]
    if isinstance(value, list):
        return [place for i, part in enumerate(value) for place in places(part, (*at, i))]
    return [at]


def changed(value: Any) -> Any:
    if isinstance(value, str):
        middle = len(value) // 2
        return value[:middle] + ("A" if value[middle : middle + 1] != "A" else "B") + value[middle + 1 :]
    return 1 if value is None else value + 1


def test_every_field_counts() -> None:
    log = Log()
    receipt = released(log, TABLE)
    every = places(receipt)
    assert len(every) > 30
    for place in every:
        forged = copy.deepcopy(receipt)
        part = forged
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = changed(part[place[-1]])
        with pytest.raises(NotVerified):
            verify_receipt(forged, str(log.key))


def test_numbers_of_another_type_are_not_the_same() -> None:
    log = Log()
    receipt = released(log, TABLE)
    for name, other in [("rho_micro", 20000.0), ("threshold_delta", 0), ("threshold_delta", False)]:
        forged = copy.deepcopy(receipt)
        forged["terms"][name] = other
        with pytest.raises(NotVerified, match="`terms`"):
            verify_receipt(forged, str(log.key))


def test_every_character_of_a_checkpoint_counts() -> None:
    log = Log()
    receipt = released(log, TABLE)
    note: str = receipt["checkpoint"]
    for at in range(len(note)):
        flipped = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(NotVerified):
            verify_receipt(receipt | {"checkpoint": flipped}, str(log.key))


def resigned(body: Callable[[list[str]], list[str]]) -> Callable[[Log, dict[str, Any]], dict[str, Any]]:
    """A checkpoint that the log signed, and that says something else."""

    def forge(log: Log, receipt: dict[str, Any]) -> dict[str, Any]:
        lines = receipt["checkpoint"].split("\n")[:3]
        return receipt | {"checkpoint": log.sign("\n".join(body(lines)) + "\n")}

    return forge


def other_question(log: Log, receipt: dict[str, Any]) -> dict[str, Any]:
    other = log.put(json.loads(receipt["question"]["leaf"]) | {"rho_micro": 1})
    forged = log.receipt(receipt["release"]["index"])
    forged["question"] = log.proven(other)
    forged["terms"]["rho_micro"] = 1
    return forged


def cosigned(log: Log, receipt: dict[str, Any]) -> dict[str, Any]:
    line = base64.b64encode(bytes(76)).decode()
    return receipt | {"checkpoint": receipt["checkpoint"] + f"— witness {line}\n"}


def not_a_release(log: Log, receipt: dict[str, Any]) -> dict[str, Any]:
    return receipt | {"release": log.proven(0)}


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda log, receipt: receipt | {"format": "enclave-receipt/2"}, "not a receipt of the form"),
        (lambda log, receipt: receipt | {"more": 1}, "not a receipt of the form"),
        (lambda log, receipt: {name: receipt[name] for name in receipt if name != "key"}, "not a receipt of the form"),
        (lambda log, receipt: receipt | {"release": receipt["release"] | {"index": True}}, "not a receipt of the form"),
        (
            lambda log, receipt: receipt | {"release": receipt["release"] | {"leaf": "\ud800"}},
            "leaf 6 is not in the log",
        ),
        (lambda log, receipt: receipt | {"release": receipt["release"] | {"index": 10**9}}, "is not in the log"),
        (lambda log, receipt: receipt | {"key": PETER}, "`key` is not what"),
        (lambda log, receipt: receipt | {"checkpoint": ""}, "not a signed note"),
        (lambda log, receipt: receipt | {"checkpoint": receipt["checkpoint"] + "\n"}, "not a signed note"),
        (resigned(lambda lines: [lines[0], "0" + lines[1], lines[2]]), "does not state origin, size and root"),
        (resigned(lambda lines: ["example.org/other", *lines[1:]]), "does not state origin, size and root"),
        (resigned(lambda lines: [*lines, "an extension"]), "does not state origin, size and root"),
        (cosigned, "another signature"),
        (other_question, "is not the question of this receipt"),
        (not_a_release, "leaf 0 is not the release of this receipt"),
    ],
)
def test_forgeries_are_refused(forge: Callable[[Log, dict[str, Any]], dict[str, Any]], message: str) -> None:
    log = Log()
    with pytest.raises(NotVerified, match=message):
        verify_receipt(forge(log, released(log, TABLE)), str(log.key))


def test_another_log_says_nothing() -> None:
    log, same_name = Log(), Log()
    receipt = released(log, TABLE)
    for key in (str(same_name.key), PETER):
        with pytest.raises(NotVerified, match="not signed by the key"):
            verify_receipt(receipt, key)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"format": NaN}', "[" * 100_000])
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(NotVerified):
        verify_receipt(text, PETER)


def test_a_key_has_one_spelling() -> None:
    assert str(LogKey.parse(PETER)) == PETER
    for text in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("+AR", "+Ah"),
        PETER[:-1],
    ]:
        with pytest.raises(ValueError, match="verifier key"):
            LogKey.parse(text)


def test_a_key_is_read_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.vkey").write_text(PETER + "\n")
    (tmp_path / "none.vkey").write_text("none")
    (tmp_path / PETER.replace("/", "-")).write_text("a file of a key's name")
    monkeypatch.chdir(tmp_path)
    for key in (PETER, f" {PETER}\n", "log.vkey", "./log.vkey", str(tmp_path / "log.vkey"), tmp_path / "log.vkey"):
        assert str(LogKey.read(key)) == PETER
    for key in ("no-such.vkey", "none.vkey", "", ".", "x" * 100_000, "\0"):
        with pytest.raises(ValueError, match="verifier key"):
            LogKey.read(key)


def test_an_answer_is_the_one_that_was_released() -> None:
    log = Log()
    answer = Answer.of(answer_table(log=log))
    verified = answer.verify(str(log.key))
    assert verified.table
    assert verified.index == answer.log_index


def replaced(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    at = table.schema.get_field_index(column)
    values = table.column(column).to_pylist()
    values[row] = value
    return table.set_column(at, table.schema.field(at), pa.array(values, type=table.schema.field(at).type))


def test_every_cell_counts() -> None:
    log = Log()
    table = answer_table(log=log)
    others = {pa.string(): "x", pa.int64(): 7, pa.float64(): 7.5}
    for column in table.column_names:
        for row in range(table.num_rows):
            forged = replaced(table, column, row, others[table.schema.field(column).type])
            with pytest.raises(NotVerified, match="not the one that was released"):
                Answer.of(forged).verify(str(log.key))
    for forged in (table.slice(1), pa.concat_tables([table, table])):
        with pytest.raises(NotVerified, match="not the one that was released"):
            Answer.of(forged).verify(str(log.key))
    fields = [field.with_name(f"c{i}") for i, field in enumerate(table.schema)]
    renamed = pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata=table.schema.metadata))
    assert Answer.of(renamed).verify(str(log.key)).table, "names are the asker's own"


@pytest.mark.parametrize("told", [{"log": "5"}, {"memorandum": "other"}, {"question": "sha256:0"}])
def test_the_receipt_of_another_answer_is_refused(told: dict[str, str]) -> None:
    log = Log()
    with pytest.raises(NotVerified, match="of another answer"):
        Answer.of(answer_table(log=log, facts=told)).verify(str(log.key))


def test_without_a_receipt_or_digest_nothing_is_claimed() -> None:
    with pytest.raises(NotVerified, match="no receipt"):
        Answer.of(answer_table()).verify(PETER)
    log = Log()
    receipt = json.dumps(released(log, None))
    with pytest.raises(NotVerified, match="without a digest"):
        Answer.of(answer_table(facts={"receipt": receipt})).verify(str(log.key))


def test_what_the_enclave_wrote_verifies() -> None:
    """A vector: an answer as the enclave wrote it in Arrow, with numbers from 1e-5 to 1e21, and its log's key."""
    table = pa.ipc.open_file(DATA / "class-size.arrow").read_all()
    receipt = table.schema.metadata[b"enclave:receipt"].decode()
    verified = verify_receipt(receipt, DATA / "log.vkey")
    assert verified.table_sha256 == table_sha256(table)
    assert verified.rho == 0.02
    texts = {text for column in table.columns for text in map(repr, column.to_pylist())}
    assert any(re.search(r"e-\d", text) for text in texts)
    assert any(re.search(r"e\+\d", text) for text in texts)
