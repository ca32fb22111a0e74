"""`suanli validate --refine`: does a user's own run help? Tried on published runs, judged on those left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from suanli.cli.options import console, print_json, table

if TYPE_CHECKING:
    from suanli.catalog import Catalog
    from suanli.study.refine.trial import Outcome, Trial

_METRICS = ("TPOT", "TTFT")
_WHICH = {None: "all", True: "same", False: "other"}


def show_trials(data: str | None, catalog: Catalog, as_json: bool) -> int:
    """Refine groups of published runs on a few of them, judge on the others, and print before and after.

    Args:
        data: data folder; the usual places where None.
        catalog: resolves names.
        as_json: print JSON.

    Returns:
        Exit code.
    """
    from suanli.errors import NoDataError
    from suanli.study.validate import data_folder

    folder = data_folder(data)
    if folder is None:
        raise NoDataError("No published runs to try on. Give the folder: suanli validate --refine --data DIR")
    found = {name: _trials(name, str(folder), catalog) for name in ("as shipped", "none fitted")}
    lines = [
        (name, metric, same, one)
        for name, trials in found.items()
        for metric in (0, 1)
        for same in _WHICH
        for one in _outcomes(trials, metric, same)
    ]
    if as_json:
        print_json({"schema": "suanli/refine-trial/1", "lines": [_entry(*line) for line in lines]})
    else:
        _print(lines)
    return 0


def _trials(name: str, folder: str, catalog: Catalog) -> list[Trial]:
    from pathlib import Path

    from suanli.catalog.calibration import calibration_records, framework_records
    from suanli.cli.progress import Progress
    from suanli.study.calibrate.serving import SOURCE
    from suanli.study.deployment.solve import Deployments
    from suanli.study.refine.trial import runs_of, trials
    from suanli.study.validate import read

    measured = [one for one in read(Path(folder), catalog, ("INFX", "AICGAP"))[0] if one.half == "judge"]
    runs = runs_of(measured, Deployments(catalog))
    frameworks = [row for row in framework_records() if name == "as shipped" or row[-1] != SOURCE]
    progress = Progress(f"refining, {name}", 26)
    try:
        return trials(runs, calibration_records(), frameworks, progress=progress.tick)
    finally:
        progress.close()


def _outcomes(trials: Sequence[Trial], metric: int, same: bool | None) -> list[Outcome]:
    from suanli.study.refine.trial import COUNTS, outcome

    return [one for count in COUNTS if (one := outcome(trials, count, metric, same)) is not None]


def _entry(name: str, metric: int, same: bool | None, one: Outcome) -> dict[str, Any]:
    entry: dict[str, Any] = {"constants": name, "metric": _METRICS[metric], "judged": _WHICH[same]}
    for field in one.__slots__:
        value = getattr(one, field)
        entry[field] = (
            dict(zip(("before", "after"), value, strict=True)) if isinstance(value, tuple) else value
        )
    return entry


def _print(lines: Sequence[tuple[str, int, bool | None, Outcome]]) -> None:
    names = ("runs", "values", "median", "p90", "cover", "band")
    out = console()
    for constants in dict.fromkeys(line[0] for line in lines):
        shown = table(
            f"Constants {constants}: error in % and band, before→after",
            *(("", "left"), ("judged on", "left")),
            *((name, "right") for name in names),
        )
        for name, metric, same, one in lines:
            if name == constants:
                shown.add_row(
                    _METRICS[metric], _WHICH[same], str(one.runs), f"{one.values:,}", *_changes(one)
                )
        for column in shown.columns:
            column.no_wrap = True
        out.print(shown)
    click.echo(
        "Refined on some runs of a chip, framework and kind of model, judged on the rest of them: of the same\n"
        "deployments (model, formats, layout) and of other ones. cover: share inside the printed 90 % band; band: its\n"
        "half-width, a factor."
    )


def _changes(one: Outcome) -> list[str]:
    return [
        "{:.1f}→{:.1f}".format(*(100.0 * value for value in one.median)),
        "{:.0f}→{:.0f}".format(*(100.0 * value for value in one.p90)),
        "{:.0f}→{:.0f}".format(*(100.0 * value for value in one.coverage)),
        "{:.2f}→{:.2f}".format(*one.width),
    ]
