"""Compare results: which inputs differ, what that did to the results, and which input moved what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from suanli.errors import SuanliError
from suanli.result.run import Result

Run = Callable[[Mapping[str, Any]], Result]

# What people compare first; every other metric is in the JSON.
HEADLINES = (
    "serving.prefill_tokens_per_s_per_chip",
    "serving.decode_tokens_per_s_per_chip",
    "serving.tpot",
    "serving.ttft",
    "fleet.nodes",
    "fleet.chips",
    "fleet.racks",
    "power.facility",
    "cooling.pue",
    "economics.capex",
    "economics.cost_per_day",
    "economics.cost_per_mtok_output",
    "economics.margin_on_cost",
    "economics.irr",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """An input that differs: its dotted name and what each case says (None: not set)."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What one input does alone: the first case with only this input changed, over the first case."""

    name: str
    ratio: dict[str, float | None]
    problem: str = ""


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {dotted name: value} of nested tables."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


_NOT_INPUTS = ("name", "description", "published.", "variants.")


def differences(results: Mapping[str, Result]) -> list[Difference]:
    """Return the inputs in which the cases differ, in the order of the scenario."""
    flats = [flatten(result.scenario) for result in results.values()]
    names = dict.fromkeys(name for flat in flats for name in flat)
    found = []
    for name in names:
        values = tuple(flat.get(name) for flat in flats)
        if not name.startswith(_NOT_INPUTS) and any(value != values[0] for value in values):
            found.append(Difference(name, values))
    return found


def moves(first: Result, second: Result, run: Run) -> list[Move]:
    """Run the first case with each differing section of the second in turn; report results as ratios to the first.

    Fields of one section go together where a part alone would be no scenario (a chip without its layout).

    Args:
        first: the base case.
        second: the case whose inputs are taken over one section at a time.
        run: evaluates a resolved scenario.
    """
    sections = dict.fromkeys(d.name.split(".")[0] for d in differences({"a": first, "b": second}))
    found = []
    for section in sections:
        changed = {**first.scenario, section: second.scenario.get(section)}
        if changed[section] is None:
            del changed[section]
        try:
            result = run(changed)
        except SuanliError as error:
            found.append(Move(section, {}, str(error).splitlines()[0]))
            continue
        found.append(Move(section, {name: _ratio(result, first, name) for name in HEADLINES}))
    return found


def _ratio(result: Result, base: Result, name: str) -> float | None:
    have, was = result.values.get(name), base.values.get(name)
    if have is None or was is None or have.value is None or not was.value:
        return None
    return have.value / was.value
