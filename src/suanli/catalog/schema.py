"""What a table may hold: read from data/schema.csv, the one description that loader, checks and docs share."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
# Files beside the tables that hold no facts: the description of the tables, sources, and fitted coefficients.
_NOT_TABLES = ("schema", "sources", "calibration", "frameworks", "power_model")
TABLES = tuple(sorted(path.stem for path in DATA.glob("*.csv") if path.stem not in _NOT_TABLES))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One allowed parameter of a table: unit, type ("number" or "text"), bounds in that unit, what it means."""

    table: str
    parameter: str
    unit: str
    type: str
    min: float | None
    max: float | None
    required: bool
    description: str


@lru_cache(maxsize=1)
def schema() -> dict[str, dict[str, Parameter]]:
    """Return {table: {parameter: description}}. A dated parameter ("rent:2025-02") is listed by its stem."""
    found: dict[str, dict[str, Parameter]] = {}
    with (DATA / "schema.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["table"], {})[row["parameter"]] = Parameter(
                table=row["table"],
                parameter=row["parameter"],
                unit=row["unit"],
                type=row["type"],
                min=float(row["min"]) if row["min"] else None,
                max=float(row["max"]) if row["max"] else None,
                required=row["required"] == "yes",
                description=row["description"],
            )
    return found


def stem(parameter: str) -> str:
    """Strip the period of a dated parameter: "rent:2025-02" -> "rent"."""
    return parameter.partition(":")[0]
