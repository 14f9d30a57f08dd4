"""The Flight SQL port, by the calls that JDBC's driver and DBeaver make, and by what an attacker would send: messages
that are made here, byte for byte, over gRPC.

Every refusal has the status that `docs/clients.md` gives it, is no fault, and says nothing of other people's things. At
the end the log verifies, and nothing was charged but what was answered.

    ENCLAVE_BIN=target/debug/enclave pytest tests/server/flight.py

With `ENCLAVE_SLOW` set, it also waits until a ticket is old. It needs what `clients/python/requirements.txt` installs.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pyarrow.flight
import pytest
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions, dbapi

BINARY = os.environ.get("ENCLAVE_BIN")
pytestmark = pytest.mark.skipif(BINARY is None, reason="ENCLAVE_BIN names no binary")

REPOSITORY = Path(__file__).resolve().parents[2]
PASSWORD = "seventeen herons cross the bay"
BODY_KIB = 256
OK, CODE = grpc.StatusCode.OK, grpc.StatusCode
COUNT = "SELECT cltype, COUNT(*) AS n FROM results WHERE gr = 'K' GROUP BY cltype"
BOUND = COUNT.replace("'K'", "?")


# --- Protocol Buffers, as far as they are needed ---------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def message(*fields: tuple[int, bytes | str | int | None]) -> bytes:
    """Numbered fields; `None` is left out."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif value is not None:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def fields(data: bytes) -> dict[int, list[Any]]:
    """What a message holds, by number."""
    found: dict[int, list[Any]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        value: Any = number()
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        found.setdefault(tag >> 3, []).append(value)
    return found


def packed(name: str, *inside: tuple[int, bytes | str | int | None]) -> bytes:
    """A message of FlightSql.proto in `google.protobuf.Any`."""
    return message((1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}"), (2, message(*inside)))


def command(data: bytes) -> bytes:
    """A `FlightDescriptor` of a command."""
    return message((1, 2), (2, data))


def action(kind: str, body: bytes = b"") -> bytes:
    return message((1, kind), (2, body))


def statement(sql: str) -> bytes:
    return packed("CommandStatementQuery", (1, sql))


def prepared(handle: bytes) -> bytes:
    return packed("CommandPreparedStatementQuery", (1, handle))


def preparing(sql: str) -> bytes:
    return action("CreatePreparedStatement", packed("ActionCreatePreparedStatementRequest", (1, sql)))


def closes(handle: bytes) -> bytes:
    return action("ClosePreparedStatement", packed("ActionClosePreparedStatementRequest", (1, handle)))


def ticket_of(handle: bytes) -> bytes:
    return message((1, packed("TicketStatementQuery", (1, handle))))


def options_of(**options: str) -> bytes:
    """`SetSessionOptionsRequest`."""
    return message(*((1, message((1, name), (2, message((1, value))))) for name, value in options.items()))


def encapsulated(data: bytes) -> tuple[bytes, bytes]:
    """An Arrow IPC message as Flight sends it: its head, and its body."""
    end = 8 + int.from_bytes(data[4:8], "little")
    return data[8:end], data[end:]


def put(to: bytes, *batches: pa.RecordBatch, schema: pa.Schema | None = None) -> list[bytes]:
    """`FlightData` messages."""
    schema = batches[0].schema if schema is None else schema
    head, _ = encapsulated(schema.serialize().to_pybytes())
    parts = [encapsulated(batch.serialize().to_pybytes()) for batch in batches]
    return [message((1, command(to)), (2, head)), *(message((2, head), (1000, body)) for head, body in parts)]


def streamed(to: bytes, batch: pa.RecordBatch) -> list[bytes]:
    """`FlightData` messages of a batch with its dictionaries."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    parts = [
        message((2, part.metadata.to_pybytes()), (1000, b"" if part.body is None else part.body.to_pybytes()))
        for part in pa.ipc.MessageReader.open_stream(sink.getvalue())
    ]
    return [message((1, command(to))) + parts[0], *parts[1:]]


def row(*values: Any) -> pa.RecordBatch:
    return pa.record_batch([pa.array([value]) for value in values], names=[f"${i + 1}" for i in range(len(values))])


# --- An enclave with two memoranda -----------------------------------------------------------------------------------


@dataclass
class Said:
    """What came back of a call."""

    code: grpc.StatusCode
    words: str
    messages: list[bytes]
    headers: dict[str, str]

    def fine(self) -> Said:
        assert self.code == OK, (self.code, self.words)
        return self

    def refused(self, *codes: grpc.StatusCode, says: str = "") -> str:
        """Refused so, without a fault of the enclave, and without a word of others."""
        assert self.code in codes, (self.code, self.words, self.messages)
        assert says in self.words, self.words
        for word in ("other-1", "taro", " r2", "/r2", "panicked", ".rs:", "/home", "sqlite", "Error("):
            assert word not in self.words, self.words
        return self.words


class Enclave:
    """A home of its own, served on ports that the system picks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paper = (REPOSITORY / "memoranda/examples/star-1.toml").read_text()
        (folder / "star-1.toml").write_text(paper)
        (folder / "other-1.toml").write_text(paper.replace("star-1", "other-1").replace('"r1"', '"r2"'))
        self.run("init")
        self.run("contract", "publish", str(REPOSITORY / "datasets-synthetic/formats/star/datapackage.json"))
        self.run("ingest", "star", f"results={REPOSITORY / 'tests/data/star.csv'}")
        for name in ("star-1", "other-1"):
            self.run("memorandum", "sign", f"{name}.toml")
        #: ρ that was charged for what was answered, by memorandum.
        self.charged = {"star-1": 0.0, "other-1": 0.0}
        #: Everything that must be in no log.
        self.told: set[str] = {PASSWORD}
        self.lines: list[str] = []
        self.serve("limits.requests_per_minute=1000000")

    def serve(self, *settings: str) -> None:
        served = [os.path.abspath(BINARY or ""), "serve", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
        for setting in ("limits.log_ins_per_minute=100000", f"limits.body_kib={BODY_KIB}", *settings):
            served += ["--set", setting]
        self.process = subprocess.Popen(
            served, cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("serving "):
                break
        else:
            pytest.fail("the enclave is not served:\n" + "".join(self.lines))
        _, self.url, _, self.flight = (word.rstrip(";") for word in self.lines[-1].split()[:4])
        stderr = self.process.stderr
        threading.Thread(target=lambda: self.lines.extend(stderr), daemon=True).start()
        self.certificate = (self.folder / "home" / "tls" / "certificate.pem").read_bytes()
        trust = ssl.create_default_context(cadata=self.certificate.decode())
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", verify=trust, trust_env=False, timeout=30)
        self.channel = grpc.secure_channel(
            self.flight.partition("://")[2], grpc.ssl_channel_credentials(self.certificate)
        )

    def stop(self) -> None:
        self.http.close()
        self.channel.close()
        self.process.terminate()
        assert self.process.wait(60) == 0

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ENCLAVE_")}
        return kept | {"ENCLAVE_HOME": str(self.folder / "home")}

    def run(self, *arguments: str) -> str:
        line = [os.path.abspath(BINARY or ""), *arguments]
        done = subprocess.run(line, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def invite(self, person: str) -> str:
        return self.run("people", "invite", person).strip().rpartition("/join/")[2]

    def api(self, method: str, path: str, bearer: str = "", body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        sent = self.http.request(method, path, json=body, headers=headers)
        assert sent.is_success, sent.text
        return sent.json() if sent.content else None

    def call(
        self, method: str, *messages: bytes, compression: grpc.Compression | None = None, **headers: str | bytes
    ) -> Said:
        """A call as it is; every method of gRPC is a stream of messages, each way."""
        method = method if "/" in method else f"/arrow.flight.protocol.FlightService/{method}"
        metadata = [(name.replace("_", "-"), value) for name, value in headers.items()]
        begun = self.channel.stream_stream(method)(
            iter(messages), metadata=metadata, timeout=60, compression=compression
        )
        got: list[bytes] = []
        with suppress(grpc.RpcError):
            got.extend(begun)
        heads = {str(name): str(value) for name, value in begun.initial_metadata() or ()}
        return Said(begun.code(), begun.details() or "", got, heads)

    @contextmanager
    def within(self, mebibytes: int) -> Iterator[None]:
        """Takes no more memory than this for what is done within; looked at on Linux alone."""
        place = Path(f"/proc/{self.process.pid}")

        def most() -> int:
            return int((place / "status").read_text().partition("VmHWM:")[2].split()[0]) // 1024

        if not (place / "clear_refs").exists():
            yield
            return
        # From here on the most is counted anew (proc(5)).
        (place / "clear_refs").write_text("5")
        before = most()
        yield
        assert self.process.poll() is None, "the enclave is gone:\n" + "".join(self.lines[-40:])
        assert most() - before < mebibytes, f"{most() - before} MiB"


@dataclass
class Person:
    """Somebody with a log-in, under one memorandum."""

    enclave: Enclave
    login: str
    memorandum: str
    bearer: str
    headers: dict[str, str | bytes] = field(default_factory=dict)

    def call(self, method: str, *messages: bytes, **headers: Any) -> Said:
        sent = {"authorization": f"Bearer {self.bearer}"} | self.headers | headers
        return self.enclave.call(method, *messages, **sent)

    def asks(self, about: bytes, **headers: Any) -> bytes:
        """The ticket of a question that is answered; what it cost is kept count of."""
        (info,) = self.call("GetFlightInfo", command(about), **headers).fine().messages
        told = fields(info)
        schema = pa.ipc.read_schema(pa.py_buffer(told[1][0]))
        facts = schema.metadata or {}
        if facts.get(b"enclave:replayed") == facts.get(b"enclave:preview") == b"false":
            self.enclave.charged[self.memorandum] += json.loads(facts[b"enclave:charged"])["rho"]
        (ticket,) = fields(told[3][0])[1]
        return bytes(ticket)

    def prepares(self, sql: str, **headers: Any) -> bytes:
        (body,) = fields(self.call("DoAction", preparing(sql), **headers).fine().messages[0])[1]
        (result,) = fields(body)[2]
        return bytes(fields(result)[1][0])

    def schema_of(self, about: bytes) -> pa.Schema:
        (told,) = self.call("GetSchema", command(about)).fine().messages
        return pa.ipc.read_schema(pa.py_buffer(fields(told)[1][0]))

    def fetches(self, ticket: bytes) -> pa.Table:
        return read(self.call("DoGet", ticket).fine().messages)

    def token(self, *scopes: str) -> Person:
        asked = {"label": "t", "scopes": list(scopes), "memorandum": self.memorandum, "days": 1}
        made = self.enclave.api("POST", "/tokens", self.bearer, asked)["token"]
        self.enclave.told.add(made)
        return Person(self.enclave, self.login, self.memorandum, made)


def read(messages: list[bytes]) -> pa.Table:
    """The table in `FlightData` messages."""
    stream = b""
    for data in map(fields, messages):
        head = data[2][0]
        stream += b"\xff\xff\xff\xff" + len(head).to_bytes(4, "little") + head + data.get(1000, [b""])[0]
    return pa.ipc.open_stream(stream + b"\xff\xff\xff\xff\0\0\0\0").read_all()


@pytest.fixture(scope="module")
def enclave(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enclave]:
    enclave = Enclave(tmp_path_factory.mktemp("flight"))
    yield enclave
    enclave.stop()


def joins(enclave: Enclave, memorandum: str, person: str, login: str) -> Person:
    invitation = enclave.invite(f"{memorandum}/{person}")
    enclave.api("POST", "/invitations/accept", body={"invitation": invitation, "login": login, "password": PASSWORD})
    session = enclave.api("POST", "/sessions", body={"login": login, "password": PASSWORD})["token"]
    enclave.told |= {invitation, session}
    return Person(enclave, login, memorandum, session)


@pytest.fixture(scope="module")
def hanako(enclave: Enclave) -> Person:
    return joins(enclave, "star-1", "r1", "hanako")


@pytest.fixture(scope="module")
def taro(enclave: Enclave) -> Person:
    return joins(enclave, "other-1", "r2", "taro")


def basic(name: str, password: str, padded: bool = True) -> str:
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return "Basic " + (encoded if padded else encoded.rstrip("="))


# --- As drivers call -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padded", [True, False])
def test_a_handshake_gives_a_bearer(enclave: Enclave, hanako: Person, padded: bool) -> None:
    shown = basic("hanako", PASSWORD, padded)
    assert shown.endswith("=") == padded
    # Java sends one empty message, Go and C++ none.
    for sent in ([message()], []):
        said = enclave.call("Handshake", *sent, authorization=shown).fine()
        scheme, _, bearer = said.headers["authorization"].partition(" ")
        enclave.told.add(bearer)
        assert scheme == "Bearer" and fields(said.messages[0])[2] == [bearer.encode()]
        assert bearer.startswith("enclave-session-") and bearer != hanako.bearer
        again = enclave.call("Handshake", authorization=f"Bearer {bearer}").fine()
        assert again.headers["authorization"] == f"Bearer {bearer}"
        assert Person(enclave, "hanako", "star-1", bearer).call("DoAction", action("GetSessionOptions")).code == OK


def test_a_token_comes_as_a_password(enclave: Enclave, hanako: Person) -> None:
    token = hanako.token("read")
    said = enclave.call("Handshake", authorization=basic("token", token.bearer)).fine()
    assert said.headers["authorization"] == f"Bearer {token.bearer}"


class Cookies(pyarrow.flight.ClientMiddlewareFactory):  # type: ignore[misc]
    """Keeps the cookies of one connection, as drivers do."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.attributes = ""

    def start_call(self, info: Any) -> Any:
        kept = self

        class Call(pyarrow.flight.ClientMiddleware):  # type: ignore[misc]
            def sending_headers(self) -> dict[str, str]:
                pairs = "; ".join(f"{name}={value}" for name, value in kept.kept.items())
                return {"cookie": pairs} if pairs else {}

            def received_headers(self, headers: dict[str, list[str]]) -> None:
                for cookie in headers.get("set-cookie", []):
                    pair, _, kept.attributes = cookie.partition(";")
                    name, _, value = pair.partition("=")
                    kept.kept[name] = value

        return Call()


def functions() -> list[str]:
    """Those that `docs/sql.md` lists."""
    page = (REPOSITORY / "docs/sql.md").read_text().partition("\n## Functions\n")[2].partition("\n## ")[0]
    rows = (line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    return sorted(name for names in rows for name in re.findall(r"`([^`]+)`", names))


FOREIGN = [
    *("pk_catalog_name", "pk_db_schema_name", "pk_table_name", "pk_column_name"),
    *("fk_catalog_name", "fk_db_schema_name", "fk_table_name", "fk_column_name"),
    *("key_sequence", "fk_key_name", "pk_key_name", "update_rule", "delete_rule"),
]


def test_the_calls_of_jdbc_and_dbeaver(enclave: Enclave, hanako: Person) -> None:
    cookies = Cookies()
    trusted = {"tls_root_certs": enclave.certificate, "middleware": [cookies]}
    with pyarrow.flight.FlightClient(enclave.flight, **trusted) as client:
        name, bearer = client.authenticate_basic_token("hanako", PASSWORD)
        enclave.told.add(bearer.decode().removeprefix("Bearer "))
        call = pyarrow.flight.FlightCallOptions(headers=[(name, bearer)], timeout=60)

        def acts(kind: str, body: bytes = b"") -> list[bytes]:
            results = client.do_action(pyarrow.flight.Action(kind, body), call)
            return [result.body.to_pybytes() for result in results]

        def fetched(about: bytes) -> tuple[Any, pa.Table]:
            info = client.get_flight_info(pyarrow.flight.FlightDescriptor.for_command(about), call)
            (endpoint,) = info.endpoints
            assert endpoint.locations == []
            table = client.do_get(endpoint.ticket, call).read_all()
            assert table.schema.equals(info.schema, check_metadata=True) and info.total_records == table.num_rows
            return info, table

        def listed(about: str, *inside: tuple[int, bytes | str | int | None]) -> list[dict[str, Any]]:
            entries: list[dict[str, Any]] = fetched(packed(about, *inside))[1].to_pylist()
            return entries

        # The catalogue of the connection, kept by its cookie.
        assert acts("SetSessionOptions", options_of(catalog="star-1")) == [b""]
        assert list(cookies.kept) == ["arrow_flight_session_id"]
        assert {"Secure", "HttpOnly"} <= {part.strip() for part in cookies.attributes.split(";")}
        (body,) = acts("GetSessionOptions")
        assert message((1, "star-1")) in [fields(entry)[2][0] for entry in fields(body)[1]]

        # What the server is.
        (whole, some) = (listed("CommandGetSqlInfo"), listed("CommandGetSqlInfo", (1, 0), (1, 3), (1, 9)))
        info = {entry["info_name"]: entry["value"] for entry in whole}
        assert info[0] == "enclave" and info[3] is True and info[5] is False and info[504] == '"'
        # Every entry of the protocol, of the type that the driver takes it for.
        assert set(info) == {*range(12), 100, 101, *range(500, 577)}
        assert info[563] is False and info[562] == 0 and info[557] == 20_000 and info[513] == "\\"
        assert sorted(name for entry in (509, 510, 511, 512) for name in info[entry]) == functions()
        assert dict(info[517])[19] == [0, 6, 2, 19, 4, 16]
        # An id that is not known is left out, or refused by none.
        assert {entry["info_name"] for entry in some} <= {0, 3, 9} and len(some) >= 2

        # What there is: no catalogue but one's own, no column but what the memorandum lists.
        assert listed("CommandGetCatalogs") == [{"catalog_name": "star-1"}]
        schema = {"catalog_name": "star-1", "db_schema_name": "star"}
        assert listed("CommandGetDbSchemas") == [schema]
        assert listed("CommandGetDbSchemas", (1, "star-1"), (2, "s%")) == [schema]
        assert listed("CommandGetTableTypes") == [{"table_type": "TABLE"}]
        (plain,) = listed("CommandGetTables", (3, "res%"), (4, "TABLE"), (5, 0))
        assert plain == schema | {"table_name": "results", "table_type": "TABLE"}
        (table,) = listed("CommandGetTables", (1, "star-1"), (2, "star"), (3, "results"), (5, 1))
        columns = pa.ipc.read_schema(pa.py_buffer(table.pop("table_schema")))
        assert table == plain and columns.field("math").type == pa.float64()
        assert not {"id", "birthq", "birthy", "tch"} & set(columns.names)
        assert listed("CommandGetTables", (3, "nothing")) == listed("CommandGetTables", (4, "VIEW")) == []

        # Keys: the primary one holds a column that is not listed.
        named = ((1, "star-1"), (2, "star"), (3, "results"))
        keys, none = fetched(packed("CommandGetPrimaryKeys", *named))
        assert none.num_rows == 0 and keys.schema.names[-2:] == ["key_sequence", "key_name"]
        for about in ("CommandGetImportedKeys", "CommandGetExportedKeys"):
            assert fetched(packed(about, *named))[1].schema.names == FOREIGN
        crossed = (*named, (4, "star-1"), (5, "star"), (6, "results"))
        assert fetched(packed("CommandGetCrossReference", *crossed))[1].schema.names == FOREIGN
        types = {entry["type_name"] for entry in listed("CommandGetXdbcTypeInfo")}
        assert types == {"boolean", "integer", "number", "string", "date", "datetime"}
        assert [entry["type_name"] for entry in listed("CommandGetXdbcTypeInfo", (1, 8))] == ["number"]

        # A prepared statement without values tells its schema, and with them how many.
        assert acts("SetSessionOptions", options_of(rho="0.02", purpose="class-size")) == [b""]
        (body,) = acts("CreatePreparedStatement", fields(preparing(COUNT))[2][0])
        told = fields(fields(body)[2][0])
        assert pa.ipc.read_schema(pa.py_buffer(told[2][0])).names == ["cltype", "n", "n_low", "n_high", "n_status"]
        literal = fetched(prepared(told[1][0]))[1]
        enclave.charged["star-1"] += 0.02
        assert json.loads(literal.schema.metadata[b"enclave:charged"])["rho"] == 0.02
        assert acts("ClosePreparedStatement", fields(closes(told[1][0]))[2][0]) == []

        (body,) = acts("CreatePreparedStatement", fields(preparing(BOUND))[2][0])
        told = fields(fields(body)[2][0])
        assert pa.ipc.read_schema(pa.py_buffer(told[3][0])).types == [pa.string()]
        # An empty one would be an update to the driver.
        assert pa.ipc.read_schema(pa.py_buffer(told[2][0])).names == ["cltype", "n", "n_low", "n_high", "n_status"]
        handle = told[1][0]
        descriptor = pyarrow.flight.FlightDescriptor.for_command(prepared(handle))
        values = row("K")
        writer, reader = client.do_put(descriptor, values.schema, call)
        with writer:
            writer.write_batch(values)
            writer.done_writing()
            assert fields(reader.read().to_pybytes()) == {1: [handle]}
        _, bound = fetched(prepared(handle))
        assert bound.schema.metadata[b"enclave:replayed"] == b"true" and bound.equals(literal)
        assert acts("ClosePreparedStatement", fields(closes(handle))[2][0]) == []

        # The end of the session ends its options.
        assert acts("CloseSession") == [message((1, 1))]
        assert acts("GetSessionOptions") == [b""]


@pytest.fixture
def adbc(enclave: Enclave, hanako: Person) -> Iterator[Any]:
    options = {
        DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {hanako.bearer}",
        DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true",
        DatabaseOptions.TLS_ROOT_CERTS.value: enclave.certificate.decode(),
    }
    with dbapi.connect(enclave.flight, db_kwargs=options, autocommit=True) as connection:
        yield connection


def test_adbc_keeps_the_options_of_its_session(adbc: Any) -> None:
    prefix = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
    adbc.adbc_connection.set_options(**{f"{prefix}rho": "0.02"})
    for name in ("star-1", "no-such", "star-1"):
        adbc.adbc_current_catalog = name
        with closing(adbc.cursor()) as cursor:
            if name == "star-1":
                schema = cursor.adbc_execute_schema(COUNT)
                assert json.loads(schema.metadata[b"enclave:charged"])["rho"] == 0.02
            else:
                with pytest.raises(dbapi.Error, match="no memorandum of this id"):
                    cursor.adbc_execute_schema(COUNT)


def test_adbc_is_told_its_catalogue_and_data_set(adbc: Any) -> None:
    adbc.adbc_current_catalog = "star-1"
    assert adbc.adbc_current_catalog == "star-1"
    adbc.adbc_current_db_schema = "star"
    assert adbc.adbc_current_db_schema == "star"
    with pytest.raises(dbapi.Error):
        adbc.adbc_current_db_schema = "no-such"
    assert adbc.adbc_current_db_schema == "star"


COUNTED = ["n", "n_low", "n_high", "n_status"]


def test_adbc_is_told_which_values_a_statement_takes(adbc: Any) -> None:
    adbc.adbc_current_catalog = "star-1"
    sql = "SELECT cltype, COUNT(*) AS n FROM results WHERE gr = ? AND math > ? GROUP BY cltype"
    with closing(adbc.cursor()) as cursor:
        assert cursor.adbc_prepare(sql).types == [pa.string(), pa.float64()]
        assert cursor.adbc_execute_schema(sql, ("K", 500.0)).names == ["cltype", *COUNTED]


@pytest.mark.parametrize(
    ("rest", "types"),
    [
        ("WHERE math BETWEEN ? AND $2", [pa.float64(), pa.float64()]),
        ("WHERE star.results.yrs IN (?, 2, ?) AND r.sx LIKE ?", [pa.int64(), pa.int64(), pa.string()]),
        ("WHERE ? <= Read / ?", [pa.float64(), pa.float64()]),
        ("GROUP BY gr HAVING COUNT(*) > ? LIMIT ?", [pa.int64(), pa.int64()]),
        # Columns that the memorandum does not list are as those that are not there.
        ("WHERE birthy = ? OR tch = ? OR nothing = ?", [pa.string()] * 3),
    ],
)
def test_values_have_the_types_of_columns_that_are_listed(hanako: Person, rest: str, types: list[pa.DataType]) -> None:
    said = hanako.call("DoAction", preparing(f"SELECT COUNT(*) AS n FROM results {rest}")).fine()
    told = fields(fields(fields(said.messages[0])[1][0])[2][0])
    assert pa.ipc.read_schema(pa.py_buffer(told[3][0])).types == types
    hanako.call("DoAction", closes(told[1][0])).fine()


def test_a_schema_is_told_without_a_charge(hanako: Person) -> None:
    told = hanako.schema_of(statement(COUNT))
    assert told.names == ["cltype", *COUNTED] and told.metadata[b"enclave:preview"] == b"true"
    handle = hanako.prepares(BOUND)
    hanako.call("GetSchema", command(prepared(handle))).refused(CODE.INVALID_ARGUMENT, says="1 parameters")
    hanako.call("DoPut", *put(prepared(handle), row("K"))).fine()
    assert hanako.schema_of(prepared(handle)).names == told.names
    hanako.call("DoAction", closes(handle)).fine()
    hanako.call("GetSchema", command(prepared(handle))).refused(CODE.NOT_FOUND, says=CLOSED)
    named = ((1, "star-1"), (2, "star"), (3, "results"))
    for about in (
        *(packed(f"CommandGet{name}") for name in ("Catalogs", "DbSchemas", "TableTypes", "SqlInfo", "XdbcTypeInfo")),
        *(packed("CommandGetTables", (5, included)) for included in (0, 1)),
        *(packed(f"CommandGet{name}", *named) for name in ("PrimaryKeys", "ImportedKeys", "ExportedKeys")),
        packed("CommandGetCrossReference", *named, (4, "star-1"), (5, "star"), (6, "results")),
    ):
        assert hanako.schema_of(about).equals(hanako.fetches(hanako.asks(about)).schema), about
    hanako.call("GetSchema", command(statement("SELECT * FROM results"))).refused(CODE.INVALID_ARGUMENT)
    hanako.token("read").call("GetSchema", command(statement(COUNT))).refused(CODE.PERMISSION_DENIED, says="`preview`")
    hanako.call("GetSchema", command(packed("CommandStatementSubstraitPlan"))).refused(CODE.UNIMPLEMENTED)


# --- Tickets and statements ------------------------------------------------------------------------------------------


GONE = "this ticket is not good"


def test_a_ticket_is_good_once_for_its_owner(hanako: Person, taro: Person) -> None:
    ticket = hanako.asks(statement(COUNT), enclave_rho="0.02")
    taro.call("DoGet", ticket).refused(CODE.NOT_FOUND, says=GONE)
    assert hanako.fetches(ticket).num_rows == 3
    hanako.call("DoGet", ticket).refused(CODE.NOT_FOUND, says=GONE)
    # Of the catalogue as well, and by another token of its owner.
    ticket = taro.asks(packed("CommandGetTables", (5, 1)))
    hanako.call("DoGet", ticket).refused(CODE.NOT_FOUND, says=GONE)
    assert taro.token("read").fetches(ticket).num_rows == 1


def test_a_ticket_is_none_of_ones_own(hanako: Person) -> None:
    handle = hanako.prepares(BOUND)
    for forged in (b"", b"0" * 32, b"\xff" * 32, b"a" * 100_000, handle, b"' OR 1=1 --"):
        hanako.call("DoGet", ticket_of(forged)).refused(CODE.NOT_FOUND, says=GONE)
    hanako.call("DoAction", closes(handle)).fine()


def test_a_ticket_is_no_command(enclave: Enclave, hanako: Person) -> None:
    for about in (
        statement(COUNT),
        prepared(b"0" * 32),
        packed("CommandStatementUpdate", (1, "DELETE FROM results")),
        packed("CommandStatementSubstraitPlan", (1, b"")),
        *(packed(f"CommandGet{name}") for name in ("Catalogs", "DbSchemas", "Tables", "TableTypes", "SqlInfo")),
        *(packed(f"CommandGet{name}") for name in ("PrimaryKeys", "ImportedKeys", "ExportedKeys", "XdbcTypeInfo")),
        packed("CommandGetCrossReference"),
        packed("NoSuchCommand"),
        message((1, "type.googleapis.com/google.protobuf.Struct"), (2, b"")),
        b"",
    ):
        hanako.call("DoGet", message((1, about))).refused(CODE.UNIMPLEMENTED)
        enclave.call("DoGet", message((1, about))).refused(CODE.UNIMPLEMENTED, CODE.UNAUTHENTICATED)


def test_a_ticket_is_good_for_a_minute(hanako: Person) -> None:
    said = " ".join((REPOSITORY / "docs/clients.md").read_text().split())
    assert "A ticket is good once, for a minute, for the log-in it was given to" in said
    if "ENCLAVE_SLOW" in os.environ:
        ticket = hanako.asks(packed("CommandGetCatalogs"))
        time.sleep(61)
        hanako.call("DoGet", ticket).refused(CODE.NOT_FOUND, says=GONE)


CLOSED = "this prepared statement is closed, or not yours"


def test_a_prepared_statement_is_its_owner_s(hanako: Person, taro: Person) -> None:
    handle = hanako.prepares(BOUND)
    hanako.call("DoPut", *put(prepared(handle), row("K"))).fine()
    taro.call("GetFlightInfo", command(prepared(handle))).refused(CODE.NOT_FOUND, says=CLOSED)
    taro.call("DoPut", *put(prepared(handle), row("1"))).refused(CODE.NOT_FOUND, says=CLOSED)
    # To close what is not there is no mistake; and does nothing.
    taro.call("DoAction", closes(handle)).fine()
    taro.call("DoAction", closes(b"0" * 32)).fine()
    ticket = hanako.asks(prepared(handle), enclave_rho="0.02")
    assert set(hanako.fetches(ticket).column("n_status").to_pylist()) == {"shown"}
    hanako.call("DoAction", closes(handle)).fine()
    for gone in (handle, b"", b"0" * 32, b"\xff\xfe", ticket):
        hanako.call("GetFlightInfo", command(prepared(gone))).refused(CODE.NOT_FOUND, says=CLOSED)
        hanako.call("DoPut", *put(prepared(gone), row("K"))).refused(CODE.NOT_FOUND, says=CLOSED)


def test_a_session_is_its_owner_s(hanako: Person, taro: Person) -> None:
    said = hanako.call("DoAction", action("SetSessionOptions", options_of(purpose="class-size"))).fine()
    cookie = said.headers["set-cookie"].partition(";")[0]

    def options(person: Person) -> bytes:
        (body,) = fields(person.call("DoAction", action("GetSessionOptions"), cookie=cookie).fine().messages[0]).get(
            1, [b""]
        )
        return bytes(body)

    kept = options(hanako)
    assert kept and options(taro) == b""
    taro.call("DoAction", action("CloseSession"), cookie=cookie).fine()
    assert options(hanako) == kept
    taro.call("DoAction", action("SetSessionOptions", options_of(rho="1")), cookie=cookie)
    assert options(hanako) == kept, "somebody else's options took the place of one's own"
    assert b"class-size" not in options(taro)


def test_a_cookie_is_none_of_ones_own(hanako: Person) -> None:
    for cookie in ("arrow_flight_session_id=", "arrow_flight_session_id=x", ";;=;", "a" * 5000):
        hanako.call("DoAction", action("GetSessionOptions"), cookie=cookie).fine()
        hanako.call("DoAction", action("CloseSession"), cookie=cookie).fine()


# --- Who calls -------------------------------------------------------------------------------------------------------


WAYS: dict[str, list[bytes]] = {
    "GetFlightInfo": [command(statement(COUNT))],
    "DoGet": [ticket_of(b"0" * 32)],
    "DoPut": put(prepared(b"0" * 32), row("K")),
    "DoAction": [preparing(COUNT)],
    "DoExchange": put(statement(COUNT), row("K")),
}


def test_a_bearer_lets_in_or_not(enclave: Enclave, hanako: Person) -> None:
    ended = enclave.api("POST", "/sessions", body={"login": "hanako", "password": PASSWORD})["token"]
    invitation = enclave.invite("star-1/r1")
    enclave.told |= {ended, invitation}
    enclave.api("DELETE", "/sessions/current", ended)
    asked = {"label": "t", "scopes": ["ask"], "days": 1}
    made = enclave.api("POST", "/tokens", hanako.bearer, asked)
    token = made["token"]
    enclave.told.add(token)
    enclave.api("DELETE", f"/tokens/{made['id']}", hanako.bearer)
    wrong = {
        "ended": ended,
        "taken away": token,
        "an invitation": invitation,
        "of another kind": hanako.bearer.replace("session", "token"),
        "shorter": hanako.bearer[:-1],
        "longer": hanako.bearer + "0",
        "too long": hanako.bearer + "0" * 6000,
        "in capitals": hanako.bearer.upper(),
        "a name": "hanako",
        "nothing": "",
        "SQL": "' OR '1'='1",
    }
    words = set()
    for why, bearer in wrong.items():
        shown = f"Bearer {bearer}"
        for method, sent in WAYS.items():
            words.add(enclave.call(method, *sent, authorization=shown).refused(CODE.UNAUTHENTICATED))
        said = enclave.call("Handshake", authorization=shown).refused(CODE.UNAUTHENTICATED)
        assert enclave.call("Handshake", authorization=basic("token", bearer)).code == CODE.UNAUTHENTICATED, why
        words.add(said)
        assert bearer not in said or bearer == ""
    # Nothing says whether a bearer was ever good.
    assert len(words) <= 2, words
    for headers in ({}, {"authorization": basic("hanako", PASSWORD)}, {"authorization": "Bearer"}, {"token": token}):
        for method, sent in WAYS.items():
            enclave.call(method, *sent, **headers).refused(CODE.UNAUTHENTICATED)


def test_a_handshake_that_is_none(enclave: Enclave, hanako: Person) -> None:
    invitation = enclave.invite("star-1/r1")
    enclave.told.add(invitation)
    wrong = [
        basic("hanako", PASSWORD + "x"),
        basic("hanako", ""),
        basic("nobody", PASSWORD),
        basic("", ""),
        basic("token", invitation),
        basic("token", ""),
        basic("hanako", "x" * 700),
        "Basic " + "A" * 5000,
        "Basic !!!!",
        "Basic",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"hanako").decode(),
        "Digest username=hanako",
        "",
    ]
    for shown in wrong:
        enclave.call("Handshake", message((2, b"x")), authorization=shown).refused(CODE.UNAUTHENTICATED)
    enclave.call("Handshake", message((1, 1))).refused(CODE.UNAUTHENTICATED)
    # A name that is there and one that is not are told the same.
    words = {enclave.call("Handshake", authorization=shown).words for shown in wrong[:3]}
    assert len(words) == 1, words


def test_a_token_does_what_its_scopes_say(hanako: Person) -> None:
    previewing, reading = hanako.token("read", "preview"), hanako.token("read")
    for about in (statement(COUNT), statement(f"{COUNT} /* enclave: rho=0.02 fresh */")):
        for person in (previewing, reading):
            said = person.call("GetFlightInfo", command(about)).refused(CODE.PERMISSION_DENIED)
            assert "`ask`" in said
    handle = previewing.prepares(COUNT)
    previewing.call("GetFlightInfo", command(prepared(handle))).refused(CODE.PERMISSION_DENIED)
    previewing.fetches(previewing.asks(statement(COUNT), enclave_preview="true"))
    for asked in (preparing(COUNT), preparing(f"{COUNT} -- enclave: preview=true")):
        reading.call("DoAction", asked).refused(CODE.PERMISSION_DENIED, says="`preview`")
    asking = hanako.token("ask")
    assert asking.fetches(asking.asks(statement(COUNT), enclave_rho="0.02")).num_rows == 3


# --- Other people's memoranda ----------------------------------------------------------------------------------------


def test_a_memorandum_of_others_is_as_none(enclave: Enclave, hanako: Person, taro: Person) -> None:
    def by_header(name: str, what: str) -> Said:
        return hanako.call("GetFlightInfo", command(statement(COUNT)), **{f"enclave_{what}": name})

    def by_comment(name: str, what: str) -> Said:
        return hanako.call("GetFlightInfo", command(statement(f"{COUNT} -- enclave: {what}={name}")))

    def by_preparing(name: str, what: str) -> Said:
        return hanako.call("DoAction", preparing(f"{COUNT} /* enclave: {what}={name} preview */"))

    def by_session(name: str, what: str) -> Said:
        said = hanako.call("DoAction", action("SetSessionOptions", options_of(**{what: name}))).fine()
        assert said.messages == [b""]
        cookie = said.headers["set-cookie"].partition(";")[0]
        return hanako.call("GetFlightInfo", command(statement(COUNT)), cookie=cookie)

    def in_sql(name: str, what: str) -> Said:
        table = f'"{name}"."star"."results"' if what == "catalog" else f'"{name}"."results"'
        return hanako.call("GetFlightInfo", command(statement(f"SELECT COUNT(*) AS n FROM {table}")))

    for way in (by_header, by_comment, by_preparing, by_session, in_sql):
        for what in ("memorandum", "catalog"):
            others, none = way("other-1", what), way("no-such", what)
            assert others.code == none.code == CODE.INVALID_ARGUMENT, (way, others, none)
            assert others.words.replace("other-1", "no-such") == none.words
            assert "taro" not in others.words and "r2" not in others.words
    for name in ("other-1", "no-such"):
        named = ((1, name), (2, "star"), (3, "results"))
        for about in ("DbSchemas", "Tables", "PrimaryKeys", "ImportedKeys", "ExportedKeys"):
            asked = named[:1] if about == "DbSchemas" else named
            assert hanako.fetches(hanako.asks(packed(f"CommandGet{about}", *asked))).num_rows == 0
    # Both are there for whoever has them.
    own = hanako.fetches(hanako.asks(packed("CommandGetCatalogs")))
    assert own.column(0).to_pylist() == ["star-1"]
    assert taro.fetches(taro.asks(statement(COUNT), enclave_catalog="other-1", enclave_rho="0.03")).num_rows == 3


# --- What is not offered ---------------------------------------------------------------------------------------------


def test_what_is_not_offered_is_not_taken(enclave: Enclave, hanako: Person) -> None:
    values, handle = row("K"), hanako.prepares(BOUND)
    puts = (
        packed("CommandStatementUpdate", (1, "DELETE FROM results")),
        packed("CommandStatementIngest", (2, "results"), (3, "star"), (4, "star-1")),
        packed("CommandPreparedStatementUpdate", (1, handle)),
        packed("CommandStatementSubstraitPlan", (1, message((1, b"plan"), (2, "1")))),
        statement(COUNT),
        packed("CommandGetTables"),
        packed("NoSuchCommand"),
        ticket_of(handle),
    )
    for to in puts:
        hanako.call("DoPut", *put(to, values)).refused(CODE.UNIMPLEMENTED, says="is not taken here")
        enclave.call("DoPut", *put(to, values)).refused(CODE.UNAUTHENTICATED)
    hanako.call("DoAction", closes(handle)).fine()
    infos = (
        packed("CommandStatementUpdate", (1, "DELETE FROM results")),
        packed("CommandStatementSubstraitPlan", (1, message((1, b"plan")))),
        packed("NoSuchCommand" + "x" * 10_000),
        b"",
    )
    for about in infos:
        for method, sent in (("GetFlightInfo", command(about)), ("DoGet", message((1, about)))):
            said = hanako.call(method, sent).refused(CODE.UNIMPLEMENTED, says="is not taken here")
            assert "NoSuchCommand" not in said
            enclave.call(method, sent).refused(CODE.UNAUTHENTICATED)
    hanako.call("GetFlightInfo", message((1, 1), (3, "results"))).refused(CODE.UNIMPLEMENTED)
    bodies = {
        "CreatePreparedSubstraitPlan": packed("ActionCreatePreparedSubstraitPlanRequest"),
        "BeginTransaction": packed("ActionBeginTransactionRequest"),
        "EndTransaction": packed("ActionEndTransactionRequest", (1, b"t"), (2, 1)),
        "BeginSavepoint": packed("ActionBeginSavepointRequest", (1, b"t"), (2, "s")),
        "EndSavepoint": packed("ActionEndSavepointRequest", (1, b"s"), (2, 1)),
        "CancelQuery": packed("ActionCancelQueryRequest", (1, b"info")),
        "CancelFlightInfo": b"",
        "RenewFlightEndpoint": b"",
        "Drop": b"",
        "": b"",
        "x" * 10_000: b"\xff" * 10,
    }
    for kind, body in bodies.items():
        said = hanako.call("DoAction", action(kind, body)).refused(CODE.UNIMPLEMENTED, says="is not taken here")
        assert len(said) < 500
        enclave.call("DoAction", action(kind, body)).refused(CODE.UNAUTHENTICATED)
    hanako.call("DoExchange", *put(statement(COUNT), values)).refused(CODE.UNIMPLEMENTED)
    hanako.call("DoExchange").refused(CODE.UNIMPLEMENTED)
    for method, sent in (("ListFlights", message()), ("PollFlightInfo", command(statement(COUNT)))):
        hanako.call(method, sent).refused(CODE.UNIMPLEMENTED, says=f"{method} is not taken here")
        enclave.call(method, sent).refused(CODE.UNAUTHENTICATED)
    for method, sent in (
        ("NoSuchMethod", b""),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b""),
        ("/arrow.flight.protocol.sql/X", b""),
    ):
        hanako.call(method, sent).refused(CODE.UNIMPLEMENTED)
        enclave.call(method, sent).refused(CODE.UNIMPLEMENTED)
    # What it lists as actions is what is served.
    kinds = {fields(listed)[1][0].decode() for listed in hanako.call("ListActions", message()).fine().messages}
    assert kinds == {
        *("CreatePreparedStatement", "ClosePreparedStatement"),
        *("SetSessionOptions", "GetSessionOptions", "CloseSession"),
    }


# --- What does not read ----------------------------------------------------------------------------------------------


def test_bytes_that_are_no_message(hanako: Person) -> None:
    deep = b""
    for _ in range(2_000):
        deep = message((1, deep))
    kind = "type.googleapis.com/arrow.flight.protocol.sql."
    for garbage in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", deep, b"\x08"):
        for name in ("GetFlightInfo", "DoGet", "DoAction"):
            hanako.call(name, garbage).refused(CODE.INVALID_ARGUMENT, says="does not read as Flight SQL")
        asked = [
            ("GetFlightInfo", command(garbage)),
            ("GetFlightInfo", command(message((1, kind + "CommandStatementQuery"), (2, garbage)))),
            ("DoGet", message((1, garbage))),
            ("DoGet", message((1, message((1, kind + "TicketStatementQuery"), (2, garbage))))),
            ("DoPut", message((1, command(garbage)))),
            ("DoPut", message((1, command(message((1, kind + "CommandPreparedStatementQuery"), (2, garbage)))))),
            ("DoAction", action("CreatePreparedStatement", garbage)),
            ("DoAction", action("ClosePreparedStatement", prepared(b"x"))),
            ("DoAction", action("SetSessionOptions", garbage)),
        ]
        for method, sent in asked:
            said = hanako.call(method, sent)
            assert said.code in (CODE.INVALID_ARGUMENT, CODE.UNIMPLEMENTED, CODE.NOT_FOUND), (method, sent[:80], said)
            assert b"\xff" not in said.words.encode() and "Error(" not in said.words, said
    for sent in ([], [message()]):
        hanako.call("DoPut", *sent).refused(CODE.INVALID_ARGUMENT, says="does not read as Flight SQL")


def test_names_are_repeated_as_far_as_clients_read(hanako: Person) -> None:
    for sql in (
        f"SELECT COUNT(*) AS n FROM {'x' * 19_000}",
        f"SELECT COUNT(*) AS n FROM results WHERE {'y' * 19_000} = 1",
        f"SELECT {'z' * 19_000}(math) AS n FROM results",
        f"SELECT COUNT(*) AS n FROM results -- enclave: {'o' * 19_000}=1",
    ):
        for method, sent in (("GetFlightInfo", command(statement(sql))), ("DoAction", preparing(sql))):
            assert len(hanako.call(method, sent).refused(CODE.INVALID_ARGUMENT, says="…`")) < 2_000
    # Words of the library's, in a question: they are the asker's own.
    for name in ("ParseError", "DecodeError"):
        sql = f"SELECT COUNT(*) AS n FROM {name}"
        hanako.call("GetFlightInfo", command(statement(sql))).refused(CODE.INVALID_ARGUMENT, says=f"table `{name}`")


def test_patterns_are_as_long_as_names(hanako: Person) -> None:
    for about, number in (("DbSchemas", 2), ("Tables", 2), ("Tables", 3)):
        for long in ("%" * 1_001, "_" * 100_000, "(" * 50_000):
            asked = command(packed(f"CommandGet{about}", (number, long)))
            hanako.call("GetFlightInfo", asked).refused(CODE.INVALID_ARGUMENT, says="a pattern")
        for odd in ("%" * 1_000, "\\", "[", "\0", "(?P<a"):
            hanako.asks(packed(f"CommandGet{about}", (number, odd)))


def test_what_is_longer_than_the_limit(enclave: Enclave, hanako: Person) -> None:
    long = "x" * (BODY_KIB * 1024)
    handle = hanako.prepares(BOUND)
    for method, sent in (
        ("GetFlightInfo", [command(statement(f"{COUNT} -- {long}"))]),
        ("DoAction", [preparing(f"{COUNT} -- {long}")]),
        ("DoAction", [action("SetSessionOptions", options_of(justification=long))]),
        ("DoGet", [ticket_of(long.encode())]),
        ("DoPut", put(prepared(handle), row(long))),
    ):
        # A stream of values is cut off after its caller is known; a message by itself before.
        hanako.call(method, *sent).refused(CODE.OUT_OF_RANGE, CODE.INVALID_ARGUMENT)
        enclave.call(method, *sent).refused(CODE.OUT_OF_RANGE, CODE.UNAUTHENTICATED)
    hanako.call("DoAction", closes(handle)).fine()


def test_a_message_that_unfolds_is_not_unfolded(hanako: Person) -> None:
    bomb = command(statement("x" * (64 << 20)))
    with hanako.enclave.within(32):
        for method in ("GetFlightInfo", "DoGet", "DoAction", "DoPut", "DoExchange"):
            said = hanako.call(method, bomb, compression=grpc.Compression.Gzip)
            said.refused(CODE.UNIMPLEMENTED, CODE.INVALID_ARGUMENT)


def folded(handle: bytes, values: pa.RecordBatch, codec: str) -> tuple[bytes, bytes, bytes]:
    """A message with the schema; the head and the body of one with compressed values."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, values.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_batch(values)
    head, rest = encapsulated(sink.getvalue().to_pybytes())
    return message((1, command(prepared(handle))), (2, head)), *encapsulated(rest)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_values_that_unfold_are_not_unfolded(hanako: Person, codec: str) -> None:
    handle = hanako.prepares(BOUND)
    # Less than the limit, that become 32 MiB.
    schema, head, body = folded(handle, row("x" * (32 << 20)), codec)
    assert len(body) < BODY_KIB * 1024
    with hanako.enclave.within(24):
        hanako.call("DoPut", schema, message((2, head), (1000, body))).refused(CODE.INVALID_ARGUMENT)
    hanako.call("DoAction", closes(handle)).fine()


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_values_that_say_they_unfold_into_more_than_there_is(hanako: Person, codec: str) -> None:
    handle = hanako.prepares(BOUND)
    schema, head, body = folded(handle, row("x" * 100_000), codec)
    length = (100_000).to_bytes(8, "little")
    assert length in body
    with hanako.enclave.within(24):
        for claimed in (2**62, 2**63 - 1, 2**40):
            forged = body.replace(length, claimed.to_bytes(8, "little"))
            hanako.call("DoPut", schema, message((2, head), (1000, forged))).refused(CODE.INVALID_ARGUMENT)
    hanako.call("DoAction", closes(handle)).fine()


def test_values_that_multiply_are_not_put_in(hanako: Person) -> None:
    """One value, as long as a question, in 500 places. What is longer is not kept."""
    handle = hanako.prepares(COUNT + " AND gr IN (" + ", ".join(["$1"] * 500) + ")")
    hanako.call("DoPut", *put(prepared(handle), row("x" * 20_001))).refused(CODE.INVALID_ARGUMENT, says="20000 bytes")
    hanako.call("DoPut", *put(prepared(handle), row("x" * 20_000))).fine()
    with hanako.enclave.within(32):
        hanako.call("GetFlightInfo", command(prepared(handle))).refused(CODE.INVALID_ARGUMENT)
    hanako.call("DoAction", closes(handle)).fine()


def test_values_that_do_not_fit(hanako: Person) -> None:
    handle = hanako.prepares(BOUND)
    two = pa.record_batch([pa.array(["K", "1"])], names=["$1"])
    for sent in (
        put(prepared(handle), two),
        put(prepared(handle), row("K"), row("1")),
        put(prepared(handle), row("K").slice(0, 0)),
        put(prepared(handle), schema=row("K").schema),
        put(prepared(handle), row()),
        put(prepared(handle), row([1, 2])),
        put(prepared(handle), row({"a": 1})),
        put(prepared(handle), row(b"K")),
        put(prepared(handle), pa.record_batch([pa.array([2**64 - 1], pa.uint64())], names=["$1"])),
        put(prepared(handle), pa.record_batch([pa.array([2**31 - 1], pa.date32())], names=["$1"])),
        put(prepared(handle), pa.record_batch([pa.array([2**62]).view(pa.date64())], names=["$1"])),
        put(prepared(handle), pa.record_batch([pa.array([2**63 - 1]).view(pa.timestamp("us"))], names=["$1"])),
        put(prepared(handle), pa.record_batch([pa.array([0], pa.timestamp("us", "Asia/Tokyo"))], names=["$1"])),
        put(prepared(handle), row(*range(1_001))),
        put(prepared(handle), pa.record_batch([pa.nulls(1_000_000)], names=["$1"])),
        put(prepared(handle), row("K"))[:1],
        put(prepared(handle), row("K"))[:1] * 2,
        [put(prepared(handle), row("K"))[0], message((2, b"\xff" * 64), (1000, b""))],
    ):
        hanako.call("DoPut", *sent).refused(CODE.INVALID_ARGUMENT)
    for values in (row("K", "1"), row(float("nan")), row(float("inf"))):
        hanako.call("DoPut", *put(prepared(handle), values)).fine()
        hanako.call("GetFlightInfo", command(prepared(handle))).refused(CODE.INVALID_ARGUMENT)
    hanako.call("DoAction", closes(handle)).fine()
    for sql in (
        COUNT.replace("'K'", "$0"),
        COUNT.replace("'K'", "$1001"),
        BOUND + " AND sx IN (" + "?," * 1_000 + "?)",
    ):
        hanako.call("DoAction", preparing(sql)).refused(CODE.INVALID_ARGUMENT)


def test_values_are_taken_as_drivers_send_them(hanako: Person) -> None:
    handle = hanako.prepares(BOUND)
    coded = pa.record_batch([pa.array(["1", "K"]).dictionary_encode().slice(1)], names=["$1"])
    hanako.call("DoPut", *streamed(prepared(handle), coded)).fine()
    assert hanako.fetches(hanako.asks(prepared(handle), enclave_rho="0.02")).num_rows == 3
    zoned = pa.record_batch([pa.array([0], pa.timestamp("s", "UTC"))], names=["$1"])
    hanako.call("DoPut", *put(prepared(handle), zoned)).refused(CODE.INVALID_ARGUMENT, says="a time with a zone")
    for unit in ("s", "ms", "us", "ns"):
        time_of_day = pa.record_batch([pa.array([10**9], pa.timestamp(unit))], names=["$1"])
        hanako.call("DoPut", *put(prepared(handle), time_of_day)).fine()
    hanako.call("DoAction", closes(handle)).fine()


def test_values_are_text_and_no_sql(hanako: Person) -> None:
    handle = hanako.prepares(BOUND)
    for text in (
        "K' OR gr = '1",
        "K'; DROP TABLE results; --",
        "' -- enclave: rho=9 fresh",
        "/* enclave: rho=9 */",
        "\\'",
    ):
        hanako.call("DoPut", *put(prepared(handle), row(text))).fine()
        table = hanako.fetches(hanako.asks(prepared(handle), enclave_rho="0.001"))
        # Nobody is in such a grade: what is shown at all is noise, and far from the thousands of a real one.
        assert all(n is None or n < 1000 for n in table.column("n").to_pylist())
        assert json.loads(table.schema.metadata[b"enclave:charged"])["rho"] == 0.001
    hanako.call("DoAction", closes(handle)).fine()


def test_values_that_were_changed_on_the_way(hanako: Person) -> None:
    """Arrow with some bytes changed: it reads, or it does not, and nothing falls over."""
    chance = random.Random(20261125)
    handle = hanako.prepares(BOUND)
    batch = pa.record_batch(
        [
            pa.array(["K"]),
            pa.array(["K"]).dictionary_encode(),
            pa.array([[1, 2]]),
            pa.array([{"a": 1.5}]),
            pa.array([None], pa.date32()),
        ],
        names=["a", "b", "c", "d", "e"],
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    parts = [
        (part.metadata.to_pybytes(), b"" if part.body is None else part.body.to_pybytes())
        for part in pa.ipc.MessageReader.open_stream(sink.getvalue())
    ]
    # The schema, a dictionary, the row.
    assert len(parts) == 3
    for _ in range(400):
        changed = [(bytearray(head), bytearray(body)) for head, body in parts]
        for _ in range(chance.choice((1, 1, 2, 8))):
            data = chance.choice([data for pair in changed for data in pair if data])
            data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        sent = [message((2, bytes(head)), (1000, bytes(body))) for head, body in changed]
        sent[0] = message((1, command(prepared(handle)))) + sent[0]
        said = hanako.call("DoPut", *sent)
        assert said.code in (OK, CODE.INVALID_ARGUMENT), (said.code, said.words, changed)
    hanako.call("DoAction", closes(handle)).fine()


def test_deep_sql(hanako: Person) -> None:
    for sql in (
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000 + " FROM results",
        "SELECT COUNT(*) FROM results WHERE " + "NOT " * 4_000 + "TRUE",
        "SELECT " + "-" * 5_000 + "1 FROM results",
        "SELECT " + "- " * 5_000 + "1 FROM results",
        "SELECT COUNT(*) FROM " + "(SELECT * FROM " * 1_000 + "results" + ")" * 1_000,
        "SELECT COUNT(*) FROM results WHERE " + " OR ".join(["gr = 'K'"] * 1_500),
        "SELECT COUNT(*) FROM results WHERE " + "CASE WHEN " * 1_500,
        "/*" * 100_000,
        "'" * 99_999,
        "SELECT " + "1+" * 9_000 + "1 FROM results",
        "SELECT " + "[" * 9_000,
        "$1 " * 60_000,
        "",
        "\0",
        ";" * 1_000,
    ):
        for method, sent in (("GetFlightInfo", command(statement(sql))), ("DoAction", preparing(sql))):
            said = hanako.call(method, sent)
            if method == "DoAction" and "$1" in sql and said.code == OK:
                continue
            said.refused(CODE.INVALID_ARGUMENT)


def test_a_thousand_statements_are_left_open(hanako: Person, taro: Person) -> None:
    with ThreadPoolExecutor(32) as pool:
        handles = list(pool.map(lambda _: hanako.prepares(BOUND), range(1_000)))
    assert len(set(handles)) == 1_000
    hanako.call("DoPut", *put(prepared(handles[0]), row("K"))).fine()
    assert hanako.fetches(hanako.asks(prepared(handles[0]), enclave_rho="0.02")).num_rows == 3
    taro.call("DoAction", closes(taro.prepares(BOUND))).fine()


def test_tickets_that_are_not_fetched_make_room(hanako: Person, taro: Person) -> None:
    first, theirs = (person.asks(packed("CommandGetCatalogs")) for person in (hanako, taro))
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: hanako.asks(packed("CommandGetTableTypes")), range(2_000)))
    # What is charged is never refused for what was given before.
    assert hanako.fetches(hanako.asks(statement(COUNT), enclave_rho="0.02")).num_rows == 3
    hanako.call("DoGet", first).refused(CODE.NOT_FOUND, says=GONE)
    assert taro.fetches(theirs).num_rows == 1


def test_options_that_are_none(hanako: Person) -> None:
    for name in ("roh", "rho_", "person", "memorandum2", "x" * 200):
        hanako.call("GetFlightInfo", command(statement(COUNT)), **{f"enclave_{name}": "1"}).refused(
            CODE.INVALID_ARGUMENT, says="there is no option"
        )
        for asked in (preparing(f"{COUNT} -- enclave: {name}=1"), preparing(f"{COUNT} /* enclave: {name} */")):
            hanako.call("DoAction", asked).refused(CODE.INVALID_ARGUMENT, says="there is no option")
    said = hanako.call("DoAction", action("SetSessionOptions", options_of(roh="1", rho="0.02"))).fine()
    assert said.messages == [message((1, message((1, message((1, "roh"), (2, message((1, 1))))))))]
    # Nor a value that has no meaning, or is longer than what anybody reads.
    for name, value in {"rho": "abc", "fresh": "perhaps", "schema": "other", "justification": "理" * 4_001}.items():
        said = hanako.call("DoAction", action("SetSessionOptions", options_of(**{name: value}))).fine()
        assert said.messages == [message((1, message((1, message((1, name), (2, message((1, 2))))))))], name
    for option in (
        *("rho=x", "rho=-1", "rho=0", "rho=nan", "rho=inf", "rho=1e308", "epsilon=-0", "within=0", "within=nan"),
        *("confidence=2", "confidence=nan", "rows_per_unit=0", "rows_per_unit=1e3", "groups_per_unit=-1"),
        *("fresh=perhaps", "preview=no", "purpose=none", 'justification="open'),
    ):
        hanako.call("DoAction", preparing(f"{COUNT} -- enclave: {option}")).refused(CODE.INVALID_ARGUMENT)
    hanako.call("GetFlightInfo", command(statement("SELECT * FROM results"))).refused(CODE.INVALID_ARGUMENT)


def test_too_dear_is_refused_before_it_is_charged(hanako: Person) -> None:
    before = hanako.enclave.api("GET", "/memoranda/star-1/budget", hanako.bearer)["charged"]
    said = hanako.call("GetFlightInfo", command(statement(COUNT)), enclave_rho="9.9999")
    said.refused(CODE.INVALID_ARGUMENT, CODE.RESOURCE_EXHAUSTED)
    assert hanako.enclave.api("GET", "/memoranda/star-1/budget", hanako.bearer)["charged"] == before


# --- After all of it -------------------------------------------------------------------------------------------------


def test_it_still_answers_and_charged_what_was_answered(enclave: Enclave, hanako: Person, taro: Person) -> None:
    for person in (hanako, taro):
        assert person.fetches(person.asks(statement(COUNT), enclave_rho="0.01", enclave_fresh="true")).num_rows == 3
        budget = enclave.api("GET", f"/memoranda/{person.memorandum}/budget", person.bearer)
        assert budget["charged"]["rho"] == pytest.approx(enclave.charged[person.memorandum])
    enclave.run("log", "verify")


def test_a_call_that_comes_in_drops_ends_in_time(enclave: Enclave, hanako: Person) -> None:
    enclave.stop()
    enclave.serve("limits.requests_per_minute=1000000", "limits.request_seconds=2")
    handle = hanako.prepares(BOUND)

    def drops() -> Iterator[bytes]:
        yield put(prepared(handle), row("K"))[0]
        for _ in range(14):
            time.sleep(0.5)
            yield message((2, b""))

    begun = enclave.channel.stream_stream("/arrow.flight.protocol.FlightService/DoPut")(
        drops(), metadata=[("authorization", f"Bearer {hanako.bearer}")], timeout=30
    )
    with suppress(grpc.RpcError):
        list(begun)
    assert begun.code() == CODE.DEADLINE_EXCEEDED, (begun.code(), begun.details())
    assert begun.details() == "the call took too long to arrive"
    # What a question takes by itself is another thing.
    hanako.call("DoPut", *put(prepared(handle), row("K"))).fine()


def test_calls_come_at_a_pace_and_tickets_are_gone_after_a_restart(enclave: Enclave, hanako: Person) -> None:
    ticket = hanako.asks(packed("CommandGetCatalogs"))
    enclave.stop()
    enclave.serve("limits.requests_per_minute=20")
    hanako.call("DoGet", ticket).refused(CODE.NOT_FOUND, says=GONE)
    ticket = hanako.asks(packed("CommandGetCatalogs"))
    said = [hanako.call("DoAction", action("GetSessionOptions")) for _ in range(40)]
    assert said[0].code == OK
    said[-1].refused(CODE.UNAVAILABLE, says="too many requests")
    # What was asked for is fetched all the same; a ticket that is not good counts as any call.
    assert hanako.fetches(ticket).num_rows == 1
    assert CODE.UNAVAILABLE in {hanako.call("DoGet", ticket).code for _ in range(3)}


def test_the_lines_tell_nothing_that_lets_in_and_of_no_fault(enclave: Enclave, hanako: Person) -> None:
    time.sleep(0.2)
    lines = "".join(enclave.lines)
    for told in enclave.told:
        assert told not in lines
    assert "enclave-session-" not in lines and "enclave-token-" not in lines
    # Arrow's reader panics on what was changed on the way: that is caught, and the line says nothing of it.
    lines_of_ours = [line for line in enclave.lines if line.strip() != "error: an internal fault"]
    wrong = [line for line in lines_of_ours if "fault" in line or "panicked" in line or "ERROR" in line]
    assert not wrong, wrong
