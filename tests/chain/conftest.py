"""Runs of every shipped scenario and of corners that none of them reaches, nominal values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chain_cases import CORNERS, SCENARIOS, with_changes

from suanli import chain
from suanli.catalog import Catalog
from suanli.result.run import Result
from suanli.scenario import load_variants, parse


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(scope="session")
def run(catalog: Catalog) -> Callable[..., Result]:
    """Run a scenario file with changes: run("deepseek-day.toml", {"fleet.nodes": 10})."""
    done: dict[str, Result] = {}

    def of(file: str, changes: dict[str, Any] | None = None) -> Result:
        key = repr((file, changes))
        if key not in done:
            done[key] = chain.run(parse(with_changes(file, changes or {}), catalog=catalog), catalog)
        return done[key]

    return of


@pytest.fixture(scope="session")
def shipped(catalog: Catalog) -> dict[str, Result]:
    """Every scenario in scenarios/, each variant for itself: {"file" or "file:variant": result}."""
    found = {}
    for path in sorted(SCENARIOS.glob("*.toml")):
        cases = load_variants(path, ["uncertainty.draws=0"], catalog)
        for name, scenario in cases.items():
            key = path.stem if len(cases) == 1 else f"{path.stem}:{name}"
            found[key] = chain.run(scenario, catalog)
    return found


@pytest.fixture(scope="session")
def corners(run: Callable[..., Result]) -> dict[str, Result]:
    return {name: run(*case) for name, case in CORNERS.items()}


@pytest.fixture(scope="session")
def every(shipped: dict[str, Result], corners: dict[str, Result]) -> dict[str, Result]:
    return {**shipped, **corners}
