"""Claims against our own layers."""

from __future__ import annotations

import pytest

from suanli.evidence import model_rows, registry
from suanli.evidence.against_model import COMPARISONS, ModelRow
from suanli.evidence.against_model.row import Comparison, Computed, UnavailableError


@pytest.fixture(scope="module")
def rows() -> dict[str, ModelRow]:
    return {row.id: row for row in model_rows()}


def test_every_row_stands_on_claims(rows: dict[str, ModelRow]) -> None:
    assert len(rows) == len(COMPARISONS)
    for row in rows.values():
        assert row.claims and set(row.claims) <= set(registry().claims), row.id
        assert row.how
        assert (row.computed is None) == (row.verdict == "unjudged")


@pytest.mark.parametrize(
    ("name", "printed", "verdict"),
    [
        ("kv-mha", 2 * 32 * 128 * 32, "consistent"),  # 2 n_h d_h l of Llama 2 7B
        ("kv-gqa", 2 * 8 * 128 * 64, "consistent"),  # 2 n_g d_h l of Qwen3 32B
        ("kv-mqa", 2 * 64 * 32, "consistent"),  # 2 d_h l of Falcon 7B
        ("kv-mla", (512 + 64) * 61, "consistent"),  # (d_c + d_R) l of DeepSeek-V3
        ("v3-parameters", 671e9, "consistent"),
        ("phone-memory-7b", 4.0, "consistent"),
        ("mtp-speedup", 1.8, "consistent"),
        ("cm384-hbm-bw", 12.29, "inconsistent"),  # 384 x 3.2 TB/s is 1,229
        ("nvl72-bf16", 180.0, "consistent"),
        ("b30-cluster", 85.0, "inconsistent"),
        ("910d-compute", 78.0, "inconsistent"),
        ("doubao-composite", 2.6, "consistent"),
    ],
)
def test_rows(rows: dict[str, ModelRow], name: str, printed: float, verdict: str) -> None:
    assert rows[name].printed == pytest.approx(printed)
    assert rows[name].verdict == verdict


def test_bandwidth_slip_is_a_hundred(rows: dict[str, ModelRow]) -> None:
    row = rows["cm384-hbm-bw"]
    assert row.computed is not None and row.printed is not None
    assert row.computed / row.printed == pytest.approx(100.0, rel=1e-2)


def test_what_is_missing_is_said(rows: dict[str, ModelRow]) -> None:
    assert rows["ocs-saving"].verdict == "unjudged"
    assert "optical circuit switches" in rows["ocs-saving"].how
    assert "does not state the load" in rows["hvdc-saving"].how


def test_a_missing_layer_leaves_the_row_standing() -> None:
    def gone(catalog: object, claims: object) -> Computed:
        raise UnavailableError("no such layer yet")

    from suanli.catalog import Catalog

    row = Comparison("x", ("s001-mtp-speedup",), "x", "x", gone, reference="s001-mtp-speedup").run(
        Catalog(), registry()
    )
    assert (row.verdict, row.printed, row.how) == ("unjudged", 1.8, "no such layer yet")
    assert row.document()["claims"] == ["s001-mtp-speedup"]
