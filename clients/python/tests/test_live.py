"""A running enclave with the data of Project STAR. Skipped unless `ENCLAVE_URL` is set.

A run charges less than ρ = 0.5.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import adbc_driver_manager
import httpx
import nbclient
import nbformat
import openapi_spec_validator
import pyarrow as pa
import pyarrow.flight
import pytest

import enclave_client
from enclave_client import Answer, Enclave, EnclaveError, Refused, Unauthenticated
from enclave_client.errors import from_flight
from enclave_client.options import CALL_HEADER
from support import flight_sql, protobuf

pytestmark = pytest.mark.skipif("ENCLAVE_URL" not in os.environ, reason="needs a running enclave: set ENCLAVE_URL")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "star.ipynb"
MEANS = "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype"
COUNTS = "SELECT cltype, COUNT(*) AS n FROM results WHERE gr = 'K' GROUP BY cltype"
RHO = 0.05
#: What each grade's means are in the records (`tests/data/README.md`).
EXACT = {"small": 490.93, "reg": 483.20, "reg+A": 482.80}


def connect(**other: Any) -> Enclave:
    given = {
        "login": os.environ["ENCLAVE_LOGIN"],
        "password": os.environ["ENCLAVE_PASSWORD"],
        "memorandum": os.environ["ENCLAVE_MEMORANDUM"],
        "certificate": os.environ.get("ENCLAVE_CERTIFICATE"),
        "flight": os.environ.get("ENCLAVE_FLIGHT"),
    }
    return enclave_client.connect(os.environ["ENCLAVE_URL"], **given | other)


@pytest.fixture(scope="module")
def enclave() -> Iterator[Enclave]:
    with connect() as enclave:
        yield enclave


@pytest.fixture(scope="module")
def means(enclave: Enclave) -> Answer:
    return enclave.ask(MEANS, rho=RHO)


def by_http(enclave: Enclave, sql: str, **options: Any) -> Any:
    """The same question, as JSON through HTTP."""
    return enclave._http.post("/questions", {"memorandum": enclave.memorandum, "sql": sql, **options})


def fetch(enclave: Enclave, path: str, accept: str) -> httpx.Response:
    return enclave._http.send("GET", path, accept=accept)


# --- The catalogue ---------------------------------------------------------------------------------------------------


def test_tools_see_what_the_memorandum_lists_and_nothing_else(enclave: Enclave) -> None:
    listed = {(item["table"], item["column"]) for item in enclave.items()}
    assert ("results", "math") in listed
    with closing(enclave.adbc()) as connection:
        catalogs = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        types = connection.adbc_get_table_types()
    (own,) = [catalog for catalog in catalogs if catalog["catalog_name"] == enclave.memorandum]
    (schema,) = own["catalog_db_schemas"]
    tables = schema["db_schema_tables"]
    seen = {(table["table_name"], column["column_name"]) for table in tables for column in table["table_columns"]}
    assert schema["db_schema_name"] == "star"
    assert seen == listed
    assert not {"id", "birthq", "birthy", "tch"} & {column for _, column in seen}
    assert types == ["TABLE"]


def test_names_are_looked_up_by_pattern(enclave: Enclave) -> None:
    with closing(enclave.adbc()) as connection:

        def tables(**filters: str) -> list[str]:
            found = connection.adbc_get_objects(depth="tables", catalog_filter=enclave.memorandum, **filters)
            schemas = [schema for catalog in found.read_all().to_pylist() for schema in catalog["catalog_db_schemas"]]
            return [table["table_name"] for schema in schemas for table in schema["db_schema_tables"] or []]

        assert "results" in tables(table_name_filter="res%")
        assert tables(table_name_filter="nothing") == []
        schema = connection.adbc_get_table_schema("results", catalog_filter=enclave.memorandum, db_schema_filter="star")
    assert schema.field("math").type == pa.float64()
    assert schema.field("gr").type == pa.string()


def test_papers_are_read(enclave: Enclave) -> None:
    (paper,) = [paper for paper in enclave.memoranda() if paper["id"] == enclave.memorandum]
    assert (paper["contract"], paper["ended"]) == ("star", False)
    assert paper["you"].startswith(f"{enclave.memorandum}/")


# --- Questions -------------------------------------------------------------------------------------------------------


def test_an_answer_has_intervals_and_says_what_was_done(enclave: Enclave, means: Answer) -> None:
    assert [column.name for column in means.keys] == ["cltype"]
    assert [column.aggregate for column in means.measures] == ["count", "avg"]
    assert not means.preview
    assert means.memorandum == enclave.memorandum
    for column in means.measures:
        assert column.mechanism == "discrete gaussian"
        assert column.confidence == 0.95
        assert (column.scale or 0) > 0
        for cell in means.cells(column):
            assert cell.status == "shown"
            assert cell.value is not None
            assert cell.low is not None
            assert cell.high is not None
            assert cell.low < cell.value < cell.high
    for kind, cell in zip(means.key(means.keys[0]), means.cells(means.measure("math")), strict=True):
        assert cell.value == pytest.approx(EXACT[kind], abs=15), "far wider than its interval"
    metadata = {key.decode() for key in means.table.schema.metadata}
    assert metadata >= {"enclave:memorandum", "enclave:question", "enclave:charged", "enclave:log", "enclave:receipt"}
    assert means.table.schema.field("math_low").metadata[b"enclave:of"] == b"math"
    assert "±" in means._repr_html_()
    assert len(means.to_pandas()) == len(means.to_polars()) == 3


def test_a_receipt_verifies_offline(enclave: Enclave, means: Answer) -> None:
    key = enclave.log_key()
    verified = means.verify(key)
    assert (verified.table, verified.rho) == (True, RHO)
    assert means.log_index is not None
    assert enclave_client.verify_receipt(enclave.receipt(means.log_index), key).release == verified.release
    again = enclave.release(means.log_index)
    assert [column.name for column in again.columns] == ["key_1", "measure_2", "measure_3"]
    assert again.verify(key).table
    _, rows = fetch(enclave, f"/releases/{means.log_index}", "text/csv").content.split(b"\n", 1)
    assert f"sha256:{hashlib.sha256(rows).hexdigest()}" == verified.table_sha256


def test_the_same_numbers_come_through_http_and_flight(enclave: Enclave, means: Answer) -> None:
    charged = enclave.budget()["charged"]
    told = by_http(enclave, MEANS, rho=RHO)
    again = enclave.ask(MEANS, rho=RHO)
    in_japanese = enclave.ask(MEANS, rho=RHO, justification="少人数学級の効果を知るため")
    assert told["replayed"]
    assert again.replayed
    assert in_japanese.replayed
    assert again.table.equals(means.table)
    assert in_japanese.table.equals(means.table)
    assert told["log"]["index"] == again.log_index == means.log_index
    assert told["question"] == means.question
    for i, row in enumerate(told["rows"]):
        assert row["cltype"] == means.key(means.keys[0])[i]
        for column in means.measures:
            cell = means.cells(column)[i]
            assert row[column.name] == {"value": cell.value, "low": cell.low, "high": cell.high}
    assert enclave.budget()["charged"] == charged, "what is on record costs nothing"


def test_a_new_draw_is_charged(enclave: Enclave) -> None:
    before = enclave.budget()["balance"]["rho"]
    answer = enclave.ask(COUNTS, rho=0.01, fresh=True)
    after = enclave.budget()["balance"]["rho"]
    assert not answer.replayed
    assert answer.charged.rho == pytest.approx(0.01)
    assert before is not None
    assert after is not None
    assert before - after == pytest.approx(0.01)
    assert answer.balance.rho == pytest.approx(after)
    newest = enclave.history(limit=1)[0]
    assert newest["release"] == answer.log_index
    assert newest["rho"] == pytest.approx(0.01)


def test_a_preview_costs_nothing(enclave: Enclave) -> None:
    before = enclave.budget()["charged"]
    preview = enclave.preview(MEANS, rho=RHO)
    assert preview.charged.rho == pytest.approx(RHO)
    assert (preview.measure("n").half_width or 0) > 0
    assert preview.bounds[0]["explanation"]
    wanted = enclave.preview(COUNTS, within=20)
    assert (wanted.measure("n").half_width or 0) <= 20
    assert enclave.budget()["charged"] == before


def test_a_comment_in_the_sql_says_how_to_ask(enclave: Enclave, means: Answer) -> None:
    with closing(enclave.adbc()) as connection, connection.cursor() as cursor:
        cursor.execute(f"{MEANS} -- enclave: rho={RHO}")
        assert cursor.fetch_arrow_table().equals(means.table)


def test_values_are_bound(enclave: Enclave) -> None:
    header = {f"{CALL_HEADER}enclave-rho": "0.02"}
    literal = enclave.ask(COUNTS, rho=0.02)
    with closing(enclave.adbc()) as connection:
        for mark in ("?", "$1"):
            with connection.cursor(adbc_stmt_kwargs=header) as cursor:
                cursor.execute(COUNTS.replace("'K'", mark), ["K"])
                assert cursor.fetch_arrow_table().equals(literal.table)
        with (
            connection.cursor(adbc_stmt_kwargs=header) as cursor,
            pytest.raises(adbc_driver_manager.Error, match="parameters"),
        ):
            cursor.execute(COUNTS.replace("'K'", "? AND sx = ?"), ["K"])
        with connection.cursor(adbc_stmt_kwargs=header) as cursor:
            # A text is a text: it matches no grade, and the groups are there, empty.
            cursor.execute(COUNTS.replace("'K'", "?"), ["K' OR gr = '1"])
            assert set(cursor.fetch_arrow_table().column("n_status").to_pylist()) == {"small cell"}


def test_a_ticket_is_good_once(enclave: Enclave) -> None:
    certificate = os.environ.get("ENCLAVE_CERTIFICATE")
    trusted = {"tls_root_certs": Path(certificate).read_bytes()} if certificate and "tls" in enclave.flight else {}
    assert enclave.memorandum is not None
    headers = [
        (b"authorization", f"Bearer {enclave.token}".encode()),
        (b"enclave-memorandum", enclave.memorandum.encode()),
        (b"enclave-rho", b"0.02"),
    ]
    options = pyarrow.flight.FlightCallOptions(headers=headers)
    command = flight_sql("CommandStatementQuery", protobuf(1, COUNTS.encode()))
    with pyarrow.flight.FlightClient(enclave.flight, **trusted) as client:
        info = client.get_flight_info(pyarrow.flight.FlightDescriptor.for_command(command), options)
        (endpoint,) = info.endpoints
        assert client.do_get(endpoint.ticket, options).read_all().num_rows == 3
        with pytest.raises((pa.ArrowException, KeyError), match="this ticket is not good"):
            client.do_get(endpoint.ticket, options).read_all()


# --- Noes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "options", "rule"),
    [
        ("SELECT math FROM results", {}, "row-level"),
        ("SELECT COUNT(*) FROM nothing", {}, "table"),
        ("SELECT tch, COUNT(*) FROM results GROUP BY tch", {}, "column"),
        ("SELECT COUNT(*) FROM results WHERE id = 100017", {}, "pupil-column"),
        ("DELETE FROM results", {}, "only-select"),
        ("SELECT COUNT(*) FROM results; SELECT COUNT(*) FROM results", {}, "one-statement"),
        ("SELECT COUNT(* FROM results", {}, "syntax"),
        ("SELECT 'open", {}, "syntax"),
        ("SELECT COUNT(*)\nFROM results\nWHERE md5(sx) = 'a'", {}, "function"),
        ("SELECT COUNT(*) FROM results", {"rho": 0.5}, "limit"),
        ("SELECT COUNT(*) FROM results", {"memorandum": "nobody-s"}, "memorandum"),
    ],
)
def test_both_ports_refuse_in_the_same_words(enclave: Enclave, sql: str, options: dict[str, Any], rule: str) -> None:
    with pytest.raises(Refused) as flight:
        enclave.ask(sql, **options)
    with pytest.raises(Refused) as http:
        by_http(enclave, sql, **options)
    with pytest.raises(Refused) as preview:
        enclave.preview(sql, **options)
    assert flight.value.rule == rule
    assert str(flight.value) == str(http.value) == str(preview.value)
    assert vars(flight.value) == vars(http.value) == vars(preview.value)


def test_an_option_that_is_none_is_told(enclave: Enclave) -> None:
    with (
        closing(enclave.adbc()) as connection,
        connection.cursor() as cursor,
        pytest.raises(adbc_driver_manager.ProgrammingError) as caught,
    ):
        cursor.execute(f"{COUNTS} -- enclave: roh=1")
    assert "`roh`" in str(from_flight(caught.value))
    assert from_flight(caught.value).code == "invalid"


def test_nothing_is_written(enclave: Enclave) -> None:
    with (
        closing(enclave.adbc()) as connection,
        connection.cursor() as cursor,
        pytest.raises(adbc_driver_manager.Error),
    ):
        cursor.adbc_ingest("mine", pa.table({"n": [1]}), mode="create")


def test_who_is_not_let_in_is_told() -> None:
    with pytest.raises(Unauthenticated) as caught:
        connect(password="not the password of anybody")
    assert caught.value.code == "wrong"
    with connect(login=None, password=None, token="enclave-token-of-nobody") as nobody:
        for wrong in (lambda: nobody.ask(COUNTS), lambda: nobody.preview(COUNTS), nobody.memoranda):
            with pytest.raises(Unauthenticated):
                wrong()


def test_a_session_ends_with_its_block() -> None:
    with connect() as enclave:
        enclave.memoranda()
    with connect(login=None, password=None, token=enclave.token) as late, pytest.raises(Unauthenticated):
        late.memoranda()


def test_a_token_does_what_it_is_for(enclave: Enclave) -> None:
    token = {"label": "tests", "scopes": ["preview"], "memorandum": enclave.memorandum, "days": 1}
    made = enclave._http.post("/tokens", token)
    try:
        with connect(login=None, password=None, memorandum=None, token=made["token"]) as limited:
            assert limited.preview(COUNTS).memorandum == enclave.memorandum
            for denied in (lambda: limited.ask(COUNTS), limited.memoranda, limited.budget):
                with pytest.raises(EnclaveError) as caught:
                    denied()
                assert caught.value.code == "denied"
    finally:
        enclave._http.delete(f"/tokens/{made['id']}")


def test_what_is_not_there_is_told(enclave: Enclave) -> None:
    for missing in (lambda: enclave.receipt(10**9), lambda: enclave.release(0), lambda: enclave.budget("nobody-s")):
        with pytest.raises(EnclaveError) as caught:
            missing()
        assert caught.value.code == "not-found"


# --- The whole -------------------------------------------------------------------------------------------------------


def test_the_openapi_document_is_one(enclave: Enclave) -> None:
    document = enclave._http.get("/openapi.json")
    openapi_spec_validator.validate(document)
    assert {"/api/v1/questions", "/api/v1/sessions", "/api/v1/releases/{index}/receipt"} <= set(document["paths"])


def test_a_question_can_be_fetched_later(enclave: Enclave, means: Answer) -> None:
    body = {"memorandum": enclave.memorandum, "sql": MEANS, "rho": RHO}
    later = enclave._http._client.post("/api/v1/questions", json=body, headers={"prefer": "respond-async"})
    assert later.status_code == 202
    for _ in range(100):
        found = enclave._http._client.get(later.headers["location"])
        if found.status_code != 202:
            break
        time.sleep(0.1)
    assert found.json()["log"]["index"] == means.log_index


def test_the_notebook_runs() -> None:
    notebook: Any = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "no outputs are stored"
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "±" in str([output.get("data", {}).get("text/html") for output in outputs])
