"""What a refinement means, in a line for people."""

from __future__ import annotations

import math

from suanli.errors import SuanliError
from suanli.serving.bands import step_band
from suanli.serving.engine import Engine, engine
from suanli.serving.refinement import CORRECTIONS, Refinement
from suanli.study.deployment.request import Answer, Request
from suanli.study.deployment.solve import Deployments

LABELS = {
    "decode_kernels": "decode kernels",
    "host": "host time of steps",
    "prefill_kernels": "prefill kernels",
    "ttft_base": "request handling",
    "ttft_steps": "steps to first token",
}


def refinement_of(deployments: Deployments, request: Request) -> tuple[Engine, Refinement] | None:
    """Return the engine of a request with the refinement that it runs under; None where there is none."""
    if not deployments.tables.refinements.refinements:
        return None
    try:
        ready = engine(deployments.point(request), deployments.tables)
    except SuanliError:
        return None
    one = ready.serving.refinement
    return None if one is None else (ready, one)


def factor_words(one: Refinement, name: str) -> str:
    """Say a factor with its error: "x0.94 +- 3 %"."""
    at = CORRECTIONS.index(name)
    return f"x{one.factors[at]:.2f} +- {math.sqrt(one.covariance[at][at]):.0%}".replace("%", " %")


def refined_line(deployments: Deployments, request: Request, answer: Answer) -> str | None:
    """Say by what an answer was refined and what that did to its band; None where nothing was refined.

    Args:
        deployments: where the answer comes from.
        request: the question.
        answer: its answer.
    """
    found = refinement_of(deployments, request)
    if found is None:
        return _elsewhere(deployments, request)
    ready, one = found
    line = f"Refined by {one.fitted_on} on your machine: decode kernels {factor_words(one, 'decode_kernels')}"
    tpot = answer.quantities.get("tpot_s")
    if tpot is not None:
        plain = step_band(ready.serving.values.tpot_band, ready.table.basis, ready.serving.framework != "*")
        line += f", TPOT band x/{plain:.2f} -> x/{tpot.high / tpot.value:.2f}"
    where = []
    where += ["this version"] if one.version == "*" else []
    where += ["this model and layout"] if one.deployment == "*" else []
    return f"{line}." + (f" No run of {' or '.join(where)} among them." if where else "")


def _elsewhere(deployments: Deployments, request: Request) -> str | None:
    """Say that the chip was measured, but not with what is asked."""
    try:
        chip = deployments.chip(request.chip).id
    except SuanliError:
        return None
    known = sorted(
        {
            f"{one.framework} ({one.kind})"
            for one in deployments.tables.refinements.refinements
            if one.chip == chip
        }
    )
    return f"Your runs on {chip} refine {', '.join(known)}; not what is asked here." if known else None
