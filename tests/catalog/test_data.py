"""The shipped catalogue: every row obeys the schema, the unit registry and the rules of provenance."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest

from suanli import units
from suanli.catalog import TABLES, Catalog, Fact, schema
from suanli.catalog.fact import COLUMNS, GRADES
from suanli.catalog.schema import DATA, stem

CATALOG = Catalog()
FACTS = {table: [fact for rows in CATALOG.table(table).values() for fact in rows] for table in TABLES}
EVERY = [fact for facts in FACTS.values() for fact in facts]
with (DATA / "sources.csv").open(encoding="utf-8", newline="") as _file:
    SOURCES = list(csv.DictReader(_file))
EXPECTED = {
    "assumptions", "benchmarks", "bom", "capex", "chips", "construction", "converters", "coolers",
    "demand", "devices", "export_rules", "frontier", "links", "memory", "prices", "sites", "storage",
    "switches", "systems",
}  # fmt: skip

CHIPS = [
    "nvidia-a100-sxm-40gb", "nvidia-a100-sxm-80gb", "nvidia-a800-sxm-80gb", "nvidia-h100-sxm",
    "nvidia-h100-pcie", "nvidia-h800-sxm", "nvidia-h20-96gb", "nvidia-h200-sxm", "nvidia-l4",
    "nvidia-l20", "nvidia-l40s", "nvidia-b30", "nvidia-b200-sxm", "nvidia-b300-sxm", "nvidia-gb200",
    "nvidia-gb300", "nvidia-vr200", "nvidia-vr300", "nvidia-rtx-4090", "nvidia-rtx-5090",
    "nvidia-rtx-pro-6000", "amd-mi300x", "amd-mi325x", "amd-mi355x", "intel-gaudi3", "google-tpu-v4",
    "google-tpu-v5e", "google-tpu-v5p", "google-tpu-v6e", "google-tpu-v7", "aws-inferentia2",
    "aws-trainium1", "aws-trainium2", "aws-trainium3", "meta-mtia-v2", "microsoft-maia-100", "tesla-d1",
    "huawei-ascend-910a", "huawei-ascend-910b", "huawei-ascend-910c", "huawei-ascend-910d",
    "huawei-ascend-920", "cambricon-mlu370-x8", "cambricon-mlu590", "hygon-k100", "hygon-k100-ai",
    "metax-c500", "moorethreads-s4000", "enflame-t21", "iluvatar-bi-v150", "taichu-t100",
]  # fmt: skip
UNPUBLISHED = {  # facts that nobody has published; a missing fact stays a missing row
    "nvidia-b30": {"memory_capacity"},
    "tesla-d1": {"memory_capacity", "memory_bandwidth"},  # works from on-chip SRAM
    "google-tpu-v5e": {"tdp"},
    "aws-inferentia2": {"tdp"},
    "aws-trainium1": {"tdp"},
    "huawei-ascend-910d": {"memory_capacity", "memory_bandwidth", "peak", "tdp"},  # rumours only
    "huawei-ascend-920": {"memory_capacity", "tdp"},  # rumours only
    "hygon-k100": {"memory_bandwidth"},
}
NOT_SOLD = {"meta-mtia-v2", "microsoft-maia-100", "tesla-d1", "huawei-ascend-910d", "huawei-ascend-920"}
SYSTEMS = [
    "nvidia-hgx-a100-8", "nvidia-hgx-h100-8", "nvidia-hgx-h200-8", "nvidia-hgx-h800-8",
    "nvidia-hgx-b200-8", "nvidia-hgx-b300-8", "nvidia-gb200-nvl72", "nvidia-gb300-nvl72",
    "nvidia-vr-nvl72", "nvidia-rubin-ultra-nvl576", "huawei-cloudmatrix-384", "aws-trn2-server-16",
    "aws-trn2-ultraserver-64", "google-tpu-v5p-pod", "google-tpu-v6e-shelf", "cn-8x-ascend-910b",
    "cn-8x-iluvatar-150", "cn-8x-taichu-t100", "cn-8x-metax-c500", "cn-8x-mthreads-s4000",
    "cn-8x-enflame-t21", "cn-8x-cambricon-mlu370x8", "cn-8x-hygon-k100-ai", "cn-ai-appliance-generic",
    "generic-workstation-2gpu", "generic-workstation-rtx4090",
]  # fmt: skip
PRICED = [
    "nvidia-hgx-h100-8", "nvidia-hgx-h200-8", "nvidia-hgx-h800-8", "nvidia-hgx-b200-8",
    "nvidia-hgx-b300-8", "nvidia-gb200-nvl72", "nvidia-gb300-nvl72", "huawei-cloudmatrix-384",
    "cn-8x-ascend-910b", "cn-8x-metax-c500", "cn-8x-hygon-k100-ai", "cn-ai-appliance-generic",
    "generic-workstation-rtx4090",
]  # fmt: skip
ISO = r"\d{4}(-\d\d(-\d\d)?|Q[1-4]|H[12])?"
MACHINE_PATH = re.compile(r"(^|[\s\"'(=])/(work|tmp|root|home|mnt|srv|usr|var)/")


def offenders(test: object) -> list[str]:
    return [f"{fact.name}: {fact.value} {fact.unit} [{fact.note}]" for fact in EVERY if test(fact)][:10]  # type: ignore[operator]


def number(fact: Fact) -> bool:
    return schema()[fact.table][stem(fact.parameter)].type == "number"


def test_tables_are_those_of_the_design() -> None:
    assert set(TABLES) == EXPECTED
    assert set(schema()) == set(TABLES)


def test_headers_are_the_fact_columns() -> None:
    for table in TABLES:
        with (DATA / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            assert tuple(next(csv.reader(file))) == COLUMNS


def test_schema_covers_every_parameter() -> None:
    assert offenders(lambda fact: stem(fact.parameter) not in schema()[fact.table]) == []


def test_schema_holds_no_unused_parameter() -> None:
    used = {(fact.table, stem(fact.parameter)) for fact in EVERY}
    listed = {(table, name) for table, rows in schema().items() for name in rows}
    assert sorted(listed - used) == []


def test_schema_units_types_and_descriptions() -> None:
    for rows in schema().values():
        for row in rows.values():
            assert row.type in ("number", "text")
            assert row.type == "number" or row.unit == ""
            assert row.description.endswith(".") and len(row.description) > 3
            if row.type == "number":
                units.unit(row.unit)


def test_numbers_have_the_dimension_of_the_schema() -> None:
    def wrong(fact: Fact) -> bool:
        wanted = schema()[fact.table][stem(fact.parameter)].unit
        return number(fact) and units.unit(fact.unit).dimension != units.unit(wanted).dimension

    assert offenders(wrong) == []


def test_text_rows_have_no_unit_and_no_band() -> None:
    assert offenders(lambda fact: not number(fact) and bool(fact.unit or fact.low or fact.high)) == []
    assert offenders(lambda fact: not fact.value.strip()) == []


def test_values_stand_between_low_and_high() -> None:
    def wrong(fact: Fact) -> bool:
        low, high = fact.band
        return not low <= fact.number <= high

    assert offenders(lambda fact: number(fact) and wrong(fact)) == []


def test_values_are_within_physical_bounds() -> None:
    def wrong(fact: Fact) -> bool:
        row = schema()[fact.table][stem(fact.parameter)]
        ends = [units.convert(value, fact.unit, row.unit) for value in (fact.number, *fact.band)]
        below = row.min is not None and min(ends) < row.min
        return below or (row.max is not None and max(ends) > row.max)

    assert offenders(lambda fact: number(fact) and wrong(fact)) == []


def test_one_adopted_row_per_fact() -> None:
    counts = Counter(fact.name for fact in EVERY if fact.status == "adopted")
    assert [name for name, count in counts.items() if count > 1] == []


def test_grade_and_status_are_known() -> None:
    assert offenders(lambda fact: fact.grade not in GRADES) == []
    assert offenders(lambda fact: fact.status not in ("adopted", "alternative", "rejected")) == []


def test_every_source_is_on_record() -> None:
    assert offenders(lambda fact: not CATALOG.source(fact.source).get("title")) == []


def test_source_ids_are_unique() -> None:
    assert [name for name, count in Counter(row["id"] for row in SOURCES).items() if count > 1] == []


def test_recalled_rows_are_weak() -> None:
    assert offenders(lambda fact: "from memory" in fact.note and fact.grade not in ("C", "D")) == []
    assert offenders(lambda fact: fact.source in ("memory", "recall") and fact.grade not in ("C", "D")) == []


def test_derived_rows_show_their_formula() -> None:
    assert offenders(lambda fact: fact.source == "derived" and not fact.note) == []


def test_values_that_are_not_used_say_why() -> None:
    plain = re.compile(r"(verified|from memory)(: [^;]*)?")
    unused = [fact for fact in EVERY if fact.status != "adopted"]
    assert [fact.name for fact in unused if not fact.note.strip() or plain.fullmatch(fact.note.strip())] == []


def test_dates_are_iso() -> None:
    assert offenders(lambda fact: fact.as_of and not re.fullmatch(f"{ISO}(/{ISO})?", fact.as_of)) == []


def test_no_machine_paths() -> None:
    for path in sorted(DATA.glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [f"{path.name}:{n}" for n, line in enumerate(lines, 1) if MACHINE_PATH.search(line)] == []


@pytest.mark.parametrize("table", ["chips", "devices", "systems", "sites"])
def test_aliases_are_unique_and_resolve(table: str) -> None:
    claimed: Counter[str] = Counter(name.lower() for name in CATALOG.ids(table))
    for fact in FACTS[table]:
        if fact.parameter == "aliases":
            for alias in fact.value.split(";"):
                claimed[alias.strip().lower().replace("_", "-").replace(" ", "-")] += 1
                assert CATALOG.resolve(table, alias) == fact.id
    assert [alias for alias, count in claimed.items() if count > 1] == []


@pytest.mark.parametrize("chip", CHIPS)
def test_chip_has_the_minimum_or_is_listed_as_unpublished(chip: str) -> None:
    have = {fact.parameter for fact in CATALOG.rows("chips", chip) if fact.status == "adopted"}
    wanted = {"name", "vendor", "memory_capacity", "memory_bandwidth", "tdp"}
    missing = wanted - have
    if not any(name.startswith("peak_") for name in have):
        missing.add("peak")
    assert missing == UNPUBLISHED.get(chip, set())


def test_measured_hardware_names_resolve() -> None:
    names = {  # spellings of public measurement sets -> the chip meant
        "a100_sxm": "nvidia-a100-sxm-80gb",
        "h100_sxm": "nvidia-h100-sxm",
        "h200_sxm": "nvidia-h200-sxm",
        "b200_sxm": "nvidia-b200-sxm",
        "b300_sxm": "nvidia-b300-sxm",
        "gb200": "nvidia-gb200",
        "l40s": "nvidia-l40s",
        "H800": "nvidia-h800-sxm",
        "H20": "nvidia-h20-96gb",
        "4090 24GB": "nvidia-rtx-4090",
        "H100 PCIe 80GB": "nvidia-h100-pcie",
        "RTX6000Pro-Blackwell": "nvidia-rtx-pro-6000",
        "Ascend 910C (dual-die NPU)": "huawei-ascend-910c",
        "Trainium1 (trn1.32xlarge)": "aws-trainium1",
        "Inferentia2 (Inf2.48xlarge)": "aws-inferentia2",
    }
    assert {name: CATALOG.resolve("chips", name) for name in names} == names


def test_disputed_chip_values_stay_on_record() -> None:
    def seen(chip: str, parameter: str) -> set[float]:
        rows = [fact for fact in CATALOG.rows("chips", chip) if fact.parameter == parameter]
        return {fact.number for fact in rows if fact.status != "adopted"}

    assert {256.0, 320.0, 376.0} <= seen("huawei-ascend-910b", "peak_fp16")
    assert {40000.0} <= seen("nvidia-b200-sxm", "peak_fp4")
    assert {431.0} <= seen("aws-trainium2", "peak_bf16")
    assert {1979.0} <= seen("nvidia-h100-sxm", "peak_fp16")
    assert {1400.0} <= seen("nvidia-b300-sxm", "tdp")


def test_h800_is_the_published_one() -> None:
    """Dense peaks, bandwidth, cut NVLink and power as LMSYS (2025-09-26) and NVIDIA resellers print them."""
    want = {"peak_bf16": 989e12, "peak_fp8": 1979e12, "memory_bandwidth": 3.35e12, "tdp": 700.0}
    assert {name: CATALOG.fact("chips", "H800", name).si for name in want} == want
    assert CATALOG.fact("chips", "H800", "scale_up_bandwidth_per_direction").si == 200e9


@pytest.mark.parametrize("system", SYSTEMS)
def test_system_names_its_chip_and_size(system: str) -> None:
    chip = CATALOG.fact("systems", system, "accelerator").value
    assert chip in CATALOG.table("chips")
    assert CATALOG.fact("systems", system, "chips").number >= 1
    assert CATALOG.fact("systems", system, "cooling").value in ("air", "liquid", "hybrid")
    assert CATALOG.fact("systems", system, "power_max").si > 0
    assert CATALOG.fact("systems", system, "scaleup_domain_chips").number >= 1


@pytest.mark.parametrize("system", PRICED)
def test_system_that_scenarios_use_can_be_priced(system: str) -> None:
    for parameter in ("price", "nics", "host_cpus", "memory_capacity"):
        assert CATALOG.fact("systems", system, parameter).si > 0


def test_every_chip_on_sale_stands_in_a_system() -> None:
    placed = {
        fact.value
        for fact in FACTS["systems"]
        if fact.parameter == "accelerator" and fact.status == "adopted"
    }
    assert set(CHIPS) - placed == NOT_SOLD


def test_systems_name_chips_of_the_catalogue() -> None:
    known = {*CATALOG.ids("chips"), *CATALOG.ids("devices")}
    rows = [fact for fact in FACTS["systems"] if fact.parameter == "accelerator" and fact.status == "adopted"]
    assert [fact.name for fact in rows if fact.value not in known] == []


def test_sites_name_a_build_cost_of_the_catalogue() -> None:
    for fact in FACTS["sites"]:
        if fact.parameter == "construction":
            assert CATALOG.fact("construction", fact.value, "capex_total").si > 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_system_memory_is_chips_times_chip_memory(system: str) -> None:
    total = CATALOG.get("systems", system, "memory_capacity")
    chip = CATALOG.get("chips", CATALOG.fact("systems", system, "accelerator").value, "memory_capacity")
    if total is None or chip is None:
        pytest.skip("capacity not published")
    chips = CATALOG.fact("systems", system, "chips").number
    assert total.si == pytest.approx(chips * chip.si, rel=0.08)


@pytest.mark.parametrize("system", SYSTEMS)
def test_system_power_exceeds_its_chips(system: str) -> None:
    tdp = CATALOG.get("chips", CATALOG.fact("systems", system, "accelerator").value, "tdp")
    if tdp is None:
        pytest.skip("chip power not published")
    chips = CATALOG.fact("systems", system, "chips").number
    assert CATALOG.fact("systems", system, "power_max").si > chips * tdp.si


def test_published_day_of_deepseek() -> None:
    """open-infra-index, day 6: 608 B input, 342 B of it cached, 168 B output, 4,989 context, 226.75 nodes."""
    day = 86400.0
    want = {
        "input_tokens_per_day": 608e9 / day,
        "cached_input_tokens_per_day": 342e9 / day,
        "output_tokens_per_day": 168e9 / day,
        "context_tokens_mean": 4989.0,
        "nodes_mean": 226.75,
        "nodes_peak": 278.0,
        "cost_per_day": 87072 / day,
        "revenue_theoretical_per_day": 562027 / day,
        "margin_on_cost": 5.45,
    }
    rows = {name: CATALOG.latest("demand", "deepseek-service", name) for name in want}
    assert {name: row and row.si for name, row in rows.items()} == pytest.approx(want, rel=1e-12)
    assert {row.grade for row in rows.values() if row} == {"B"}


def test_published_day_adds_up() -> None:
    """Cost is nodes x 8 chips x 24 h x 2 USD/h; the margin is profit over cost."""

    def day_of(name: str) -> float:
        row = CATALOG.latest("demand", "deepseek-service", name)
        assert row is not None
        return row.si

    nodes, cost = day_of("nodes_mean"), day_of("cost_per_day")
    rent = CATALOG.latest("prices", "nvidia-h800-sxm", "rent_assumed_by_model_owner_serving")
    assert rent is not None
    assert nodes * 8 * rent.si == pytest.approx(cost, rel=1e-9)
    profit = day_of("revenue_theoretical_per_day") - cost
    assert profit / cost == pytest.approx(day_of("margin_on_cost"), abs=0.005)


@pytest.mark.parametrize("name", ["calibration", "frameworks", "power_model"])
def test_sources_of_fitted_coefficients_exist(name: str) -> None:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        used = {part.strip() for row in csv.DictReader(file) for part in row["source"].split(";")}
    with (DATA / "sources.csv").open(encoding="utf-8", newline="") as file:
        known = {row["id"] for row in csv.DictReader(file)}
    assert used and used <= known, sorted(used - known)
