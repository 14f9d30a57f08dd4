"""[connect] and [Enclave]: the one door to a server."""

from __future__ import annotations

import math
import os
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa

from enclave_client import http
from enclave_client.answer import Answer, Preview
from enclave_client.errors import EnclaveError, Unauthenticated, expect
from enclave_client.flight import Flight
from enclave_client.http import Http
from enclave_client.options import CALL_HEADER, Options
from enclave_client.papers import Asked, Budget, Item, Memorandum

#: How many questions the server lists at once, at most.
_PAGE = 200
#: The Flight SQL port, where the address of the HTTP port names none: both stand behind the same name then.
_FLIGHT = 8444


def connect(
    url: str,
    *,
    token: str | None = None,
    login: str | None = None,
    password: str | None = None,
    code: str | None = None,
    memorandum: str | None = None,
    certificate: str | os.PathLike[str] | None = None,
    flight: str | None = None,
    timeout: float = http.TIMEOUT,
) -> Enclave:
    """Connects to an enclave, as the owner of a token, or by logging in.

    ``url`` is the HTTP address, such as ``https://localhost:8443``. ``flight`` is the address of the Flight SQL port,
    such as ``grpc+tls://localhost:8444``; without it, the same host at the next port, or at 8444 where ``url`` names no
    port. ``certificate`` is a PEM file that both ports are trusted by. ``code`` is one of your authenticator, where you
    have enrolled one. ``memorandum`` is the one to ask under, where a question names none; it may be left out where you
    have one. ``timeout`` is how many seconds an answer may take. A question that takes longer raises ``EnclaveError``
    with the code ``too-slow``; it may go on all the same and be charged: ask again later, and its answer is on record.

    With ``login`` and ``password`` a session is opened, which ends when the enclave is closed. A token needs the scope
    ``ask`` for questions, ``preview`` for previews alone, and ``read`` for everything else.

    Raises ``ValueError`` where neither way in is given or both are, ``Unauthenticated`` where nobody is let in,
    ``EnclaveError`` with the code ``unreachable`` where no server answers.
    """
    logs_in = login is not None and password is not None
    if (token is not None) == logs_in or (login is None) != (password is None):
        raise ValueError("give either `token`, or `login` and `password`")
    if not math.isfinite(timeout) or timeout <= 0:
        raise ValueError("`timeout` is a number of seconds above 0")
    address = flight or _flight_port(url)
    session = Http(http.client(url.rstrip("/"), certificate, timeout))
    opened = token is None
    try:
        if token is None:
            entry = {"login": login, "password": password, "code": code}
            told = session.post("/sessions", {name: value for name, value in entry.items() if value is not None})
            token = str(expect(told, dict, "session").get("token"))
        session.bearer(token)
    except BaseException:
        session.close()
        raise
    return Enclave(session, Flight(address, token, certificate, timeout), token, memorandum, opened=opened)


def _flight_port(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address is written such as `https://localhost:8443`")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = _FLIGHT if parts.port is None else parts.port + 1
    scheme = "grpc+tls" if parts.scheme == "https" else "grpc"
    return f"{scheme}://{host}:{port}"


class Enclave:
    """A connection to an enclave; made by [connect], closed by ``with`` or ``close``.

    Every method raises ``EnclaveError`` or one of its kinds where the server says no.
    """

    def __init__(
        self, session: Http, flight: Flight, token: str, memorandum: str | None, *, opened: bool = False
    ) -> None:
        self._http = session
        self._flight = flight
        self._opened = opened
        self._only: str | None = None
        #: The memorandum of questions that name none.
        self.memorandum = memorandum
        #: For ``Authorization: Bearer …`` on both ports, for other tools.
        self.token = token

    @property
    def flight(self) -> str:
        """Address of the Flight SQL port."""
        return self._flight.uri

    def ask(
        self,
        sql: str,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        within: float | None = None,
        confidence: float | None = None,
        purpose: str | None = None,
        rows_per_unit: int | None = None,
        groups_per_unit: int | None = None,
        justification: str | None = None,
        fresh: bool = False,
        memorandum: str | None = None,
    ) -> Answer:
        """Asks one question, and is charged for it unless the same is on record.

        The price is ``rho``, or ``epsilon`` at the memorandum's δ, or the least at which every measure has a half-width
        of at most ``within``, in its own unit, at ``confidence`` (0.95 where none is named); without any of them, the
        memorandum's default. ``purpose`` is a use case of the memorandum, where it has several. ``rows_per_unit`` and
        ``groups_per_unit`` bound what one pupil counts for. ``justification`` is for the board, where it decides.
        With ``fresh``, an answer on record is drawn and charged anew.

        The question goes through Flight SQL; where a text does not fit a header there (one in Japanese, say), through
        HTTP, with the same answer.

        Raises ``Refused``, ``Waiting``, ``Exhausted``, ``Busy``, ``Unauthenticated``; ``ValueError`` for an option
        without a meaning, or where you have several memoranda and name none.
        """
        options = Options(
            memorandum=memorandum or self._memorandum(),
            purpose=purpose,
            rho=rho,
            epsilon=epsilon,
            within=within,
            confidence=confidence,
            rows_per_unit=rows_per_unit,
            groups_per_unit=groups_per_unit,
            justification=justification,
            fresh=fresh,
        )
        headers = options.headers()
        if headers is None:
            table = _table(self._http.arrow("/questions", options.body(sql)))
        else:
            table = self._flight.ask(sql, headers)
        return Answer.of(table)

    def preview(
        self,
        sql: str,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        within: float | None = None,
        confidence: float | None = None,
        purpose: str | None = None,
        rows_per_unit: int | None = None,
        groups_per_unit: int | None = None,
        memorandum: str | None = None,
    ) -> Preview:
        """What the question would cost, and how accurate its answer would be. Charges and reads nothing.

        The options, and what is raised, are those of ``ask``; half-widths are stated at ``confidence``.
        """
        options = Options(
            memorandum=memorandum or self._memorandum(),
            purpose=purpose,
            rho=rho,
            epsilon=epsilon,
            within=within,
            confidence=confidence,
            rows_per_unit=rows_per_unit,
            groups_per_unit=groups_per_unit,
        )
        told = self._http.post("/questions/preview", options.body(sql))
        return Preview.of(expect(told, dict, "preview"))

    def memoranda(self) -> list[Memorandum]:
        """The memoranda that you are among the people of; to steward, custodian and board, all."""
        found: list[Memorandum] = expect(self._http.get("/memoranda"), list, "list of memoranda")
        return found

    def items(self, memorandum: str | None = None) -> list[Item]:
        """The columns that can be asked about, and nothing else of the data set."""
        found: list[Item] = expect(self._http.get(self._paper(memorandum, "items")), list, "list of items")
        return found

    def budget(self, memorandum: str | None = None) -> Budget:
        """What was promised, charged and is left, and every charge."""
        found: Budget = expect(self._http.get(self._paper(memorandum, "budget")), dict, "budget")
        return found

    def history(self, memorandum: str | None = None, *, limit: int | None = None) -> list[Asked]:
        """The questions that were charged, the newest first; all of them, or ``limit``."""
        asked: list[Asked] = []
        params: dict[str, str | int] = {"memorandum": memorandum or self._memorandum()}
        while limit is None or len(asked) < limit:
            params["limit"] = _PAGE if limit is None else min(_PAGE, limit - len(asked))
            page = expect(self._http.get("/questions", params), dict, "history")
            asked += page.get("questions", [])
            if page.get("next") is None:
                break
            params["cursor"] = page["next"]
        return asked

    def receipt(self, index: int) -> dict[str, Any]:
        """The receipt of the release at this place in the log; ``verify_receipt`` checks it offline."""
        found: dict[str, Any] = expect(self._http.get(f"/releases/{int(index)}/receipt"), dict, "receipt")
        return found

    def release(self, index: int) -> Answer:
        """An answer on record again, at no charge.

        Its columns are called ``key_1``, ``measure_2``, …: what you called them is not on record.
        """
        return Answer.of(_table(self._http.arrow(f"/releases/{int(index)}")))

    def log_key(self) -> str:
        """The key of the log, as this server tells it.

        Receipts that verify with it agree with this server. To verify them against the server, have the key from the
        board or the steward.
        """
        return self._http.text("/log/key").strip()

    def adbc(self, memorandum: str | None = None) -> Any:
        """A new ADBC connection (DB-API 2.0) for tools that want one, under this memorandum. Close it yourself.

        Its errors are those of ``adbc_driver_manager``. Options of a question go into a comment in its SQL, such as
        ``-- enclave: rho=0.02``.
        """
        return self._flight.connect({f"{CALL_HEADER}enclave-memorandum": memorandum or self._memorandum()})

    def close(self) -> None:
        """Closes both connections, and ends the session that [connect] opened. A token of yours stays good."""
        try:
            self._flight.close()
            if self._opened:
                self._opened = False
                self._http.delete("/sessions/current")
        except Unauthenticated:
            pass  # The session had ended by itself.
        finally:
            self._http.close()

    def __enter__(self) -> Enclave:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except EnclaveError:
            # What went wrong first is what matters.
            if error is None:
                raise

    def __repr__(self) -> str:
        return f"<Enclave: {self.flight}, memorandum {self.memorandum or 'not named'}>"

    def _paper(self, memorandum: str | None, part: str) -> str:
        return f"/memoranda/{quote(memorandum or self._memorandum(), safe='')}/{part}"

    def _memorandum(self) -> str:
        """The memorandum that was named when connecting, or the only one that the log-in is for."""
        if self.memorandum is not None:
            return self.memorandum
        if self._only is None:
            told = expect(self._http.get("/sessions/current"), dict, "session")
            people = [str(person).partition("/") for person in told.get("people", [])]
            found = {own for own, slash, _ in people if slash and told.get("memorandum") in (None, own)}
            if len(found) != 1:
                names = ", ".join(sorted(found)) or "none"
                raise ValueError(f"say which memorandum, with `memorandum=…`; yours are: {names}")
            self._only = found.pop()
        return self._only


def _table(file: bytes) -> pa.Table:
    try:
        return pa.ipc.open_file(file).read_all()
    except pa.ArrowException as error:
        raise EnclaveError("the server sent something else than an Arrow file", "form") from error
