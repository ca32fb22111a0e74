"""The loader: lookup by id and alias, hints, overlays in front, and one clear line for every bad file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.catalog import Catalog
from suanli.catalog.fact import COLUMNS
from suanli.errors import InputError, NoDataError, UnknownIdError

HEADER = ",".join(COLUMNS)


def overlay(folder: Path, table: str, *lines: str, header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{table}.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_unknown_chip_names_the_close_ones() -> None:
    with pytest.raises(UnknownIdError) as caught:
        Catalog().fact("chips", "h200_smx", "tdp")
    assert str(caught.value).startswith('No chip "h200_smx". Close: ')
    assert "nvidia-h200-sxm" in str(caught.value)
    assert str(caught.value).endswith("See: suanli catalog chips")


def test_unknown_table_names_the_close_ones() -> None:
    with pytest.raises(UnknownIdError, match='No table "chip"\\. Close: chips'):
        Catalog().table("chip")


def test_alias_ignores_case_and_underscores() -> None:
    catalog = Catalog()
    names = ("H800", "h800", "nvidia_h800_sxm", "NVIDIA H800")
    assert {catalog.resolve("chips", name) for name in names} == {"nvidia-h800-sxm"}


def test_missing_fact_is_no_data_and_get_is_none() -> None:
    catalog = Catalog()
    assert catalog.get("chips", "tesla-d1", "memory_capacity") is None
    with pytest.raises(NoDataError, match="no memory_capacity for tesla-d1"):
        catalog.fact("chips", "tesla-d1", "memory_capacity")


def test_overlay_wins_and_the_shipped_row_stays_visible(tmp_path: Path) -> None:
    line = "nvidia-h800-sxm,tdp,650,,,W,2026-11,quote,,A,adopted,our cap"
    folder = overlay(tmp_path / "mine", "chips", line)
    catalog = Catalog([folder])
    found = catalog.fact("chips", "nvidia-h800-sxm", "tdp")
    assert (found.si, found.origin) == (650.0, str(folder))
    assert 700.0 in {fact.si for fact in catalog.rows("chips", "nvidia-h800-sxm") if fact.parameter == "tdp"}
    assert catalog.fact("chips", "nvidia-h800-sxm", "memory_bandwidth").origin == "suanli"


def test_first_overlay_wins(tmp_path: Path) -> None:
    first = overlay(tmp_path / "a", "sites", "ulanqab,electricity_price,0.05,,,USD/kWh,,x,,D,adopted,")
    second = overlay(tmp_path / "b", "sites", "ulanqab,electricity_price,0.06,,,USD/kWh,,x,,D,adopted,")
    assert Catalog([first, second]).fact("sites", "ulanqab", "electricity_price").number == 0.05
    assert Catalog([second, first]).fact("sites", "ulanqab", "electricity_price").number == 0.06


def test_overlay_adds_a_new_id(tmp_path: Path) -> None:
    folder = overlay(
        tmp_path / "mine",
        "chips",
        "acme-one,tdp,500,,,W,2026,x,,B,adopted,",
        "acme-one,aliases,Acme 1,,,,2026,x,,B,adopted,",
    )
    assert Catalog([folder]).fact("chips", "acme 1", "tdp").si == 500.0
    with pytest.raises(UnknownIdError):
        Catalog().rows("chips", "acme-one")


def test_missing_overlay_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Catalog([tmp_path / "nowhere"])


def test_bad_header_names_file_and_line(tmp_path: Path) -> None:
    folder = overlay(tmp_path / "mine", "chips", "a,b", header="id,parameter,value")
    with pytest.raises(InputError, match=r"chips\.csv:1 columns must be id,parameter,value"):
        Catalog([folder]).table("chips")


def test_empty_file_is_a_bad_header(tmp_path: Path) -> None:
    (tmp_path / "chips.csv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"chips\.csv:1 columns"):
        Catalog([tmp_path]).table("chips")


def test_short_row_names_file_and_line(tmp_path: Path) -> None:
    good = "acme-one,tdp,500,,,W,2026,x,,B,adopted,"
    folder = overlay(tmp_path / "mine", "chips", good, "acme-one,tdp,500")
    with pytest.raises(InputError, match=r"chips\.csv:3 has 3 fields, not 12"):
        Catalog([folder]).table("chips")


def test_latest_takes_the_last_period(tmp_path: Path) -> None:
    folder = overlay(
        tmp_path / "mine",
        "prices",
        "acme-one,rent_contract_1y:2025-02,2.5,,,USD/h,2025-02,x,,C,adopted,",
        "acme-one,rent_contract_1y:2026-01,3.0,,,USD/h,2026-01,x,,C,adopted,",
        "acme-one,rent_contract_1y:2026-09,9.0,,,USD/h,2026-09,x,,C,rejected,one provider",
    )
    catalog = Catalog([folder])
    found = catalog.latest("prices", "acme-one", "rent_contract_1y")
    assert found is not None
    assert (found.number, found.parameter) == (3.0, "rent_contract_1y:2026-01")
    assert catalog.latest("prices", "acme-one", "rent_on_demand_range") is None


def test_quantities_convert_and_print() -> None:
    fact = Catalog().fact("systems", "nvidia-hgx-h800-8", "power_max")
    assert fact.si == pytest.approx(10200.0)
    assert fact.band_si == pytest.approx((9500.0, 10600.0))
    assert fact.shown() == "10.2 kW (9.5..10.6)"
    assert fact.name == "systems/nvidia-hgx-h800-8/power_max"


def test_source_of_a_row_and_of_nothing() -> None:
    catalog = Catalog()
    row = catalog.latest("demand", "deepseek-service", "nodes_mean")
    assert row is not None
    assert catalog.source(row.source)["publisher"] == "DeepSeek"
    assert catalog.source("no-such-source") == {}


def test_overlay_source_is_found(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text(
        "id,title,publisher,date,where\nquote,Our quote,Us,2026,drawer\n", encoding="utf-8"
    )
    assert Catalog([tmp_path]).source("quote")["title"] == "Our quote"


def test_bad_model_file_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.json").write_text('{\n  "hidden_size": ,\n}', encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.json:2 not valid JSON"):
        Catalog([tmp_path]).model("mine")


def test_model_of_an_overlay_by_alias(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    text = json.dumps({"hidden_size": 64, "_suanli": {"aliases": ["Acme/Tiny-1"]}})
    (tmp_path / "models" / "acme-tiny.json").write_text(text, encoding="utf-8")
    catalog = Catalog([tmp_path])
    assert catalog.model("acme/tiny-1")["hidden_size"] == 64
    assert "acme-tiny" in catalog.ids("models")
    with pytest.raises(UnknownIdError, match='No model "acme-tinny"'):
        catalog.model("acme-tinny")
