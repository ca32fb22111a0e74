"""The export rule for accelerators: total processing performance (TPP), performance density (PD), and who falls where.

    TPP = TOP/s x bit length, dense, the largest product over the formats (a multiply-add counts as two operations)
    PD  = TPP / die area in mm2

The thresholds are rows of the catalogue's table `export_rules`, each with its source; nothing is repeated here.

Reference: US Bureau of Industry and Security, ECCN 3A090: 87 FR 62186 (2022), 88 FR 73458 (2023), rule of 2026-01-15.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from suanli.catalog import Catalog, Fact
from suanli.evidence.claims import DATA, Registry, registry
from suanli.evidence.number import number

_BITS = {
    "peak_fp4": 4.0,
    "peak_int4": 4.0,
    "peak_fp6": 6.0,
    "peak_fp8": 8.0,
    "peak_int8": 8.0,
    "peak_bf16": 16.0,
    "peak_fp16": 16.0,
    "peak_int16": 16.0,
    "peak_fp32": 32.0,
    "peak_fp64": 64.0,
}
_TERA = 1e12
_GIGA = 1e9
_MM2 = 1e-6


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The rule's numbers, from the catalogue, with the rows that they come from."""

    tpp_2022: float
    io_2022_gb_per_s: float
    tpp_a: float
    tpp_a_dense: float
    density_a: float
    tpp_b: float
    density_b: float
    tpp_b_dense: float
    density_b_dense: float
    tpp_2026: float
    dram_2026_gb_per_s: float
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportRow:
    """Where a chip falls. None where a figure is missing; `missing` says which."""

    chip: str
    tpp: float | None
    tpp_format: str
    die_area_mm2: float | None
    density_per_mm2: float | None
    io_gb_per_s: float | None
    dram_gb_per_s: float | None
    october_2022: str
    october_2023: str
    january_2026: str
    missing: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The entry of `--json`."""
        return {field: getattr(self, field) for field in self.__slots__}


_PLACES = (
    ("tpp_2022", "bis-2022-10-3a090", "tpp_threshold"),
    ("io_2022_gb_per_s", "bis-2022-10-3a090", "io_bandwidth_threshold"),
    ("tpp_a", "bis-3a090-a", "tpp_threshold"),
    ("tpp_a_dense", "bis-3a090-a", "tpp_threshold_with_density"),
    ("density_a", "bis-3a090-a", "performance_density_threshold"),
    ("tpp_b", "bis-3a090-b", "tpp_threshold"),
    ("density_b", "bis-3a090-b", "performance_density_threshold_branch_1"),
    ("tpp_b_dense", "bis-3a090-b", "tpp_threshold_branch_2"),
    ("density_b_dense", "bis-3a090-b", "performance_density_threshold"),
    ("tpp_2026", "bis-2026-01-h200", "tpp_limit"),
    ("dram_2026_gb_per_s", "bis-2026-01-h200", "dram_bandwidth_limit"),
)


def thresholds(catalog: Catalog) -> Thresholds:
    """Read the rule's numbers.

    Raises:
        NoDataError: the catalogue lacks one.
    """
    facts = [catalog.fact("export_rules", name, parameter) for _, name, parameter in _PLACES]
    values = {field: fact.number for (field, _, _), fact in zip(_PLACES, facts, strict=True)}
    return Thresholds(**values, cites=tuple(f"{fact.name} ({fact.source})" for fact in facts))


def total_processing_performance(peaks_ops_per_s: dict[str, float]) -> tuple[float, str] | None:
    """TPP = max over formats of peak [TOP/s] x bits, dense, and the format that gives it; None without a peak."""
    found = [(peak / _TERA * _BITS[name], name) for name, peak in peaks_ops_per_s.items() if name in _BITS]
    return max(found) if found else None


def october_2022(rule: Thresholds, tpp: float | None, io_gb_per_s: float | None) -> str:
    """Rule of October 2022: controlled where TPP and the links to other chips both reach their threshold."""
    if tpp is not None and tpp < rule.tpp_2022:
        return "free"
    if io_gb_per_s is not None and io_gb_per_s < rule.io_2022_gb_per_s:
        return "free"
    return "unknown" if tpp is None or io_gb_per_s is None else "controlled"


def october_2023(rule: Thresholds, tpp: float | None, density: float | None) -> str:
    """Rule of October 2023, for parts meant for data centres: 3A090.a, 3A090.b or free.

    a: TPP >= 4800, or TPP >= 1600 and PD >= 5.92. b: 2400 <= TPP < 4800 and 1.6 <= PD < 5.92, or TPP >= 1600 and
    3.2 <= PD < 5.92. A chip of unknown density is "3A090.a or b" or "unknown" where the density decides.
    """
    if tpp is None:
        return "unknown"
    if tpp >= rule.tpp_a:
        return "3A090.a"
    if tpp < rule.tpp_a_dense:
        return "free"
    if density is None:
        return "unknown"
    if density >= rule.density_a:
        return "3A090.a"
    second = tpp >= rule.tpp_b and density >= rule.density_b
    return "3A090.b" if second or (tpp >= rule.tpp_b_dense and density >= rule.density_b_dense) else "free"


def january_2026(rule: Thresholds, status_2023: str, tpp: float | None, dram_gb_per_s: float | None) -> str:
    """Review of January 2026 for what 3A090.a controls: case by case below both limits, else denial."""
    if status_2023 != "3A090.a":
        return "not concerned" if status_2023 in ("free", "3A090.b") else "unknown"
    if (tpp is not None and tpp >= rule.tpp_2026) or (
        dram_gb_per_s is not None and dram_gb_per_s >= rule.dram_2026_gb_per_s
    ):
        return "presumption of denial"
    return "unknown" if tpp is None or dram_gb_per_s is None else "case by case"


def export_rows(catalog: Catalog | None = None) -> list[ExportRow]:
    """Classify every chip of the catalogue by its adopted figures. Consumer parts are classified by number alone."""
    source = catalog or Catalog()
    rule = thresholds(source)
    return [_classify(source, rule, chip) for chip in source.ids("chips")]


def _classify(catalog: Catalog, rule: Thresholds, chip: str) -> ExportRow:
    facts = {f.parameter: f for f in reversed(catalog.rows("chips", chip)) if f.status == "adopted"}
    peaks = {name: facts[name].si for name in _BITS if name in facts}
    best = total_processing_performance(peaks)
    tpp, form = best if best else (None, "")
    area = _si(facts, "die_area", _MM2)
    density = tpp / area if tpp is not None and area else None
    link = _si(facts, "scale_up_bandwidth_per_direction", _GIGA)
    io = 2.0 * link if link is not None else None
    dram = _si(facts, "memory_bandwidth", _GIGA)
    in_2023 = october_2023(rule, tpp, density)
    wanted = {"peak": tpp, "die_area": area, "scale_up_bandwidth_per_direction": io, "memory_bandwidth": dram}
    return ExportRow(
        chip=chip,
        tpp=tpp,
        tpp_format=form.removeprefix("peak_"),
        die_area_mm2=area,
        density_per_mm2=density,
        io_gb_per_s=io,
        dram_gb_per_s=dram,
        october_2022=october_2022(rule, tpp, io),
        october_2023=in_2023,
        january_2026=january_2026(rule, in_2023, tpp, dram),
        missing=tuple(name for name, value in wanted.items() if value is None),
    )


def _si(facts: dict[str, Fact], parameter: str, size: float) -> float | None:
    return facts[parameter].si / size if parameter in facts else None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the report's own table of restricted parts, and what is wrong with it."""

    claim: str
    part: str
    tpp_floor: float
    density: str
    restricted: bool
    basis: str
    breaks_own_rule: str
    breaks_real_rule: str


@lru_cache(maxsize=1)
def _printed_table() -> tuple[dict[str, str], ...]:
    with (DATA / "export_table.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def report_table(catalog: Catalog | None = None, claims: Registry | None = None) -> list[TableRow]:
    """Check the report's table of restricted parts against the rule that it states and against the real one.

    The report states: 3A090.a where TPP > 4800 AND PD > 5.92, 3A090.b where TPP > 2400 AND PD > 3.2.
    """
    source, known = catalog or Catalog(), claims or registry()
    rule = thresholds(source)
    stated = {
        basis: tuple(_claimed(known, f"s000-rule-{basis.lower()}-{what}") for what in ("tpp", "pd"))
        for basis in ("3A090a", "3A090b")
    }
    return [_judge(row, stated, rule, source, known) for row in _printed_table()]


def _claimed(known: Registry, name: str) -> float:
    read = number(known.claim(name).value)
    return read.value if read else float("nan")


def _judge(
    row: dict[str, str],
    stated: dict[str, tuple[float, ...]],
    rule: Thresholds,
    catalog: Catalog,
    known: Registry,
) -> TableRow:
    floor = number(known.claim(row["claim"]).low)
    tpp = floor.value if floor else float("nan")
    density = float(row["density_floor"] or 0.0)
    listed = row["restricted"] == "yes"
    text = f"below {row['density_below']}" if row["density_below"] else f"{row['density_floor']}+"
    own = _own_fault(row["basis"], tpp, density, stated)
    real = _real_fault(catalog, rule, row["chip"], row["basis"], listed) if row["chip"] else ""
    return TableRow(row["claim"], row["part"], tpp, text, listed, row["basis"], own, real)


def _own_fault(basis: str, tpp: float, density: float, stated: dict[str, tuple[float, ...]]) -> str:
    if basis not in stated:
        return ""
    need_tpp, need_density = stated[basis]
    short = [f"TPP floor {tpp:g} below {need_tpp:g}"] * (tpp < need_tpp)
    short += [f"PD floor {density:g} below {need_density:g}"] * (density < need_density)
    return f"{basis} is stated to need {need_tpp:g} and {need_density:g}: {', '.join(short)}" if short else ""


def _real_fault(catalog: Catalog, rule: Thresholds, name: str, basis: str, listed: bool) -> str:
    chip = _classify(catalog, rule, name)
    if chip.tpp is None or chip.october_2023 == "unknown":
        return ""
    ruled = "not restricted" if chip.october_2023 == "free" else chip.october_2023
    printed = basis.replace("3A090", "3A090.") if listed else "not restricted"
    return (
        ""
        if ruled == printed
        else f"{name}: TPP {chip.tpp:,.0f}, {ruled} by the real rule, printed as {printed}"
    )
