"""What is sent to the two ports, and what comes of what they answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi

import enclave_client
from enclave_client import EnclaveError, Refused, Unauthenticated, http
from enclave_client.flight import Flight
from enclave_client.options import Options
from support import FlightServer, Log, answer_table, arrow_file, serving
from test_answer import PREVIEW

Handler = Callable[[httpx.Request], httpx.Response]


class Says:
    """An HTTP port that says one thing, and remembers what it was asked."""

    def __init__(self, *responses: httpx.Response | dict[str, Any] | list[Any] | bytes) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.responses.pop(0)
        if isinstance(response, bytes):
            return httpx.Response(200, content=response)
        return response if isinstance(response, httpx.Response) else httpx.Response(200, json=response)


def test_a_question_goes_through_flight_with_its_options_as_headers() -> None:
    log = Log()
    with serving(Says(), answer_table(log=log)) as (enclave, server):
        answer = enclave.ask("SELECT 1", rho=0.02, rows_per_unit=2, justification="why not", fresh=True)
        assert answer.verify(str(log.key)).table
        assert answer.charged.rho == 0.02
    calls = dict(server.seen)
    assert {"GET_FLIGHT_INFO", "DO_GET", "DO_ACTION"} <= set(calls)
    assert all(headers["authorization"] == "Bearer a-token" for _, headers in server.seen)
    told = next(headers for name, headers in reversed(server.seen) if name == "GET_FLIGHT_INFO")
    assert {name: value for name, value in told.items() if name.startswith("enclave-")} == {
        "enclave-memorandum": "star-1",
        "enclave-rho": "0.02",
        "enclave-rows-per-unit": "2",
        "enclave-justification": "why not",
        "enclave-fresh": "true",
    }
    assert b"SELECT 1" in server.sql[0]


def test_options_of_one_question_do_not_stay() -> None:
    with serving(Says()) as (enclave, server):
        enclave.ask("SELECT 1", within=5, confidence=0.9)
        enclave.ask("SELECT 2", memorandum="other")
    infos = [headers for name, headers in server.seen if name == "DO_GET"]
    assert ("enclave-within" in infos[0], "enclave-within" in infos[1]) == (True, False)
    assert [headers["enclave-memorandum"] for headers in infos] == ["star-1", "other"]


@pytest.mark.parametrize("text", ["児童の学力のため", " spaces ", "two\nlines"])
def test_a_text_that_fits_no_header_goes_through_http(text: str) -> None:
    says = Says(arrow_file(answer_table()))
    with serving(says) as (enclave, server):
        answer = enclave.ask("SELECT 1", epsilon=1, justification=text)
    assert (answer.log_index, server.seen) == (6, [])
    (request,) = says.requests
    assert (request.method, request.url.path) == ("POST", "/api/v1/questions")
    assert request.headers["accept"] == "application/vnd.apache.arrow.file"
    body = {"sql": "SELECT 1", "memorandum": "star-1", "epsilon": 1.0, "justification": text}
    assert json.loads(request.content) == body


def test_a_preview_goes_through_http() -> None:
    says = Says(PREVIEW)
    with serving(says) as (enclave, _):
        preview = enclave.preview("SELECT 1", within=5, confidence=0.9, groups_per_unit=1)
    assert preview.charged.rho == 0.02
    body = {"sql": "SELECT 1", "memorandum": "star-1", "within": 5.0, "confidence": 0.9, "groups_per_unit": 1}
    assert (says.requests[0].url.path, json.loads(says.requests[0].content)) == ("/api/v1/questions/preview", body)


@pytest.mark.parametrize(
    "options",
    [
        {"rho": 0.1, "epsilon": 1},
        {"rho": 0},
        {"rho": float("nan")},
        {"within": -1},
        {"confidence": 0.4},
        {"confidence": 1},
        {"rows_per_unit": 0},
        {"groups_per_unit": -1},
    ],
)
def test_what_has_no_meaning_is_not_sent(options: dict[str, Any]) -> None:
    with serving(Says()) as (enclave, server):
        for method in (enclave.ask, enclave.preview):
            with pytest.raises(ValueError, match=r"at most one|positive|confidence|at least 1"):
                method("SELECT 1", **options)
        assert server.seen == []


def test_numbers_are_sent_as_they_are() -> None:
    headers = Options("m", rho=1e-7, purpose="class-size").headers() or {}
    assert headers["adbc.flight.sql.rpc.call_header.enclave-rho"] == "1e-07"
    assert float(headers["adbc.flight.sql.rpc.call_header.enclave-rho"]) == 1e-7


def test_papers_and_history_are_read() -> None:
    items = [{"table": "results", "column": "math", "type": "number", "title": "Mathematics", "title_ja": "算数"}]
    budget = {"allotment": {"rho": 10}, "charged": {"rho": 1}, "balance": {"rho": 9}, "statement": []}
    pages: list[dict[str, Any]] = [{"questions": [{"leaf": 9}, {"leaf": 7}], "next": 7}, {"questions": [{"leaf": 5}]}]
    says = Says([], items, budget, *pages, {"format": "enclave-receipt/1"}, arrow_file(answer_table()), b"key\n")
    with serving(says, memorandum="a b/c") as (enclave, _):
        assert enclave.memoranda() == []
        assert enclave.items() == items
        assert enclave.budget("other")["balance"]["rho"] == 9
        assert [asked["leaf"] for asked in enclave.history()] == [9, 7, 5]
        assert enclave.receipt(6) == {"format": "enclave-receipt/1"}
        assert enclave.release(6).log_index == 6
        assert enclave.log_key() == "key"
    assert [request.url.raw_path.decode() for request in says.requests] == [
        "/api/v1/memoranda",
        "/api/v1/memoranda/a%20b%2Fc/items",
        "/api/v1/memoranda/other/budget",
        "/api/v1/questions?memorandum=a+b%2Fc&limit=200",
        "/api/v1/questions?memorandum=a+b%2Fc&limit=200&cursor=7",
        "/api/v1/releases/6/receipt",
        "/api/v1/releases/6",
        "/api/v1/log/key",
    ]
    assert all(request.headers["authorization"] == "Bearer a-token" for request in says.requests)


def test_history_stops_at_its_limit() -> None:
    says = Says({"questions": [{"leaf": 9}], "next": 9})
    with serving(says) as (enclave, _):
        assert len(enclave.history(limit=1)) == 1
    assert says.requests[0].url.params["limit"] == "1"


@pytest.mark.parametrize(
    ("session", "memorandum"),
    [
        ({"people": ["star-1/r1"]}, "star-1"),
        ({"people": ["s1", "star-1/r1"]}, "star-1"),
        ({"people": ["star-1/r1", "city-1/r1"], "memorandum": "city-1"}, "city-1"),
    ],
)
def test_the_only_memorandum_is_found(session: dict[str, Any], memorandum: str) -> None:
    says = Says(session, {"questions": []}, {"questions": []})
    with serving(says, memorandum=None) as (enclave, _):
        enclave.history()
        enclave.history()
    assert [request.url.params.get("memorandum") for request in says.requests] == [None, memorandum, memorandum]


@pytest.mark.parametrize("people", [[], ["s1"], ["star-1/r1", "city-1/r1"]])
def test_which_memorandum_is_asked_where_it_is_not_clear(people: list[str]) -> None:
    with (
        serving(Says({"people": people}), memorandum=None) as (enclave, _),
        pytest.raises(ValueError, match="say which memorandum"),
    ):
        enclave.ask("SELECT 1")


def test_a_session_that_was_opened_ends() -> None:
    for response in (httpx.Response(204), httpx.Response(401, json={"code": "unauthenticated", "detail": "over"})):
        says = Says(response)
        with serving(says, opened=True):
            pass
        assert [(request.method, request.url.path) for request in says.requests] == [
            ("DELETE", "/api/v1/sessions/current")
        ]


def test_what_went_wrong_first_is_told() -> None:
    says = Says(httpx.Response(500, json={"code": "fault", "detail": "at the end"}))
    with pytest.raises(KeyError, match="first"), serving(says, opened=True):
        raise KeyError("first")


def test_a_refusal_keeps_its_words() -> None:
    refused = {"rule": "table", "at": "line 1, column 15", "reason": "no such table", "rewrite": None}
    problem = {"code": "refused", "detail": "refused (table) at line 1, column 15: no such table", "refused": refused}
    with serving(Says(httpx.Response(422, json=problem))) as (enclave, _), pytest.raises(Refused) as caught:
        enclave.preview("SELECT * FROM nothing")
    assert (str(caught.value), caught.value.rule) == (problem["detail"], "table")


@pytest.mark.parametrize("body", [b"not arrow", arrow_file(pa.table({"n": [1]}))])
def test_a_server_that_says_something_else_is_told(body: bytes) -> None:
    with serving(Says(body)) as (enclave, _), pytest.raises(EnclaveError) as caught:
        enclave.release(6)
    assert caught.value.code == "form"


@pytest.mark.parametrize(
    ("url", "flight"),
    [
        ("https://localhost:8443", "grpc+tls://localhost:8444"),
        ("https://enclave.example.jp/", "grpc+tls://enclave.example.jp:8444"),
        ("http://enclave.test", "grpc://enclave.test:8444"),
        ("http://127.0.0.1:8080", "grpc://127.0.0.1:8081"),
        ("https://[::1]:8443", "grpc+tls://[::1]:8444"),
    ],
)
def test_the_flight_port_is_the_next_one_or_its_own(url: str, flight: str) -> None:
    with enclave_client.connect(url, token="a-secret") as enclave:
        assert enclave.flight == flight
        assert "a-secret" not in repr(enclave)
    with enclave_client.connect(url, token="t", flight="grpc://elsewhere:1") as enclave:
        assert enclave.flight == "grpc://elsewhere:1"


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"login": "a"},
        {"password": "b"},
        {"token": "t", "login": "a", "password": "b"},
        {"token": "t", "login": "a"},
    ],
)
def test_there_is_one_way_in(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either"):
        enclave_client.connect("https://localhost:8443", **entry)


@pytest.mark.parametrize("url", ["localhost:8443", "ftp://localhost", "https://"])
def test_an_address_is_one(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        enclave_client.connect(url, token="t")


def answers(monkeypatch: pytest.MonkeyPatch, says: Handler) -> None:
    """Whoever connects by HTTP is answered so."""
    transport = httpx.MockTransport(says)
    monkeypatch.setattr(http, "client", lambda url, *_: httpx.Client(base_url=url, transport=transport))


def test_a_question_has_its_time() -> None:
    with FlightServer(answer_table()) as server:
        server.takes = 2.0
        begun = time.monotonic()
        flight = Flight(f"grpc://127.0.0.1:{server.port}", "a-token", timeout=0.3)
        with pytest.raises(EnclaveError) as caught:
            flight.ask("SELECT 1", {})
        assert (caught.value.code, time.monotonic() - begun < 1.8) == ("too-slow", True)
        flight.close()

    def late(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    with serving(late) as (enclave, _), pytest.raises(EnclaveError) as caught:
        enclave.memoranda()
    assert caught.value.code == "too-slow"


def test_time_is_limited_on_both_ports() -> None:
    with enclave_client.connect("http://enclave.test", token="t") as enclave:
        limits = [enclave._http._client.timeout.read, enclave._flight._timeout]
    with enclave_client.connect("http://enclave.test", token="t", timeout=60) as enclave:
        limits += [enclave._http._client.timeout.read, enclave._flight._timeout]
    assert limits == [900, 900, 60, 60]
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout"):
            enclave_client.connect("http://enclave.test", token="t", timeout=timeout)


def test_a_certificate_may_say_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(dbapi, "connect", lambda uri, *, db_kwargs, **_: given.update(db_kwargs))
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("# 教育研究データ\n-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    Flight("grpc+tls://localhost:1", "a-token", certificate, timeout=7).connect()
    assert given[DatabaseOptions.TLS_ROOT_CERTS.value].startswith("# 教育研究データ")
    assert {given[f"adbc.flight.sql.rpc.timeout_seconds.{call}"] for call in ("query", "fetch", "update")} == {"7"}


def test_logging_in_takes_name_password_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    says = Says(httpx.Response(201, json={"token": "enclave-session-1", "login": "a"}), [], httpx.Response(204))
    answers(monkeypatch, says)
    with enclave_client.connect("http://enclave.test", login="a", password="b", code="123456") as enclave:
        enclave.memoranda()
    assert json.loads(says.requests[0].content) == {"login": "a", "password": "b", "code": "123456"}
    assert [request.headers.get("authorization") for request in says.requests] == [
        None,
        "Bearer enclave-session-1",
        "Bearer enclave-session-1",
    ]


def test_who_is_not_let_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    says = Says(httpx.Response(401, json={"code": "wrong", "detail": "name, password or code is wrong"}))
    answers(monkeypatch, says)
    with pytest.raises(Unauthenticated, match="password or code is wrong") as caught:
        enclave_client.connect("http://enclave.test", login="a", password="b")
    assert caught.value.code == "wrong"


def test_no_server_is_told() -> None:
    with pytest.raises(EnclaveError) as caught:
        enclave_client.connect("http://127.0.0.1:1", login="a", password="b")
    assert caught.value.code == "unreachable"
