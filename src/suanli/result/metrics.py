"""What each metric is: unit, label, formula and inputs, read from metrics.csv (the nomenclature is made from it)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's description.

    The unit is what the number counts once the "per_..." in its name is read: `cost_per_day` is in USD.
    A formula that starts with "=" is arithmetic over the inputs' names and is checked against the code on every
    shipped scenario; any other formula is in words. Inputs that end in "?" are used in some configurations only.
    """

    name: str
    unit: str
    label: str
    per: str
    formula: str
    inputs: tuple[str, ...]
    reference: str


@lru_cache(maxsize=1)
def metrics() -> dict[str, Metric]:
    """Return every metric by name, in the order of the chain."""
    found = {}
    with (Path(__file__).parent / "metrics.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            inputs = tuple(part for part in row["inputs"].split() if part)
            found[row["name"]] = Metric(
                row["name"], row["unit"], row["label"], row["per"], row["formula"], inputs, row["reference"]
            )
    return found
