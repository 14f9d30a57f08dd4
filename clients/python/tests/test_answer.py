"""Answers as tables, pictures and pages."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest
from matplotlib import pyplot

from enclave_client import Answer, EnclaveError, Preview
from support import Log, answer_table, arrow_file, key, measure


def test_an_answer_says_what_it_is() -> None:
    answer = Answer.of(answer_table(log=Log()))
    assert [str(column) for column in answer.columns] == ["cltype", "n", "math"]
    assert [column.name for column in answer.keys] == ["cltype"]
    assert [column.name for column in answer.measures] == ["n", "math"]
    count, mean = answer.measures
    assert (count.aggregate, count.mechanism, count.scale, count.confidence) == (
        "count",
        "discrete gaussian",
        14.1,
        0.95,
    )
    assert (mean.sensitivity, mean.clipped) == ({"l2": 275.0}, (250.0, 800.0))
    assert (answer.charged.rho, answer.charged.delta, answer.balance.rho, answer.log_index) == (0.02, 1e-6, 9.5, 6)
    assert (len(answer), answer.replayed, answer.preview) == (3, False, False)
    assert answer.receipt is not None
    assert repr(answer) == "<Answer: 3 rows; ρ 0.02 charged; ρ 9.5 left; log 6>"


def test_an_answer_survives_a_file() -> None:
    table = answer_table(log=Log())
    again = Answer.of(pa.ipc.open_file(arrow_file(table)).read_all())
    assert again.columns == Answer.of(table).columns


def test_an_alias_may_look_like_an_interval() -> None:
    fields = [key("n_low", pa.int64()), *measure("n", pa.int64()), *measure("n_high", pa.int64())]
    answer = Answer.of(answer_table([{"k": 1, "a": (2, 1, 3, "shown"), "b": (5, 4, 6, "shown")}], fields))
    assert [answer.cells(column)[0].value for column in answer.measures] == [2, 5]
    assert answer.key(answer.keys[0]) == [1]


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"n": [1]}),
        answer_table(facts={"charged": None}),
        answer_table(facts={"balance": "{}"}),
        answer_table(facts={"receipt": "[]"}),
        answer_table(fields=measure("n", pa.int64())[:3], rows=[]),
        answer_table(fields=list(reversed(measure("n", pa.int64()))), rows=[]),
    ],
)
def test_another_table_is_no_answer(table: pa.Table) -> None:
    with pytest.raises(EnclaveError) as caught:
        Answer.of(table)
    assert caught.value.code == "form"


def test_data_frames_have_the_same_columns() -> None:
    answer = Answer.of(answer_table())
    pandas, polars = answer.to_pandas(), answer.to_polars()
    assert list(pandas.columns) == polars.columns == answer.table.column_names
    assert pandas["n"].isna().sum() == polars["n"].null_count() == 1
    assert pandas.loc[0, "math_low"] == polars["math_low"][0] == 486.4


# --- Pictures --------------------------------------------------------------------------------------------------------


def drawn(answer: Answer, **how: Any) -> Any:
    figure, ax = pyplot.subplots()
    try:
        assert answer.plot(ax=ax, **how) is ax
        figure.canvas.draw()
        return ax
    finally:
        pyplot.close(figure)


def test_error_bars_are_the_intervals() -> None:
    ax = drawn(Answer.of(answer_table()), measure="n")
    points, _, bars = ax.containers[0]
    assert list(points.get_ydata()) == [1762, 2032]
    segments = [[float(y) for _, y in segment] for segment in bars[0].get_segments()]
    assert segments == [[1734, 1790], [2004, 2060]]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["small", "reg", 'a, "b"']
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cltype", "n (95% interval)")
    assert "hidden" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_an_interval_without_end_has_no_bar() -> None:
    ax = drawn(Answer.of(answer_table()), measure="math")
    assert list(ax.containers[0][0].get_ydata()) == [490.931]
    assert "interval without end" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_other_keys_become_series() -> None:
    fields = [key("gr", pa.string()), key("cltype", pa.string()), *measure("math", pa.float64())]
    rows = [
        {"gr": grade, "cltype": kind, "math": (value, value - 1, value + 1, "shown")}
        for value, (grade, kind) in enumerate([("K", "small"), ("K", "reg"), ("1", "small"), ("1", "reg")], 500)
    ]
    answer = Answer.of(answer_table(rows, fields))
    ax = drawn(answer)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["small", "reg"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["K", "1"]
    assert [list(container[0].get_ydata()) for container in ax.containers] == [[500, 502], [501, 503]]
    other = drawn(answer, x="cltype")
    assert [text.get_text() for text in other.get_legend().get_texts()] == ["K", "1"]


def test_series_without_points_are_told_once() -> None:
    fields = [key("gr", pa.string()), key("cltype", pa.string()), *measure("n", pa.int64())]
    rows = [{"gr": "K", "cltype": kind, "n": (None, None, None, "small cell")} for kind in ("small", "reg")]
    ax = drawn(Answer.of(answer_table(rows, fields)))
    assert [text.get_text() for text in ax.get_legend().get_texts()].count("hidden") == 1


@pytest.mark.parametrize(
    ("kind", "places"),
    [(pa.int64(), [2024, 2026]), (pa.date32(), [datetime.date(2026, 4, 1), datetime.date(2026, 5, 1)])],
)
def test_numbers_and_days_stand_at_their_places(kind: pa.DataType, places: list[Any]) -> None:
    fields = [key("at", kind), *measure("n", pa.int64())]
    ax = drawn(Answer.of(answer_table([{"at": place, "n": (5, 4, 6, "shown")} for place in places], fields)))
    assert list(ax.containers[0][0].get_xdata(orig=True)) == places


def test_an_answer_without_keys_is_one_point() -> None:
    rows = [{"n": (5, 4, 6, "shown")}]
    assert list(drawn(Answer.of(answer_table(rows, measure("n", pa.int64())))).containers[0][0].get_ydata()) == [5]


def test_a_name_that_is_none_is_told() -> None:
    answer = Answer.of(answer_table())
    with pytest.raises(KeyError, match="no measure `math_low`"):
        answer.plot(measure="math_low")
    with pytest.raises(KeyError, match="no key `n`"):
        answer.plot(x="n")


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_a_page_shows_intervals_and_says_what_is_hidden() -> None:
    page = Answer.of(answer_table())._repr_html_()
    assert "<td>1762 ± 28</td><td>490.9 ± 4.6</td>" in page
    assert "483.2 (478.9 to ∞)" in page
    assert "<td>a, &quot;b&quot;</td><td><em>hidden: small cell</em></td>" in page
    assert "ρ 0.02 charged; ρ 9.5 left; log 6" in page


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ((1762, 1734, 1790, "shown"), "1762 ± 28"),
        ((1762, 1734, 1800, "shown"), "1762 (1734 to 1800)"),
        ((0.123456, 0.12, 0.127, "shown"), "0.1235 ± 0.0035"),
        ((-5.0, -7.5, -2.5, "shown"), "−5.0 ± 2.5"),
        ((37.97, 20.5, 49.5, "shown"), "38 (20 to 50)"),
        ((7, 7, 7, "shown"), "7 ± 0"),
        ((None, None, None, "undefined"), "not defined for this group"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_warrants(cell: Any, text: str) -> None:
    kind = pa.int64() if isinstance(cell[0], int) else pa.float64()
    page = Answer.of(answer_table([{"n": cell}], measure("n", kind)))._repr_html_()
    assert text in page


def test_a_page_holds_no_markup_of_others() -> None:
    fields = [key("<b>", pa.string()), *measure("<i>", pa.int64())]
    page = Answer.of(answer_table([{"k": "<script>", "n": (5, 4, 6, "shown")}], fields))._repr_html_()
    assert not any(mark in page for mark in ("<b>", "<i>", "<script>"))


# --- Previews --------------------------------------------------------------------------------------------------------

PREVIEW: dict[str, Any] = {
    "memorandum": "star-1",
    "question": "sha256:5",
    "release": None,
    "replayed": False,
    "preview": True,
    "charged": {"rho": 0.02, "epsilon": 0.7, "delta": 1e-6},
    "balance": {"rho": 9.5},
    "bounds": [{"rho": 0.02, "explanation": "one row of a pupil <counts>"}],
    "board": ["no-ranking"],
    "columns": [
        {"name": "cltype", "type": "string", "role": "key"},
        {"name": "n", "type": "integer", "role": "measure", "half_width": 28.0, "hidden_below": 24},
        {"name": "math", "type": "number", "role": "measure", "half_width": 4.5, "half_width_for_pupils": 1000.0},
    ],
    "rows": [],
    "log": None,
}


def test_a_preview_says_price_and_accuracy() -> None:
    preview = Preview.of(PREVIEW)
    assert repr(preview) == "<Preview: ρ 0.02 of 9.5; n ± 28, math ± 4.5>"
    assert (preview.measure("n").hidden_below, preview.measure("math").half_width_for_pupils) == (24, 1000.0)
    assert (preview.receipt, preview.board) == (None, ("no-ranking",))
    page = preview._repr_html_()
    assert "± 4.5 in a cell of 1000 pupils" in page
    assert "one row of a pupil &lt;counts&gt;" in page
    with pytest.raises(EnclaveError):
        Preview.of({})
