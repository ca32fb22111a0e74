"""Scenarios that carry published figures: the whole chain against what was published of the whole service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suanli import chain
from suanli.catalog import Catalog
from suanli.errors import SuanliError
from suanli.scenario import Scenario, load


@dataclass(frozen=True, slots=True)
class Figure:
    """One published figure of a service and ours.

    Attributes:
        scenario: file name. metric: dotted name.
        published: as published. ours: computed; None where the run has no such metric or failed.
        low, high: our 90 % band, None where there is none.
        source: where it was published. problem: why there is no value.
    """

    scenario: str
    metric: str
    published: float
    ours: float | None
    low: float | None = None
    high: float | None = None
    source: str = ""
    problem: str = ""

    @property
    def error(self) -> float | None:
        """ours / published - 1 [1]."""
        return None if self.ours is None else self.ours / self.published - 1.0


def scenario_folder() -> Path | None:
    """Return the scenarios of the source tree, None from an installed package."""
    folder = Path(__file__).parents[4] / "scenarios"
    return folder if folder.is_dir() else None


def published_figures(folder: Path, catalog: Catalog) -> list[Figure]:
    """Run every scenario of a folder that has published figures.

    Args:
        folder: where *.toml lie.
        catalog: the catalogue.
    """
    found: list[Figure] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            scenario = load(str(path), (), catalog)
        except SuanliError as error:
            found.append(Figure(path.name, "", 1.0, None, problem=str(error).splitlines()[0]))
            continue
        if scenario.published is not None:
            found += _run(path, scenario, catalog)
    return found


def _run(path: Path, scenario: Scenario, catalog: Catalog) -> list[Figure]:
    """Figures that the scenario sets itself are not compared."""
    result = chain.run(scenario, catalog)
    published = result.scenario["published"]
    figures = []
    for metric, value in published["figures"].items():
        ours = result.values.get(metric)
        if ours is not None and ours.basis == "given":
            continue
        if ours is None or ours.value is None:
            why = "no such metric" if ours is None else ours.reason
            figures.append(
                Figure(path.name, metric, float(value), None, source=published["source"], problem=why)
            )
        else:
            band = (ours.low, ours.high)
            figures.append(
                Figure(path.name, metric, float(value), ours.value, *band, source=published["source"])
            )
    return figures
