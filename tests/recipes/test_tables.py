"""The paper's tables as data, and our numbers beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recipes.reporting import paper_tables, tables


@pytest.mark.parametrize("table", paper_tables.TABLES, ids=lambda table: table.number)
def test_every_row_has_every_column(table: paper_tables.PaperTable) -> None:
    assert {len(row) for row in table.rows.values()} == {len(table.columns)}


def test_averages_are_those_of_the_columns() -> None:
    for table in (paper_tables.CROSS_MODAL, paper_tables.LOSS_ABLATION, paper_tables.RETRIEVAL):
        for row, (*values, average) in table.rows.items():
            assert sum(values) / len(values) == pytest.approx(average, abs=0.0051), row


def test_published_rows_stand_below_measured_ones() -> None:
    measured = {
        "87.5": {"TOC": [0.02, 0.03], "best mask": [0.01, 0.01]},
        "12.5": {"TOC": [0.001, 0.001]},
    }
    table = tables.beside_published(
        paper_tables.MASKED_RECONSTRUCTION, measured, digits=3, data="x"
    )
    assert table.columns == ("TOC", "best mask")
    assert list(table.rows) == ["87.5", "87.5, published", "12.5"]
    assert table.cells()[0][1] == ["0.025 ± 0.064", "0.010 ± 0.000"]
    assert table.cells()[1][1] == ["0.0231", ""]
    assert table.title.startswith("Table 3: ") and table.note.endswith("ours are on x.")
    assert len({len(line) for line in table.text().splitlines()}) == 1


def test_published_numbers_stand_as_printed() -> None:
    measured = {"FCID": {"AVE V->A": [1.0], "AVE A->V": [2.0]}, "DCID": {"memory": [3.0]}}
    table = tables.beside_published(paper_tables.CROSS_MODAL, measured)
    assert table.cell("FCID, published", "AVE A->V") == "54.9"
    with_toc = tables.beside_published(paper_tables.CROSS_MODAL, {"FCID+TOC": {"AVE A->V": [2.0]}})
    assert with_toc.cell("FCID+TOC, published", "AVE A->V") == "55.0"
    cost = tables.beside_published(paper_tables.COST, {"DCID": {"memory": [99.0]}})
    assert cost.cell("DCID, published", "memory") == "100"


def test_a_table_keeps_its_numbers() -> None:
    table = tables.over_seeds("t", "row", {"x": {"a": [1.0, 2.0]}, "y": {"b": [3.0]}}, missing="–")
    assert table.values.loc["x", "a"] == 1.5 and np.isnan(table.values.loc["x", "b"])
    assert table.half_widths is not None
    assert table.half_widths.loc["x", "a"] == pytest.approx(6.353, abs=1e-3)
    assert np.isnan(table.half_widths.loc["y", "b"])
    assert table.cells() == [("x", ["1.5 ± 6.4", "–"]), ("y", ["–", "3.0"])]


def test_interval_is_students() -> None:
    values = [0.91, 0.95, 0.99]
    mean, half = tables.interval(values)
    low, high = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem(values))
    assert mean == pytest.approx(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert tables.interval([0.5, 0.5]) == (0.5, 0.0)


def test_one_value_has_no_interval() -> None:
    assert math.isnan(tables.interval([0.5])[1])
    with pytest.raises(ValueError, match="at least one number"):
        tables.interval([])
