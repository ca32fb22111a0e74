"""How far predictions are off where a version, the model, or the framework itself was left out of the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suanli.serving.bands import LARGE
from suanli.serving.framework import ANY, KINDS, FrameworkRow, FrameworkTable, Serving
from suanli.study.calibrate.serving import SOURCE, FittedSet, drifts, fit_constants
from suanli.study.calibrate.serving_rows import Rows, chosen
from suanli.study.validate.measured import Measurement

Array = NDArray[np.float64]
_QUANTILE = 0.9
# Below this many rows to fit the rest on, the constants of any framework stand in.
_FEWEST = 8
# Rows whose TTFT is the time of prompts: this many clients at most, tokens of a prompt at least.
_FEW_CLIENTS = 8.0
_LONG_PROMPT = 7000.0
# Prompts take up to this share of time where TTFT is judged: beyond it queueing decides.
_CALM = 0.8


def nameless(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The measurements of the half that is fitted, as if nobody knew their framework.

    Args:
        measurements: what was measured.
    """
    return [replace(one, framework=ANY) for one in measurements if one.half == "fit"]


def spread_rows(
    sets: Mapping[tuple[str, str], FittedSet],
    groups: Sequence[Rows],
    unnamed: Sequence[Rows],
    table: FrameworkTable,
) -> list[FrameworkRow]:
    """Bands of deployments that are unlike those fitted, as rows of the framework table.

    Each version, then each model, is predicted by constants that were fitted on the others of its framework and kind;
    all rows by constants and kernels of any framework. The band is what nine of ten residuals keep, frameworks pooled.

    Args:
        sets: what was fitted.
        groups: rows it was fitted on.
        unnamed: the same rows on engines of no known framework.
        table: constants that are not fitted, and the prior.
    """
    rows = [_prompts(sets, groups)]
    for kind in KINDS:
        mine = {name: one for (name, of), one in sets.items() if of == kind}
        if not mine:
            continue
        members = [one for one in groups if one.framework in mine and one.ready.table.kind == kind]
        for what, key in (("version", _version), ("model", _model)):
            parts = [_left_out(members, found, key) for found in mine.values()]
            rows += _rows(kind, f"_{what}", parts, f"each {what} predicted by the others")
        fitted = [_errors([one], mine[one.framework].of) for one in members]
        batch = np.concatenate([np.asarray(one.load.clients) / one.ready.placement.dp for one in members])
        tpot = np.where(batch >= LARGE, np.concatenate([errors for errors, _ in fitted]), np.nan)
        if np.isfinite(tpot).any():
            rows.append(_row(kind, "tpot_band_large", tpot, f"at {LARGE:g} clients and more"))
        plain = [_errors([one], _plainly(kind, table)) for one in unnamed if one.ready.table.kind == kind]
        rows += _rows(kind, "", plain, "predicted by constants and kernels of any framework")
    return rows


def _prompts(sets: Mapping[tuple[str, str], FittedSet], groups: Sequence[Rows]) -> FrameworkRow:
    """Band of the time of prompts: TTFT of long prompts that hardly queue, kinds pooled."""
    errors = []
    for one in groups:
        found = sets[one.framework, one.ready.table.kind]
        load = one.load
        lone = (np.asarray(load.clients) <= _FEW_CLIENTS) & (np.asarray(load.input_tokens) >= _LONG_PROMPT)
        errors.append(one.errors(found.of(one))[1][np.broadcast_to(lone, (len(one.measured),))])
    return _row(
        ANY, "prompt_band_fitted", np.concatenate(errors), "prompts above 7,000 tokens, 8 clients at most"
    )


def _rows(kind: str, suffix: str, parts: Sequence[tuple[Array, Array]], how: str) -> list[FrameworkRow]:
    return [
        _row(kind, f"{name}_band{suffix}", np.concatenate(errors), how)
        for name, errors in zip(("tpot", "ttft"), zip(*parts, strict=True), strict=True)
    ]


def _row(kind: str, constant: str, errors: Array, how: str) -> FrameworkRow:
    kept = np.abs(errors[np.isfinite(errors)])
    value = float(np.exp(np.quantile(kept, _QUANTILE)))
    return FrameworkRow(ANY, ANY, kind, constant, value, None, kept.size, 0, None, None, how, SOURCE)


def _version(one: Measurement) -> str:
    return one.framework


def _model(one: Measurement) -> str:
    """DeepSeek-R1 and V3 are one shape, and so one model."""
    return "deepseek-v3" if one.model.startswith("deepseek") else one.model


def _left_out(
    groups: Sequence[Rows], found: FittedSet, key: Callable[[Measurement], str]
) -> tuple[Array, Array]:
    """Residuals of TPOT and TTFT, each value of the key predicted by constants fitted on the others."""
    mine = [one for one in groups if one.framework == found.framework]
    parts = []
    for value in sorted({key(one) for group in mine for one in group.measured}):
        others = chosen(mine, lambda one, value=value: key(one) != value)  # type: ignore[misc]
        own = chosen(mine, lambda one, value=value: key(one) == value)  # type: ignore[misc]
        parts.append(_errors(own, _constants(others, found)))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def _constants(others: Sequence[Rows], found: FittedSet) -> Callable[[Rows], Serving]:
    """Constants fitted on some rows; those of any framework where they are too few."""
    graphs = [one for one in others if not one.eager]
    table, kind = found.table, found.kind
    if sum(len(one.measured) for one in graphs) < _FEWEST:
        return _plainly(kind, table)

    def base(group: Rows) -> Serving:
        return table.serving(found.framework, group.version, kind).values

    values, _ = fit_constants(graphs, base, table.serving(ANY, ANY, kind).values)
    fresh = replace(found, values=values, versions={})
    return replace(fresh, versions=drifts(graphs, fresh)).of


def _plainly(kind: str, table: FrameworkTable) -> Callable[[Rows], Serving]:
    """Constants that are not fitted."""
    return lambda group: table.serving(group.framework, group.version, kind).values


def _errors(groups: Sequence[Rows], of: Callable[[Rows], Serving]) -> tuple[Array, Array]:
    """Logarithms of predicted over measured TPOT, and of TTFT away from saturation."""
    tpot, ttft = (np.concatenate(part) for part in zip(*(one.errors(of(one)) for one in groups), strict=True))
    calm = np.concatenate([np.asarray(one.predict(of(one)).prefill_share) < _CALM for one in groups])
    return tpot, np.where(calm, ttft, np.nan)
