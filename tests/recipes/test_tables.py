"""The paper's tables as data, and our numbers beside them."""

from __future__ import annotations

import pytest

from recipes.reporting import paper_tables as published
from recipes.reporting import tables


@pytest.mark.parametrize("table", published.TABLES, ids=lambda table: table.number)
def test_every_row_has_every_column(table: published.Published) -> None:
    assert {len(row) for row in table.rows.values()} == {len(table.columns)}


def test_averages_are_those_of_the_columns() -> None:
    for table in (published.CROSS_MODAL, published.LOSS_ABLATION, published.RETRIEVAL):
        for row, (*values, average) in table.rows.items():
            assert sum(values) / len(values) == pytest.approx(average, abs=0.0051), row


def test_published_rows_stand_below_measured_ones() -> None:
    measured = {
        "87.5": {"TOC": [0.02, 0.03], "best mask": [0.01, 0.01]},
        "12.5": {"TOC": [0.001, 0.001]},
    }
    table = tables.beside_published(published.MASKED_RECONSTRUCTION, measured, digits=3, data="x")
    assert table.columns == ("TOC", "best mask")
    assert [name for name, _ in table.rows] == ["87.5", "87.5, published", "12.5"]
    assert table.rows[0][1] == ("0.025 ± 0.064", "0.010 ± 0.000")
    assert table.rows[1][1] == ("0.0231", "")
    assert table.title.startswith("Table 3: ") and table.note.endswith("ours are on x.")
    assert len({len(line) for line in table.text().splitlines()}) == 1


def test_cells_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="a cell for each of the 2 columns; received: 1"):
        tables.Table("t", "row", ("a", "b"), (("x", ("1",)),))


def test_html_is_escaped() -> None:
    page = tables.Table("t", "<row>", ("a & b",), (("x", ("<1",)),)).html()
    assert "&lt;row&gt;" in page and "a &amp; b" in page and "&lt;1" in page
