"""Golden scenarios: did predictions change? Whether they are right is another question (tests/validation).

A change that is meant is recorded with

    SUANLI_UPDATE_GOLDEN=1 pytest tests/golden

and its diff is reviewed like code: one file a scenario, one line a metric, nominal values to six digits.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from suanli import chain
from suanli.catalog import Catalog
from suanli.scenario import load_variants

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE.parents[1] / "scenarios").glob("*.toml"))
UPDATE = bool(os.environ.get("SUANLI_UPDATE_GOLDEN"))
_DIGITS = 6


def metrics(path: Path) -> dict[str, dict[str, float | None]]:
    """{variant: {metric: nominal value to six digits, null where it is not known}}."""
    found = {}
    for name, scenario in load_variants(path, ["uncertainty.draws=0"]).items():
        values = chain.run(scenario, Catalog()).metrics()
        found[name] = {
            key: None if v.value is None else float(f"{v.value:.{_DIGITS}g}") for key, v in values.items()
        }
    return found


def differences(old: dict[str, float | None], new: dict[str, float | None]) -> list[str]:
    lines = []
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if name not in new:
            lines.append(f"{name}: gone (was {before})")
        elif name not in old:
            lines.append(f"{name}: new, {after}")
        elif before is None or after is None:
            lines += [f"{name}: {before} -> {after}"] if before is not after else []
        elif not math.isclose(before, after, rel_tol=2 * 10.0 ** (1 - _DIGITS), abs_tol=1e-300):
            change = f" ({after / before - 1:+.3%})" if before else ""
            lines.append(f"{name}: {before} -> {after}{change}")
    return lines


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_predictions_are_those_on_record(path: Path) -> None:
    file, found = HERE / f"{path.stem}.json", metrics(path)
    if UPDATE:
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    assert file.is_file(), f"no golden values of {path.name}; record them: {__doc__}"
    recorded = json.loads(file.read_text(encoding="utf-8"))
    assert list(found) == list(recorded), "variants came or went"
    changed = [f"{name}: {line}" for name in found for line in differences(recorded[name], found[name])]
    assert not changed, f"{len(changed)} predictions changed.\n" + "\n".join(changed) + f"\n{__doc__}"


def test_every_record_has_its_scenario() -> None:
    assert {p.stem for p in HERE.glob("*.json")} == {p.stem for p in SCENARIOS}


def test_the_comparison_sees_changes() -> None:
    old: dict[str, float | None] = {"a": 1.0, "b": 2.0, "c": None, "d": 0.0, "e": 5.0}
    assert differences(old, dict(old)) == []
    assert differences(old, {**old, "a": 1.00001}) == []
    new = {"a": 1.0001, "b": None, "c": 3.0, "d": 1.0, "f": 1.0}
    assert differences(old, new) == [
        "a: 1.0 -> 1.0001 (+0.010%)",
        "b: 2.0 -> None",
        "c: None -> 3.0",
        "d: 0.0 -> 1.0",
        "e: gone (was 5.0)",
        "f: new, 1.0",
    ]
