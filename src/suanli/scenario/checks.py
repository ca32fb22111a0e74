"""Checks of a scenario against the catalogue: unknown ids and layouts that cannot be, all at once."""

from __future__ import annotations

from suanli.catalog import Catalog
from suanli.errors import ScenarioError, SuanliError
from suanli.scenario.schema import Scenario


def check(scenario: Scenario, catalog: Catalog) -> None:
    """Refuse a scenario that names what the catalogue does not have.

    Args:
        scenario: a scenario that its schema accepted.
        catalog: the catalogue with the user's overlays.

    Raises:
        ScenarioError: every problem, one line each.
    """
    named = [
        ("serving.chip", "chips", scenario.serving.chip),
        ("serving.system", "systems", scenario.serving.system),
        ("network.switch", "switches", scenario.network.switch),
        ("network.link", "links", scenario.network.link),
        ("site.id", "sites", scenario.site.id),
    ]
    problems = [
        line for field, table, name in named if name and (line := _unknown(catalog, field, table, name))
    ]
    try:
        catalog.model(scenario.llm.id)
    except SuanliError as error:
        problems.append(f"llm.id: {error}")
    problems += [line for line in (_power(scenario), _cooling(scenario), _figures(scenario)) if line]
    if problems:
        raise ScenarioError(problems)


def _unknown(catalog: Catalog, field: str, table: str, name: str) -> str:
    try:
        catalog.resolve(table, name)
    except SuanliError as error:
        return f"{field}: {error}"
    return ""


def _power(scenario: Scenario) -> str:
    from suanli.power import find_chain, with_redundancy

    try:
        chain = find_chain(scenario.power.chain)
        if scenario.power.redundancy:
            with_redundancy(chain, scenario.power.redundancy)
    except SuanliError as error:
        return f"power: {error}"
    return ""


def _cooling(scenario: Scenario) -> str:
    from suanli.cooling import find_design

    try:
        find_design(scenario.cooling.system)
    except SuanliError as error:
        return f"cooling.system: {error}"
    return ""


def _figures(scenario: Scenario) -> str:
    from suanli.errors import close_matches
    from suanli.result.metrics import metrics

    for name in scenario.published.figures if scenario.published else ():
        if name not in metrics():
            near = close_matches(name, metrics(), 1)
            return f"published.figures.{name}: no such metric." + (
                f' Did you mean "{near[0]}"?' if near else ""
            )
    return ""
