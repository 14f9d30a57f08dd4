"""A measure over a key, with its intervals as error bars."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from enclave_client.answer import Answer, Cell

#: How far the series of one category stand apart, in all.
_SPREAD = 0.4


def plot(answer: Answer, x: str | None, measure: str | None, ax: Axes | None) -> Axes:
    """See ``Answer.plot``."""
    shown = answer.measure(measure)
    keys = list(answer.keys)
    names = [key.name for key in keys]
    if x is not None and x not in names:
        raise KeyError(f"there is no key `{x}`; there are: {', '.join(names)}")
    across = keys[names.index(x)] if x is not None else (keys[0] if keys else None)

    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    places = answer.key(across) if across else [""] * len(answer)
    others = [answer.key(key) for key in keys if key is not across]
    labels = [", ".join(_name(value) for value in row) for row in zip(*others, strict=True)] or [""] * len(answer)
    series: dict[str, list[tuple[Any, Cell]]] = {}
    for label, place, cell in zip(labels, places, answer.cells(shown), strict=True):
        series.setdefault(label, []).append((place, cell))

    measured = bool(places) and all(_is_measured(place) for place in places)
    categories = list(dict.fromkeys(_name(place) for place in places))
    for i, (label, points) in enumerate(series.items()):
        shift = 0.0 if measured or len(series) < 2 else _SPREAD * (i / (len(series) - 1) - 0.5)
        at = [place if measured else categories.index(_name(place)) + shift for place, _ in points]
        _draw(ax, at, [cell for _, cell in points], label or None)
    if not measured:
        ax.set_xticks(range(len(categories)), categories)
        ax.set_xlim(-0.5, max(len(categories), 1) - 0.5)
    if across:
        ax.set_xlabel(across.name)
    ax.set_ylabel(f"{shown.name} ({100 * (shown.confidence or 0.95):g}% interval)")
    if any(label for label in ax.get_legend_handles_labels()[1]):
        ax.legend(title=", ".join(key.name for key in keys if key is not across) or None)
    return ax


def _draw(ax: Axes, at: list[Any], cells: list[Cell], label: str | None) -> None:
    points, open_ended, hidden = [], [], []
    for place, cell in zip(at, cells, strict=True):
        if cell.value is None:
            hidden.append(place)
        elif cell.low is None or cell.high is None:
            open_ended.append((place, cell.value))
        else:
            points.append((place, cell.value, cell.value - cell.low, cell.high - cell.value))
    places, values, below, above = zip(*points, strict=True) if points else ((), (), (), ())
    bars = ax.errorbar(places, values, yerr=[below, above], fmt="o", capsize=4, label=label)
    color = bars[0].get_color()
    if open_ended:
        # An end that is infinite has no bar; a hollow point says so.
        name = _once(ax, "interval without end")
        ax.plot(*zip(*open_ended, strict=True), "o", color=color, fillstyle="none", label=name)
    if hidden:
        foot = ax.get_xaxis_transform()
        ax.plot(hidden, [0.03] * len(hidden), "x", color=color, transform=foot, label=_once(ax, "hidden"))


def _once(ax: Axes, label: str) -> str | None:
    """The label, if the legend does not have it yet."""
    return None if label in ax.get_legend_handles_labels()[1] else label


def _is_measured(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number or isinstance(value, datetime.date)


def _name(value: Any) -> str:
    return "(missing)" if value is None else str(value)
