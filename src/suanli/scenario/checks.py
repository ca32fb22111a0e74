"""Checks of a scenario against the catalogue: names that stand for nothing, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from suanli.catalog import Catalog
from suanli.errors import InputError, ScenarioError, UnknownIdError, close_matches
from suanli.scenario.schema import Scenario

Problem = tuple[tuple[str, ...], str]

_TABLES = {
    ("serving", "chip"): "chips",
    ("serving", "system"): "systems",
    ("network", "switch"): "switches",
    ("site", "id"): "sites",
}


def check(scenario: Scenario, catalog: Catalog) -> None:
    """Refuse a scenario that names what the catalogue does not have.

    Args:
        scenario: a scenario that its schema accepted.
        catalog: the catalogue with the user's overlays.

    Raises:
        ScenarioError: every problem, one line each.
    """
    problems = catalogue_problems(scenario.model_dump(exclude_none=True), catalog)
    if problems:
        raise ScenarioError([f"{'.'.join(path)}: {problem}" for path, problem in problems])


def catalogue_problems(data: Mapping[str, Any], catalog: Catalog) -> list[Problem]:
    """Return the fields of scenario data that name what does not exist, with what is wrong.

    Args:
        data: nested tables as read from TOML; whatever else may be wrong with them, names are checked.
        catalog: the catalogue with the user's overlays.

    Raises:
        InputError: a file of an overlay cannot be read.
    """
    found: list[Problem] = []

    def look(path: tuple[str, ...], find: Callable[[str], object]) -> None:
        name = _field(data, path)
        if not isinstance(name, str):
            return  # the schema says what is wrong with it
        try:
            find(name)
        except UnknownIdError as error:
            found.append((path, str(error)))

    for path, table in _TABLES.items():
        look(path, lambda name, table=table: catalog.resolve(table, name))  # type: ignore[misc]
    look(("network", "link"), lambda names: [catalog.resolve("links", n.strip()) for n in names.split(";")])
    look(("llm", "id"), catalog.model)
    look(("power", "chain"), _chain)
    look(("cooling", "system"), _cooling)
    look(("serving", "framework"), _framework)
    return found + _redundancy(data) + _figures(data)


def _field(data: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = data
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _chain(name: str) -> object:
    from suanli.power import find_chain

    return find_chain(name)


def _framework(name: str) -> object:
    from suanli.serving.engine_names import framework_named

    return framework_named(name)


def _cooling(name: str) -> object:
    from suanli.cooling import find_design

    return find_design(name)


def _redundancy(data: Mapping[str, Any]) -> list[Problem]:
    from suanli.power import CHAINS, with_redundancy

    path = ("power", "redundancy")
    scheme = _field(data, path)
    if not isinstance(scheme, str):
        return []
    try:
        with_redundancy(next(iter(CHAINS.values())), scheme)
    except InputError as error:
        return [(path, str(error))]
    return []


def _figures(data: Mapping[str, Any]) -> list[Problem]:
    from suanli.result.metrics import metrics

    figures = _field(data, ("published", "figures"))
    found: list[Problem] = []
    for name in figures if isinstance(figures, Mapping) else ():
        if name not in metrics():
            near = close_matches(name, metrics(), 1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            found.append((("published", "figures", name), f"no such metric.{hint}"))
    return found
