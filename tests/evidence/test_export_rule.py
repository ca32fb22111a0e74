"""The export rule, on the figures of parts whose status is known."""

from __future__ import annotations

import pytest

from suanli.catalog import Catalog
from suanli.evidence.export_rule import (
    export_rows,
    january_2026,
    october_2022,
    october_2023,
    report_table,
    thresholds,
    total_processing_performance,
)

CATALOG = Catalog()
RULE = thresholds(CATALOG)


def test_thresholds_come_with_their_rows() -> None:
    assert (RULE.tpp_a, RULE.tpp_a_dense, RULE.density_a) == (4800, 1600, 5.92)  # ECCN 3A090.a
    assert len(RULE.cites) == 11


def test_tpp_is_the_largest_product_over_formats() -> None:
    # A100: 624 TOPS x 8 = 312 TFLOPS x 16 = 4,992
    assert total_processing_performance({"peak_int8": 624e12, "peak_fp32": 19.5e12}) == (4992.0, "peak_int8")
    assert total_processing_performance({}) is None


@pytest.mark.parametrize(
    ("tpp", "density", "status"),
    [
        (4800.0, None, "3A090.a"),
        (1600.0, 5.92, "3A090.a"),
        (2400.0, 1.6, "3A090.b"),
        (1600.0, 3.2, "3A090.b"),
        (1912.0, 3.14, "free"),  # L20: just below the density
        (2368.0, 2.91, "free"),  # H20
        (1599.0, 50.0, "free"),
        (2000.0, None, "unknown"),
        (None, 3.0, "unknown"),
    ],
)
def test_october_2023(tpp: float | None, density: float | None, status: str) -> None:
    assert october_2023(RULE, tpp, density) == status


def test_october_2022_needs_both() -> None:
    assert october_2022(RULE, 4992.0, 600.0) == "controlled"  # A100
    assert october_2022(RULE, 4992.0, 400.0) == "free"  # A800
    assert october_2022(RULE, None, None) == "unknown"


def test_january_2026() -> None:
    assert january_2026(RULE, "3A090.a", 15832.0, 4800.0) == "case by case"  # H200
    assert january_2026(RULE, "3A090.a", 36000.0, 8000.0) == "presumption of denial"  # B200
    assert january_2026(RULE, "free", 2368.0, 4000.0) == "not concerned"
    assert january_2026(RULE, "unknown", None, None) == "unknown"


def test_chips_of_known_status() -> None:
    rows = {row.chip: row for row in export_rows(CATALOG)}
    assert set(rows) == set(CATALOG.ids("chips"))
    assert rows["nvidia-a100-sxm-80gb"].october_2022 == "controlled"
    assert rows["nvidia-a800-sxm-80gb"].october_2022 == "free"
    assert rows["nvidia-h800-sxm"].october_2023 == "3A090.a"
    assert rows["nvidia-h20-96gb"].october_2023 == "free"
    assert rows["nvidia-h200-sxm"].january_2026 == "case by case"
    assert rows["nvidia-b200-sxm"].january_2026 == "presumption of denial"
    assert all(row.tpp is not None or "peak" in row.missing for row in rows.values())


def test_the_printed_table_breaks_its_own_rule() -> None:
    rows = {row.claim: row for row in report_table(CATALOG)}
    assert len(rows) == 9
    broken = {name for name, row in rows.items() if row.breaks_own_rule}
    assert broken == {"s000-export-rx7900xtx-tpp", "s000-export-a100-tpp"}
    wrong = {name for name, row in rows.items() if row.breaks_real_rule}
    assert wrong == {"s000-export-max1550-tpp", "s000-export-rtx4090-tpp", "s000-export-l40s-tpp"}
    assert (
        "3A090.a by the real rule, printed as not restricted"
        in rows["s000-export-max1550-tpp"].breaks_real_rule
    )
