"""Answers and previews for people: one line, and HTML for notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enclave_client.answer import Answer, Cell, Preview

_UNDEFINED = "not defined for this group"


def summary(answer: Answer) -> str:
    """How many rows, what was charged, what is left, where it is in the log."""
    rows = f"{len(answer)} row{'' if len(answer) == 1 else 's'}"
    cost = "no charge, it was on record" if answer.replayed else f"ρ {answer.charged.rho:g} charged"
    place = "" if answer.log_index is None else f"; log {answer.log_index}"
    return f"{rows}; {cost}; ρ {answer.balance.rho:g} left{place}"


def cell_text(cell: Cell) -> str:
    """A cell in words: ``521.2 ± 4.5``; both ends where they are not even; why, where it is not shown."""
    if cell.value is None:
        return f"hidden: {cell.status}" if cell.status == "small cell" else _UNDEFINED
    if cell.low is None or cell.high is None:
        low = "−∞" if cell.low is None else _plain(cell.low)
        high = "∞" if cell.high is None else _plain(cell.high)
        return f"{_plain(cell.value)} ({low} to {high})"
    below, above = float(cell.value) - float(cell.low), float(cell.high) - float(cell.value)
    digits = _digits(max(below, above))
    if math.isclose(below, above, rel_tol=0.05) or f"{below:.{digits}f}" == f"{above:.{digits}f}":
        return f"{_round(cell.value, digits)} ± {_round(max(below, above), digits)}"
    ends = f"{_round(cell.low, digits)} to {_round(cell.high, digits)}"
    return f"{_round(cell.value, digits)} ({ends})"


def answer_html(answer: Answer) -> str:
    """The table with intervals, and under it what it cost."""
    cells: list[list[str]] = [
        [escape(_key(value)) for value in answer.key(column)]
        if column.role == "key"
        else [_cell(cell) for cell in answer.cells(column)]
        for column in answer.columns
    ]
    rows = list(zip(*cells, strict=True)) if cells else []
    foot = f"<p><small>{escape(summary(answer))}; intervals hold 95 times in 100</small></p>"
    return _rows(tuple(escape(column.name) for column in answer.columns), rows) + foot


def preview_html(preview: Preview) -> str:
    """The half-width of each measure, the price, and what would lower the noise."""
    rows = []
    for column in preview.measures:
        width = "not known yet" if column.half_width is None else f"± {column.half_width:g}"
        if column.half_width_for_pupils is not None:
            width += f" in a cell of {column.half_width_for_pupils:g} pupils"
        below = "" if column.hidden_below is None else str(column.hidden_below)
        rows.append((escape(column.name), escape(width), below))
    head = ("measure", "half-width to expect", "hidden below this noisy number of pupils")
    notes = [f"would charge ρ {preview.charged.rho:g} (ε {preview.charged.epsilon:g}) of {preview.balance.rho:g}"]
    notes += [f"the board decides first: {reason}" for reason in preview.board]
    notes += [str(bounds["explanation"]) for bounds in preview.bounds if bounds.get("explanation")]
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return _rows(head, rows) + f"<ul>{listed}</ul>"


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: Cell) -> str:
    text = escape(cell_text(cell))
    return f"<em>{text}</em>" if cell.value is None else text


def _key(value: Any) -> str:
    return "(missing)" if value is None else str(value)


def _digits(width: float) -> int:
    """Digits after the point that an interval warrants: two of the half-width."""
    if not (math.isfinite(width) and width > 0):
        return 0
    return min(max(1 - math.floor(math.log10(width)), 0), 12)


def _round(value: float, digits: int) -> str:
    return str(value) if isinstance(value, int) else _signed(f"{value:.{digits}f}")


def _plain(value: float) -> str:
    return _signed(str(value) if isinstance(value, int) else f"{value:.6g}")


def _signed(text: str) -> str:
    return text.replace("-", "−")
