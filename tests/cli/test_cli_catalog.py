"""`suanli catalog`: tables, entries, cards with sources and alternatives, models, overlays."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cli_case import ROOT, Cli, files

from suanli.catalog import TABLES

DATA = ROOT / "src" / "suanli" / "catalog" / "data"


def rows(table: str) -> list[dict[str, str]]:
    with (DATA / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_with_their_sizes(suanli: Cli) -> None:
    tables = suanli("catalog", "--json").json()["tables"]
    assert set(tables) == {*TABLES, "models", "frameworks"}
    for table in TABLES:
        entries = rows(table)
        assert tables[table] == {"ids": len({row["id"] for row in entries}), "rows": len(entries)}
    assert tables["models"]["ids"] == len(list((DATA / "models").glob("*.json")))
    printed = suanli("catalog").out
    assert all(table in printed for table in tables)


@pytest.mark.parametrize("table", [*TABLES, "models"])
def test_entries_of_a_table(suanli: Cli, table: str) -> None:
    ids = suanli("catalog", table, "--json").json()["ids"]
    assert ids and len(ids) == len(set(ids))
    done = suanli("catalog", table)
    assert done.code == 0 and done.err == ""
    assert f"{table}: {len(ids)} " in done.out
    assert "…" not in done.out, "long ids are folded, never cut"


def test_card_shows_sources_and_what_was_not_adopted(suanli: Cli) -> None:
    name = "huawei-ascend-910b"
    facts = suanli("catalog", "chips", name, "--json").json()["facts"]
    assert [
        {key: fact[key] for key in row} for fact, row in zip(facts, _of(name), strict=True) for row in [row]
    ] == _of(name)
    statuses = {fact["status"] for fact in facts}
    assert statuses >= {"adopted", "alternative"}, "the reports print several peaks for this chip"
    printed = suanli("catalog", "chips", name).out
    assert "alternative" in printed and "Sources" in printed
    folded = "".join(printed.split())
    for fact in facts:
        assert fact["source"] in folded


def _of(name: str) -> list[dict[str, str]]:
    return [row for row in rows("chips") if row["id"] == name]


def test_alias_and_id_give_the_same_card(suanli: Cli) -> None:
    expected = suanli("catalog", "chips", "nvidia-h800-sxm").out
    assert suanli("catalog", "chips", "h800").out == expected
    assert suanli("catalog", "chips", "NVIDIA_H800_SXM").out == expected


def test_card_of_a_model_counts_its_parameters(suanli: Cli) -> None:
    document = suanli("catalog", "models", "deepseek-ai/DeepSeek-V3", "--json").json()
    assert document["config"]["num_hidden_layers"] == 61
    computed = document["computed"]
    # DeepSeek-V3 technical report: 671 B in all, 37 B active; KV of 576 latent values in 61 layers of 16 bit.
    assert computed["parameters_total"] == pytest.approx(671e9, rel=1e-3)
    assert computed["parameters_active"] == pytest.approx(37e9, rel=0.02)
    assert computed["kv_bytes_per_token_bf16"] == 61 * 576 * 2
    printed = suanli("catalog", "models", "deepseek-v3").out
    assert "70,272" in printed and "num_hidden_layers" in printed


def test_a_shape_that_is_published_in_part_is_listed(suanli: Cli) -> None:
    document = suanli("catalog", "models", "hunyuan-turbos", "--json").json()
    assert document["computed"] == {} and "not published" in document["reason"]
    assert "unavailable" in suanli("catalog", "models", "hunyuan-turbos").out


def test_overlay_rows_win_and_new_ids_appear(suanli: Cli, tmp_path: Path) -> None:
    header = "id,parameter,value,low,high,unit,as_of,source,locator,grade,status,note"
    lines = [
        header,
        "nvidia-h800-sxm,tdp,650,,,W,2026-11,own-meter,rack 3,A,adopted,",
        "acme-one,tdp,500,,,W,2026-11,acme,sheet,B,adopted,",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "chips.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "acme-one" in suanli("catalog", "chips", "--catalog", "mine", "--json").json()["ids"]
    assert "acme-one" not in suanli("catalog", "chips", "--json").json()["ids"]
    card = suanli("catalog", "chips", "h800", "--catalog", "mine").out
    assert "650 W" in card and "own-meter, rack 3" in card and "not on record" in card


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["chip"], 'No table "chip". Close: chips'),
        (["chips", "h200_smx"], 'No chip "h200_smx". Close: nvidia-h200-sxm'),
        (["switches", "nvidia-qm9800"], 'No switch "nvidia-qm9800". Close: '),
        (["models", "deepseek-r7"], 'No model "deepseek-r7". Close: deepseek-r1'),
        (["chips", "h800", "--catalog", "nowhere"], "--catalog nowhere: no such folder"),
    ],
)
def test_unknown_names_and_the_close_ones(suanli: Cli, tmp_path: Path, args: list[str], line: str) -> None:
    done = suanli("catalog", *args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"suanli: {line}")
    assert files(tmp_path) == set()


@pytest.mark.parametrize("table", [*TABLES, "frameworks"])
def test_lists_fit_80_columns_with_their_headers_whole(suanli: Cli, table: str) -> None:
    lines = suanli("catalog", table).out.splitlines()
    assert max(map(len, lines)) <= 80
    headers = [word for line in lines[2:5] for word in line.split()]
    assert not {"capa", "city", "tor", "fac"} & set(headers)


def test_prices_and_assumptions_are_lists_of_facts(suanli: Cli) -> None:
    for table in ("prices", "assumptions"):
        printed = suanli("catalog", table).out
        adopted = {(row["id"], row["parameter"]) for row in rows(table) if row["status"] == "adopted"}
        facts = [line for line in printed.splitlines() if line.rstrip()[-2:] in (" A", " B", " C", " D")]
        assert len(facts) == len(adopted)
    line = next(one for one in printed.splitlines() if "rack_power" in one)
    assert line.split() == ["rack_power", "45", "kW", "(20..130)", "D"]


def test_a_source_without_a_date_has_no_empty_brackets(suanli: Cli) -> None:
    assert "()" not in suanli("catalog", "sites", "dallas").out


def test_run_and_catalogue_count_active_parameters_alike(suanli: Cli) -> None:
    counted = suanli("catalog", "models", "deepseek-r1", "--json").json()["computed"]["parameters_active"]
    run = suanli("run", ROOT / "scenarios" / "deepseek-day.toml", "--no-folder", "--json").json()
    assert run["metrics"]["llm.parameters_active"]["value"] == counted


def test_frameworks_with_versions_kinds_and_rows(suanli: Cli) -> None:
    with (DATA / "frameworks.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    document = suanli("catalog", "frameworks", "--json").json()
    assert set(document["ids"]) == {record["framework"] for record in records}
    for fit in document["fits"]:
        same = [r for r in records if (r["framework"], r["kind"]) == (fit["framework"], fit["kind"])]
        assert set(fit["versions"]) == {r["version"] for r in same} - {"*"}
        assert fit["rows_fit"] == max(int(r["rows_fit"] or 0) for r in same if r["version"] == "*")
    printed = suanli("catalog", "frameworks").out
    assert "vllm" in printed and "0.19.0" in printed and "moe" in printed
    card = suanli("catalog", "frameworks", "vllm", "--json").json()["facts"]
    assert card == [record for record in records if record["framework"] == "vllm"]
    assert "kernel_factor" in suanli("catalog", "frameworks", "vllm").out
    unknown = suanli("catalog", "frameworks", "vlm")
    assert unknown.code == 2 and "Close: vllm" in unknown.err
