"""What of a question, its price or its refusal a user should look at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from suanli.llm import weight_bytes
from suanli.llm.dtypes import stated
from suanli.study.deployment.request import Answer, Request

if TYPE_CHECKING:
    from suanli.study.deployment.solve import Deployments

# How many times the chips are tried, and the formats that hold a model in less.
_MORE_CHIPS = (2, 4, 8, 16, 32)
_NARROWER = ("fp8", "int4")
OWNED = (
    "No rent on record: $/Mtok is of owned hardware, power and hosting. A rent adds the provider's margin and idle "
    "time and is about twice that for H100, H200 and B200: compare prices of one basis."
)


def context_remark(name: str, context: float | None, tokens: float) -> str | None:
    """Say that requests are longer than what a model is published for; None where they are not, or that is not known.

    Args:
        name: the model as the user calls it.
        context: tokens that it is published for [token].
        tokens: longest request [token].
    """
    if context is None or tokens <= context:
        return None
    return (
        f"{name} is published for {context:,.0f} tokens of context, requests here hold {tokens:,.0f}: "
        "it may need another checkpoint or RoPE scaling."
    )


def with_remedy(deployments: Deployments, request: Request, answer: Answer) -> Answer:
    """Return an answer that is short of memory with what it needs and the smallest changes that fit in its reason.

    Args:
        deployments: what solves questions.
        request: the question.
        answer: its answer.
    """
    if not getattr(answer.estimate, "short_of_memory", False):
        return answer
    from suanli.serving.precision import choose_precision

    point = deployments.point(request)
    formats = choose_precision(point.model, point.chip, point.weights_dtype).weights
    stored = weight_bytes(point.model, formats).total
    there = point.n_chips * point.chip.memory_bytes
    needed = f"weights of {stored / 1e9:,.1f} GB, {there / 1e9:,.0f} GB of memory on all chips"
    found = list(_changes(deployments, request, point.n_chips))
    lines = [f"{answer.reason} ({needed})"]
    lines += [f"Smallest change that fits: {found[0]}"] if found else []
    lines += [f"Or: {' or '.join(found[1:])}"] if found[1:] else []
    return replace(answer, reason=". ".join(lines) + ("." if found else ""))


def _changes(deployments: Deployments, request: Request, n_chips: int) -> Iterator[str]:
    """Changes that have an answer: another layout, more chips, narrower weights."""
    free = replace(request, n_chips=n_chips, tp=None, pp=None, dp=None, ep=None)
    if free != replace(request, n_chips=n_chips):
        found = deployments.answer(free)
        if found.status == "ok":
            one = found.estimate.placement
            yield f"the same chips as --tp {one.tp} --pp {one.pp} --dp {one.dp} --ep {one.ep}"
            return
    for times in _MORE_CHIPS:
        if deployments.answer(replace(free, n_chips=times * n_chips)).status == "ok":
            layout = "" if free == replace(request, n_chips=n_chips) else ", layout left open"
            yield f"--n-chips {times * n_chips} (now {n_chips}{layout})"
            break
    if not stated(request.weights_dtype or ""):
        for name in _NARROWER:
            if deployments.answer(replace(free, weights_dtype=name)).status == "ok":
                yield f"--weights-dtype {name}"
                break
