"""Why there is no answer, with the server's own words; the same errors from HTTP and from Flight."""

from __future__ import annotations

import json
import re
from typing import Any


class EnclaveError(Exception):
    """Whatever the enclave said instead of an answer.

    ``code`` is stable, for programs, and the same as the ``code`` of the HTTP API: ``refused``, ``waiting``,
    ``exhausted``, ``busy``, ``too-often``, ``unauthenticated``, ``denied``, ``not-found``, ``invalid``, ``fault``, …;
    ``unreachable`` where no server answered, ``too-slow`` also where it took longer than `connect` lets it.
    """

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code


class Refused(EnclaveError):
    """A typed "no". It costs nothing."""

    def __init__(self, message: str, rule: str, at: str, reason: str, rewrite: str | None) -> None:
        super().__init__(message, "refused")
        #: The rule, such as ``row-level``.
        self.rule = rule
        #: The place in the SQL, such as ``line 1, column 8``; empty where the whole question is meant.
        self.at = at
        #: Why, in one sentence.
        self.reason = reason
        #: A form that would pass, where there is one.
        self.rewrite = rewrite


class Waiting(EnclaveError):
    """The board decides first. Nothing was charged; ask again, as it is, once it approves."""

    def __init__(self, message: str, approval: int, state: str, reasons: list[str]) -> None:
        super().__init__(message, "waiting")
        #: Number of the approval.
        self.approval = approval
        #: ``open``, ``asked-back``, or ``used`` where another question was quicker.
        self.state = state
        #: Principles and tiers that leave it to the board.
        self.reasons = reasons


class Exhausted(EnclaveError):
    """The balance does not cover the price. Nothing was charged."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "exhausted")


class Unauthenticated(EnclaveError):
    """Not logged in, or not any more."""

    def __init__(self, message: str, code: str = "unauthenticated") -> None:
        super().__init__(message, code)


class Busy(EnclaveError):
    """Too much at once. Nothing was charged; ask again after ``retry_after`` seconds."""

    def __init__(self, message: str, code: str = "busy", retry_after: float = 1.0) -> None:
        super().__init__(message, code)
        #: Seconds.
        self.retry_after = retry_after


class NotVerified(EnclaveError):
    """A receipt does not hold, or is not of this answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "not-verified")


def from_problem(status: int, body: bytes, retry_after: str | None = None) -> EnclaveError:
    """The error that an HTTP response tells (RFC 9457)."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or f"the server answered with status {status} and no reason")
    code = str(problem.get("code") or f"http-{status}")
    refused, waiting = problem.get("refused"), problem.get("waiting")
    if code == "refused" and isinstance(refused, dict):
        rewrite = refused.get("rewrite")
        return Refused(
            message,
            rule=str(refused.get("rule", "")),
            at=str(refused.get("at", "")),
            reason=str(refused.get("reason", "")),
            rewrite=None if rewrite is None else str(rewrite),
        )
    if code == "waiting" and isinstance(waiting, dict):
        reasons = [str(reason) for reason in waiting.get("reasons", [])]
        return Waiting(message, int(waiting.get("approval", -1)), str(waiting.get("state", "")), reasons)
    if status == 402:
        return Exhausted(message)
    if status == 401:
        return Unauthenticated(message, code)
    if status in (429, 503):
        return Busy(message, code, _seconds(retry_after))
    return EnclaveError(message, code)


# What the driver puts round a message: `INTERNAL: [FlightSQL] MESSAGE (ResourceExhausted; Prepare). Vendor code: 8`.
_DRIVER = re.compile(
    r"\A(?:[A-Z_]+: )?\[Flight ?SQL\] (?P<message>.*) \((?P<status>[A-Za-z]+); [^()]*\)(?:\. Vendor code: \d+)?\Z",
    re.DOTALL,
)
_REFUSAL = re.compile(
    r"\Arefused \((?P<rule>[a-z-]+)\)(?: at (?P<at>[^:\n]+))?: (?P<reason>.*?)(?:\n  instead: (?P<rewrite>.*))?\Z",
    re.DOTALL,
)
_WAITS = re.compile(r"\Athe board decides on this before it runs: approval (\d+) is ([a-z-]+)")
_USED = re.compile(r"\Aapproval (\d+) was used already")
_COME_BACK = re.compile(r"come back in (\d+) s")


def from_flight(error: Exception) -> EnclaveError:
    """The error that a gRPC status tells, out of what the ADBC driver made of it."""
    found = _DRIVER.match(str(error))
    if not found:
        return EnclaveError(str(error), "unreachable" if "connection" in str(error).lower() else "driver")
    message, status = found["message"], found["status"]
    if status == "InvalidArgument":
        return _refused(message) or EnclaveError(message, "invalid")
    if status == "FailedPrecondition":
        return _waiting(message) or EnclaveError(message, "conflict")
    if status == "ResourceExhausted":
        return Exhausted(message)
    if status == "Unauthenticated":
        return Unauthenticated(message)
    if status == "Unavailable":
        if back := _COME_BACK.search(message):
            return Busy(message, "too-often", float(back[1]))
        return Busy(message) if message.startswith("too many") else EnclaveError(message, "unreachable")
    codes = {
        "PermissionDenied": "denied",
        "NotFound": "not-found",
        "Canceled": "cancelled",
        "Unimplemented": "unsupported",
        "DeadlineExceeded": "too-slow",
        "OutOfRange": "too-long",
    }
    return EnclaveError(message, codes.get(status, "fault"))


def _refused(message: str) -> Refused | None:
    found = _REFUSAL.match(message)
    if not found:
        return None
    return Refused(message, found["rule"], found["at"] or "", found["reason"], found["rewrite"])


def _waiting(message: str) -> Waiting | None:
    if found := _USED.match(message):
        return Waiting(message, int(found[1]), "used", [])
    if found := _WAITS.match(message):
        reasons = [line[2:] for line in message.split("\n") if line.startswith("  ")]
        return Waiting(message, int(found[1]), found[2], reasons)
    return None


def _seconds(text: str | None) -> float:
    try:
        return float(text or 1.0)
    except ValueError:
        return 1.0


def expect(value: Any, kind: type, what: str) -> Any:
    """``value``, if it is of this type; else what the server sent is not what it should be."""
    if not isinstance(value, kind):
        raise EnclaveError(f"the server's {what} is not of the form that this client reads", "form")
    return value
