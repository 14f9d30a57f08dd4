"""A "no" is the same error, with the same words, whichever port it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from enclave_client import Busy, EnclaveError, Exhausted, Refused, Unauthenticated, Waiting
from enclave_client.errors import from_problem
from enclave_client.flight import Flight

REFUSED = (
    "refused (row-level) at line 1, column 8: rows of pupils (all of them) are not told: no\n  instead: SELECT 1; x"
)
REFUSED_WHOLE = "refused (limit): the price is over the limit: 0.1"
WAITING = (
    "the board decides on this before it runs: approval 7 is open\n  no-ranking: schools are not ranked\n  second\n"
    "ask again, as it is, once `enclave approvals show 7` says approved"
)
USED = "approval 7 was used already: a new one is needed"
SPENT = "the price of 0.2 rho is more than the balance of 0.1"
MANY = "too many requests; come back in 12 s"
BUSY = "too many questions wait already; ask again in a moment"

#: What the server says; as a status of gRPC, and as problem details.
CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    (
        REFUSED,
        "INVALID_ARGUMENT",
        422,
        {
            "code": "refused",
            "refused": {
                "rule": "row-level",
                "at": "line 1, column 8",
                "reason": "rows of pupils (all of them) are not told: no",
                "rewrite": "SELECT 1; x",
            },
        },
    ),
    (
        REFUSED_WHOLE,
        "INVALID_ARGUMENT",
        422,
        {
            "code": "refused",
            "refused": {"rule": "limit", "at": "", "reason": "the price is over the limit: 0.1", "rewrite": None},
        },
    ),
    (
        WAITING,
        "FAILED_PRECONDITION",
        409,
        {
            "code": "waiting",
            "waiting": {"approval": 7, "state": "open", "reasons": ["no-ranking: schools are not ranked", "second"]},
        },
    ),
    (
        USED,
        "FAILED_PRECONDITION",
        409,
        {"code": "waiting", "waiting": {"approval": 7, "state": "used", "reasons": []}},
    ),
    (SPENT, "RESOURCE_EXHAUSTED", 402, {"code": "exhausted"}),
    (MANY, "UNAVAILABLE", 429, {"code": "too-often"}),
    (BUSY, "UNAVAILABLE", 503, {"code": "busy"}),
    ("this session or token is not good", "UNAUTHENTICATED", 401, {"code": "unauthenticated"}),
    ("this token does not let ask", "PERMISSION_DENIED", 403, {"code": "denied"}),
    ("there is no such release — or it is not yours (児童)", "NOT_FOUND", 404, {"code": "not-found"}),
    ("the option `rho` is a number", "INVALID_ARGUMENT", 400, {"code": "invalid"}),
    ("the enclave is at fault; its operator is told", "INTERNAL", 500, {"code": "fault"}),
]

KINDS: dict[str, type[EnclaveError]] = {
    "refused": Refused,
    "waiting": Waiting,
    "exhausted": Exhausted,
    "busy": Busy,
    "too-often": Busy,
    "unauthenticated": Unauthenticated,
}


class Says(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A Flight server that answers every call with one status."""

    status: Any = None
    message = ""

    def service(self, details: Any) -> Any:
        def one(request: bytes, context: Any) -> bytes:
            context.abort(self.status, self.message)
            return b""

        def many(request: bytes, context: Any) -> Iterator[bytes]:
            yield one(request, context)

        if details.method.endswith("GetFlightInfo"):
            return grpc.unary_unary_rpc_method_handler(one)
        return grpc.unary_stream_rpc_method_handler(many)


@pytest.fixture(scope="module")
def says() -> Iterator[tuple[Says, Flight]]:
    server = grpc.server(ThreadPoolExecutor(2))
    handler = Says()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    flight = Flight(f"grpc://127.0.0.1:{port}", "a-token")
    yield handler, flight
    flight.close()
    server.stop(None)


def facts(error: EnclaveError) -> dict[str, Any]:
    return {"kind": type(error), "message": str(error), **vars(error)}


@pytest.mark.parametrize(("message", "status", "http", "problem"), CASES)
def test_both_ports_say_the_same(
    says: tuple[Says, Flight], message: str, status: str, http: int, problem: dict[str, Any]
) -> None:
    handler, flight = says
    handler.status, handler.message = grpc.StatusCode[status], message
    with pytest.raises(EnclaveError) as caught:
        flight.ask("SELECT 1", {})
    body = json.dumps({"type": "about:blank", "status": http, "detail": message, **problem}).encode()
    told = from_problem(http, body, "12" if http == 429 else "1")
    assert type(told) is KINDS.get(problem["code"], EnclaveError)
    assert str(told) == message
    assert facts(caught.value) == facts(told)


def test_what_is_said_in_detail() -> None:
    def problem(code: str, status: int) -> EnclaveError:
        message, _, http, told = next(case for case in CASES if case[3]["code"] == code and case[2] == status)
        return from_problem(http, json.dumps({"detail": message, **told}).encode(), "12")

    refused, waiting, busy = problem("refused", 422), problem("waiting", 409), problem("too-often", 429)
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.at, refused.rewrite) == ("row-level", "line 1, column 8", "SELECT 1; x")
    assert isinstance(waiting, Waiting)
    assert (waiting.approval, waiting.state, len(waiting.reasons)) == (7, "open", 2)
    assert isinstance(busy, Busy)
    assert busy.retry_after == 12


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"refused": 1, "code": "refused"}'])
def test_what_is_no_problem_is_an_error_all_the_same(body: bytes) -> None:
    error = from_problem(502, body)
    assert type(error) is EnclaveError
    assert "502" in str(error)


def test_no_server_is_told() -> None:
    flight = Flight("grpc://127.0.0.1:1", "a-token")
    with pytest.raises(EnclaveError) as caught:
        flight.ask("SELECT 1", {})
    assert caught.value.code == "unreachable"
