"""A log, a key and answers of our own, and servers that say what a test wants said."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.flight
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enclave_client import Enclave, table_sha256
from enclave_client.flight import Flight
from enclave_client.http import Http
from enclave_client.notes import LogKey

# --- A log -----------------------------------------------------------------------------------------------------------


def leaf_hash(leaf: str) -> bytes:
    return hashlib.sha256(b"\0" + leaf.encode()).digest()


def root(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(hashes[:split]) + root(hashes[split:])).digest()


def path(index: int, hashes: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, word by word."""
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if index < split:
        return [*path(index, hashes[:split]), root(hashes[split:])]
    return [*path(index - split, hashes[split:]), root(hashes[:split])]


class Log:
    """A log with a key; leaves are canonical JSON."""

    def __init__(self, name: str = "example.org/log") -> None:
        self.private = Ed25519PrivateKey.generate()
        self.key = LogKey(name, self.private.public_key().public_bytes_raw())
        self.leaves: list[str] = []

    def put(self, fields: Mapping[str, Any]) -> int:
        self.leaves.append(json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        return len(self.leaves) - 1

    def checkpoint(self) -> str:
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        return self.sign(f"{self.key.name}\n{len(hashes)}\n{base64.b64encode(root(hashes)).decode()}\n")

    def sign(self, body: str) -> str:
        signature = base64.b64encode(self.key.id + self.private.sign(body.encode())).decode()
        return f"{body}\n— {self.key.name} {signature}\n"

    def proven(self, index: int) -> dict[str, Any]:
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        proof = [base64.b64encode(sibling).decode() for sibling in path(index, hashes)]
        return {"index": index, "leaf": self.leaves[index], "proof": proof}

    def receipt(self, index: int) -> dict[str, Any]:
        """As the enclave makes it."""
        release = json.loads(self.leaves[index])
        question = json.loads(self.leaves[release["question_leaf"]])
        told = ("memorandum", "contract", "snapshot", "question", "mechanism", "scales")
        paid = ("contract_version", "rules", "purpose", "person", "rho_micro", "epsilon_micro", "threshold_delta")
        return {
            "format": "enclave-receipt/1",
            "terms": {name: release.get(name) for name in told}
            | {name: question.get(name) for name in paid}
            | {"asked": question.get("at"), "released": release.get("at")},
            "result": {name: release.get(name) for name in ("sha256", "table_sha256")},
            "release": self.proven(index),
            "question": self.proven(release["question_leaf"]),
            "checkpoint": self.checkpoint(),
            "key": str(self.key),
        }


QUESTION = "sha256:" + "5" * 64


def released(log: Log, table_digest: str | None, before: int = 5, after: int = 3) -> dict[str, Any]:
    """The receipt of a release among other leaves."""
    for i in range(before):
        log.put({"kind": "replay", "at": f"2026-04-01T00:00:0{i}Z"})
    same = {"question": QUESTION, "memorandum": "star-1", "contract": "star", "snapshot": "s1"}
    paid = log.put(
        same
        | {
            "kind": "question",
            "at": "2026-04-01T00:01:00Z",
            "contract_version": "1.0.0",
            "rules": "standard@1.0.0",
            "purpose": "class-size",
            "person": "r1",
            "rho_micro": 20000,
            "threshold_delta": 0.0,
        }
    )
    index = log.put(
        same
        | {
            "kind": "release",
            "at": "2026-04-01T00:01:01Z",
            "question_leaf": paid,
            "sha256": "6" * 64,
            "mechanism": "discrete gaussian",
            "scales": [[[7.5, 9.0]]],
        }
        | ({} if table_digest is None else {"table_sha256": table_digest})
    )
    for i in range(after):
        log.put({"kind": "replay", "at": f"2026-04-02T00:00:0{i}Z"})
    return log.receipt(index)


# --- Answers ---------------------------------------------------------------------------------------------------------

#: A key, a count and a mean by class type; one cell is hidden, one interval has no upper end.
ROWS: list[dict[str, Any]] = [
    {"cltype": "small", "n": (1762, 1734, 1790, "shown"), "math": (490.931, 486.4, 495.5, "shown")},
    {"cltype": "reg", "n": (2032, 2004, 2060, "shown"), "math": (483.2, 478.9, None, "shown")},
    {"cltype": 'a, "b"', "n": (None, None, None, "small cell"), "math": (None, None, None, "small cell")},
]


def measure(name: str, kind: pa.DataType, **facts: str) -> list[pa.Field]:
    def field(part: str) -> pa.Field:
        end, of = ("" if part == "value" else f"_{part}"), pa.string() if part == "status" else kind
        said = {"role": "measure", "of": name, "part": part, "confidence": "0.95", **facts}
        return pa.field(name + end, of, metadata={f"enclave:{key}": value for key, value in said.items()})

    return [field(part) for part in ("value", "low", "high", "status")]


def key(name: str, kind: pa.DataType) -> pa.Field:
    said = {"role": "key", "of": name, "part": "key"}
    return pa.field(name, kind, metadata={f"enclave:{key}": value for key, value in said.items()})


def answer_table(
    rows: list[dict[str, Any]] | None = None,
    fields: list[pa.Field] | None = None,
    log: Log | None = None,
    facts: Mapping[str, str | None] | None = None,
) -> pa.Table:
    """A table as the server sends it; with a log, with the receipt of its release."""
    rows = ROWS if rows is None else rows
    if fields is None:
        fields = [
            key("cltype", pa.string()),
            *measure("n", pa.int64(), aggregate="count", mechanism="discrete gaussian", scale="14.1"),
            *measure("math", pa.float64(), aggregate="avg", sensitivity='{"l2":275.0}', clipped="[250.0,800.0]"),
        ]
    flat = [
        [part for value in row.values() for part in (value if isinstance(value, tuple) else (value,))] for row in rows
    ]
    columns = [pa.array([row[i] for row in flat], type=field.type) for i, field in enumerate(fields)]
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    told: dict[str, str | None] = {
        "memorandum": "star-1",
        "question": QUESTION,
        "release": "sha256:" + "6" * 64,
        "replayed": "false",
        "preview": "false",
        "charged": '{"rho":0.02,"epsilon":0.7,"delta":1e-6}',
        "balance": '{"rho":9.5}',
        "log": "6",
    }
    if log is not None:
        told["receipt"] = json.dumps(released(log, table_sha256(table)))
    told |= facts or {}
    metadata = {f"enclave:{name}": value for name, value in told.items() if value is not None}
    return table.replace_schema_metadata(metadata)


def arrow_file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


# --- Servers ---------------------------------------------------------------------------------------------------------


def protobuf(number: int, data: bytes) -> bytes:
    """A field of a message that is bytes, a text or a message."""
    length, size = b"", len(data)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def flight_sql(name: str, body: bytes) -> bytes:
    """A message of FlightSql.proto as a command."""
    return protobuf(1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}".encode()) + protobuf(2, body)


class _Seen(pyarrow.flight.ServerMiddlewareFactory):  # type: ignore[misc]
    def __init__(self, seen: list[tuple[str, dict[str, str]]]) -> None:
        self.seen = seen

    def start_call(self, info: Any, headers: Mapping[str, list[Any]]) -> None:
        self.seen.append((info.method.name, {name: str(values[0]) for name, values in headers.items()}))


class FlightServer(pyarrow.flight.FlightServerBase):  # type: ignore[misc]
    """Takes any statement, and answers with one table."""

    def __init__(self, table: pa.Table) -> None:
        #: Each call, with its headers.
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sql: list[bytes] = []
        self.table = table
        #: Seconds before a question is answered.
        self.takes = 0.0
        super().__init__("grpc://127.0.0.1:0", middleware={"seen": _Seen(self.seen)})

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        if action.type != "CreatePreparedStatement":
            return []
        self.sql.append(action.body.to_pybytes())
        statement = protobuf(1, b"handle") + protobuf(3, pa.schema([]).serialize().to_pybytes())
        return [flight_sql("ActionCreatePreparedStatementResult", statement)]

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        if b"PreparedStatementQuery" not in descriptor.command:
            raise NotImplementedError("not asked by this test")
        time.sleep(self.takes)
        endpoint = pyarrow.flight.FlightEndpoint(b"ticket", [])
        # The driver takes what the schema says of the answer from here, not from the stream.
        return pyarrow.flight.FlightInfo(self.table.schema, descriptor, [endpoint], -1, -1)

    def do_get(self, context: Any, ticket: Any) -> Any:
        return pyarrow.flight.RecordBatchStream(self.table)


@contextmanager
def serving(
    handler: Callable[[httpx.Request], httpx.Response], table: pa.Table | None = None, **options: Any
) -> Iterator[tuple[Enclave, FlightServer]]:
    """An enclave whose HTTP port is `handler`, and whose Flight port answers with `table`."""
    with FlightServer(answer_table() if table is None else table) as server:
        client = httpx.Client(base_url="http://enclave.test", transport=httpx.MockTransport(handler))
        flight = Flight(f"grpc://127.0.0.1:{server.port}", "a-token")
        session = Http(client)
        session.bearer("a-token")
        with Enclave(session, flight, "a-token", options.pop("memorandum", "star-1"), **options) as enclave:
            yield enclave, server
