"""Take runs into an overlay: check them, join them with those kept there, fit again, write both tables."""

from __future__ import annotations

import csv
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suanli.catalog import Catalog
from suanli.catalog.own import (
    MEASUREMENT_COLUMNS,
    MEASUREMENTS,
    REFINEMENT_COLUMNS,
    REFINEMENTS,
)
from suanli.errors import InputError
from suanli.serving import Coefficients
from suanli.serving.framework import split_framework
from suanli.serving.refinement import CORRECTIONS, Refinement
from suanli.study.deployment.request import Answer
from suanli.study.deployment.solve import Deployments
from suanli.study.refine.fit import Machine, refine
from suanli.study.refine.observed import Run
from suanli.study.refine.ownrun import OwnRun, joined_runs, read_own_runs

# Bands that a run may be off by before it is asked whether it is what was stated.
_DOUBTFUL = 2.0


@dataclass(frozen=True, slots=True)
class Refined:
    """What an import of runs did.

    Attributes:
        overlay: the folder.
        runs: all runs of it.
        added: ids of those that were new.
        before: what the package says of each run.
        after: what it says with the refinement.
        machines: the fits.
    """

    @property
    def doubts(self) -> tuple[str, ...]:
        """Runs so far from what was expected that something may be stated wrongly, one line each."""
        found = []
        for run, answer in zip(self.runs, self.before, strict=True):
            expected = answer.quantities.get("tpot_s")
            if run.tpot_s is None or expected is None or run.id not in self.added:
                continue
            ratio = run.tpot_s / expected.value
            if abs(math.log(ratio)) > _DOUBTFUL * math.log(expected.high / expected.value):
                found.append(
                    f"{run.file}: TPOT is {ratio:.2g} x what was expected, far outside the band; "
                    "check chip, layout, formats and model"
                )
        return tuple(found)

    overlay: Path
    runs: tuple[OwnRun, ...]
    added: frozenset[str]
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    machines: tuple[Machine, ...]


def take(
    new: Sequence[OwnRun],
    overlay: Path,
    overlays: Sequence[Path] = (),
    progress: Callable[[int], None] | None = None,
) -> Refined:
    """Add runs to an overlay and fit all its runs again. Writes nothing unless every run can be predicted.

    Args:
        new: runs, names resolved.
        overlay: the folder; made where it is not there.
        overlays: further folders of `--catalog`, behind this one.
        progress: called with the number of steps done, of four.

    Raises:
        InputError: runs that cannot be: every problem at once; or a folder that cannot be written.
    """
    kept = read_own_runs(overlay)
    runs = joined_runs(kept, new)
    folders = [*([overlay] if overlay.is_dir() else []), *overlays]
    plain = Deployments(Catalog(folders), _without_refinements(folders))
    before = plain.answers([run.request for run in runs])
    problems = [
        f"{run.file}: {_why(run, answer)}"
        for run, answer in zip(runs, before, strict=True)
        if _why(run, answer)
    ]
    if problems:
        raise InputError("\n".join(problems))
    _tick(progress, 1)
    machines = refine([_observed(run, plain) for run in runs], plain.tables)
    _tick(progress, 2)
    rows = [
        row
        for machine in machines
        for row in refinement_rows(machine, fitted_on([runs[at] for at in machine.places]))
    ]
    write_whole(
        overlay,
        {
            MEASUREMENTS: [MEASUREMENT_COLUMNS, *(run.texts for run in runs)],
            REFINEMENTS: [REFINEMENT_COLUMNS, *rows],
        },
    )
    _tick(progress, 3)
    again = [*([overlay] if overlay not in folders else []), *folders]
    after = Deployments(Catalog(again)).answers([run.request for run in runs])
    known = {run.id for run in kept}
    added = frozenset(run.id for run in runs if run.id not in known)
    return Refined(overlay, tuple(runs), added, tuple(before), tuple(after), tuple(machines))


def _tick(progress: Callable[[int], None] | None, done: int) -> None:
    if progress is not None:
        progress(done)


def _without_refinements(folders: Sequence[Path]) -> Coefficients:
    from suanli.catalog.calibration import read_tables

    found = read_tables(Coefficients, folders)
    return found.unrefined() if folders else found


def _why(run: OwnRun, answer: Answer) -> str:
    """What is wrong with a run; "" where it can be predicted."""
    if answer.status != "ok":
        return answer.reason
    if run.tpot_s is None and run.ttft_s is None:
        return "neither TTFT nor TPOT was measured"
    return ""


def _observed(run: OwnRun, deployments: Deployments) -> Run:
    return Run(
        deployments.point(run.request),
        math.nan if run.tpot_s is None else run.tpot_s,
        math.nan if run.ttft_s is None else run.ttft_s,
        run.relative_error("tpot_s"),
        run.relative_error("ttft_s"),
    )


def fitted_on(runs: Sequence[OwnRun]) -> str:
    """Say what was fitted on: "3 runs (vllm-bench, 2026-11-20)"."""
    tools = ", ".join(sorted({run.tool for run in runs}))
    dates = sorted({run.date for run in runs if run.date})
    span = "" if not dates else f", {dates[0]}" if len(dates) == 1 else f", {dates[0]} to {dates[-1]}"
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''} ({tools}{span})"


def refinement_rows(machine: Machine, words: str) -> list[tuple[str, ...]]:
    """Return the rows of refinements.csv of one machine.

    Args:
        machine: the fit.
        words: what it was fitted on.
    """
    errors = [machine.errors(metric) for metric in (0, 1)]
    counts = Counter((group.named[1], group.deployment) for group in machine.observed for _ in group.runs)
    return [
        row
        for one in machine.refinements(words)
        for row in _rows(one, errors, _runs_of(one, counts) or len(machine.places))
    ]


def _runs_of(one: Refinement, counts: Counter[tuple[str, str]]) -> int:
    return sum(
        number
        for (version, deployment), number in counts.items()
        if one.version in ("*", version) and one.deployment in ("*", deployment)
    )


def _rows(
    one: Refinement, errors: Sequence[tuple[float | None, float | None]], runs: int
) -> Iterable[tuple[str, ...]]:
    spread = np.asarray(one.covariance)
    sizes = np.sqrt(np.diag(spread))
    likeness = spread / np.outer(sizes, sizes)
    place = (one.chip, one.framework, one.version, one.kind, one.deployment)
    for at, name in enumerate(CORRECTIONS):
        correlation = " ".join(f"{value:.4f}" for value in likeness[at])
        told = [_number(value) for value in errors[1 if name.startswith("ttft") else 0]]
        yield (
            *place,
            name,
            f"{one.factors[at]:.6g}",
            f"{sizes[at]:.5g}",
            correlation,
            str(runs),
            *told,
            one.fitted_on,
        )
    for metric, (name, value) in enumerate(
        (("tpot_scatter", one.tpot_scatter), ("ttft_scatter", one.ttft_scatter))
    ):
        told = [_number(error) for error in errors[metric]]
        yield (*place, name, f"{value:.5g}", "", "", str(runs), *told, one.fitted_on)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def write_whole(folder: Path, files: dict[str, Sequence[Sequence[str]]]) -> None:
    """Write tables of an overlay, each under another name first: a reader sees the old file or the new one.

    Args:
        folder: the overlay; made where it is not there.
        files: {name: rows with their header}.

    Raises:
        InputError: the folder cannot be written.
    """
    ready: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in files.items():
            handle, scratch = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".part")
            ready.append((Path(scratch), folder / name))
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        mask = os.umask(0)
        os.umask(mask)
        for temporary, target in ready:
            temporary.chmod(0o666 & ~mask)
            temporary.replace(target)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    finally:
        for temporary, _ in ready:
            temporary.unlink(missing_ok=True)


def machine_name(machine: Machine) -> str:
    """Say which machine a fit is for: "nvidia-h200-sxm, vllm, dense models"."""
    chip, framework, kind = machine.group
    return f"{chip}, {framework}, {'MLA' if kind == 'mla' else kind} models"


def frameworks_of(runs: Iterable[OwnRun]) -> list[str]:
    """Return the names of the frameworks of runs, without versions."""
    return sorted({split_framework(run.framework)[0] for run in runs})
