"""What a question is asked with, as the two ports take it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: How the driver is told to send a header with each call.
CALL_HEADER = "adbc.flight.sql.rpc.call_header."


@dataclass(frozen=True)
class Options:
    """At most one of ``rho``, ``epsilon`` and ``within``. What has no meaning raises ``ValueError``, unsent."""

    memorandum: str
    purpose: str | None = None
    rho: float | None = None
    epsilon: float | None = None
    within: float | None = None
    confidence: float | None = None
    rows_per_unit: int | None = None
    groups_per_unit: int | None = None
    justification: str | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        prices = [price for price in (self.rho, self.epsilon, self.within) if price is not None]
        if len(prices) > 1:
            raise ValueError("give at most one of `rho`, `epsilon` and `within`")
        if any(not math.isfinite(price) or price <= 0 for price in prices):
            raise ValueError("a price and a half-width are positive and finite")
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            raise ValueError("a confidence is at least 0.5 and below 1")
        for bound in (self.rows_per_unit, self.groups_per_unit):
            if bound is not None and bound < 1:
                raise ValueError("`rows_per_unit` and `groups_per_unit` are at least 1")

    def body(self, sql: str) -> dict[str, Any]:
        """As the HTTP API takes it."""
        return {"sql": sql, **self._given()}

    def headers(self) -> dict[str, str] | None:
        """As headers of the calls to the Flight port; None where a text cannot be one."""
        texts = {name.replace("_", "-"): _text(value) for name, value in self._given().items()}
        if not all(_fits(text) for text in texts.values()):
            return None
        return {f"{CALL_HEADER}enclave-{name}": text for name, text in texts.items()}

    def _given(self) -> dict[str, Any]:
        given = {
            "memorandum": self.memorandum,
            "purpose": self.purpose,
            "rho": _float(self.rho),
            "epsilon": _float(self.epsilon),
            "within": _float(self.within),
            "confidence": _float(self.confidence),
            "rows_per_unit": None if self.rows_per_unit is None else int(self.rows_per_unit),
            "groups_per_unit": None if self.groups_per_unit is None else int(self.groups_per_unit),
            "justification": self.justification,
            "fresh": True if self.fresh else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str:
    return "true" if value is True else str(value)


def _fits(text: str) -> bool:
    """Headers of gRPC are printable ASCII, and lose spaces at their ends."""
    return bool(text) and text == text.strip() and text.isascii() and text.isprintable()
