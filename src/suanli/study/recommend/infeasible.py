"""When nothing meets the objectives: what stands in the way, and the smallest change that would fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from suanli.errors import InfeasibleError, SuanliError
from suanli.serving.layout import Placement
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend.candidates import Candidates
from suanli.study.recommend.evaluate import Evaluator
from suanli.study.recommend.question import Question
from suanli.study.recommend.search import Objectives, Search, request_for, search, with_chips
from suanli.study.recommend.words import seconds
from suanli.units import digits

_MORE_CHIPS = (2.0, 4.0, 8.0)
_MOST_CHIPS = 4096
_NARROWER = ("fp8", "int4")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the question that would have an answer.

    Attributes:
        text: what to change, as the user would write it.
        size: how large the change is, as a factor of at least 1 [1].
    """

    text: str
    size: float


def refuse(searched: Search, deployments: Deployments) -> InfeasibleError:
    """Return the error for a search without an answer: the reason, and changes that would fit, smallest first.

    Args:
        searched: the search.
        deployments: what it was made with.
    """
    question = searched.question
    whole = searched.all(None)
    pools = [] if len(whole) or question.modes != ("disaggregated",) else _pools(searched)
    if len(whole):
        reason, changes = _missed(searched, whole), list(_objective_changes(searched))
    elif pools:
        return _too_few_for_two(question, pools)
    else:
        reason, changes = _overflow(searched), list(_length_changes(searched))
    changes += [
        *_chip_changes(searched, deployments, bool(len(whole))),
        *_format_changes(question, deployments),
    ]
    lines = [f"Infeasible: {reason}", *(f"  {text}" for text in searched.skipped)]
    if changes:
        first, *rest = sorted(changes, key=lambda change: change.size)
        where = "" if len(whole) else " in memory"
        lines.append(f"Smallest change that fits{where}: {first.text}.")
        lines += [f"Or: {change.text}." for change in rest[:3]]
    return InfeasibleError("\n".join(lines))


@dataclass(frozen=True, slots=True)
class _Pools:
    """Chips of one kind: those there are, and the fewest that hold a prefill and a decode pool [1]."""

    chip: str
    have: int
    prefill: int
    decode: int

    @property
    def needed(self) -> int:
        """Chips of both pools together [1]."""
        return self.prefill + self.decode


def _pools(searched: Search) -> list[_Pools]:
    """Kinds of chip on which either pool would fit alone, but not both."""
    found = []
    for field in searched.fields:
        evaluator, sizes = field.evaluator, []
        for phase in ("prefill", "decode"):
            fitting = (
                max(one.chips // evaluator.whole.ranks, 1)
                for one in evaluator.layouts(_MOST_CHIPS)
                if (one.pp == 1 or phase == "prefill")
                and evaluator.capacity(one, phase)[0] >= one.dp * one.pp
            )
            sizes.append(next(fitting, 0))
        if all(0 < size <= field.supply.chips for size in sizes):
            found.append(_Pools(evaluator.whole.id, field.supply.chips, *sizes))
    return found


def _too_few_for_two(question: Question, pools: list[_Pools]) -> InfeasibleError:
    least = min(pools, key=lambda one: one.needed / max(one.have, 1))
    lines = [
        "Infeasible: "
        + "; ".join(
            f"two pools of {question.model} need {one.needed} x {one.chip} at least ({one.prefill} for prompts, "
            f"{one.decode} for output tokens), {one.have} there"
            for one in pools
        )
        + ".",
        f"Smallest change that fits in memory: {least.needed} x {least.chip} (now {least.have}).",
        "Or: --mode both, which shares chips between the phases.",
    ]
    return InfeasibleError("\n".join(lines))


def _missed(searched: Search, whole: Candidates) -> str:
    wanted = searched.objectives
    asked = [f"{name} {seconds(value)}" for name, value in _named(wanted) if value is not None]
    fastest, first = float(np.min(whole.tpot_s)), float(np.min(whole.ttft_s))
    return (
        f"no deployment of {_where(searched)} meets {' and '.join(asked)}; "
        f"the best TPOT is {seconds(fastest)}, the best TTFT {seconds(first)}, not in the same deployment."
        if fastest <= (wanted.tpot_s or math.inf) and first <= (wanted.ttft_s or math.inf)
        else f"no deployment of {_where(searched)} meets {' and '.join(asked)}; "
        f"the best TPOT is {seconds(fastest)}, the best TTFT {seconds(first)}."
    )


def _named(wanted: Objectives) -> tuple[tuple[str, float | None], ...]:
    return ("TTFT", wanted.ttft_s), ("TPOT", wanted.tpot_s)


def _where(searched: Search) -> str:
    return " or ".join(
        f"{field.supply.chips:,} x {field.evaluator.point.chip.id}" for field in searched.fields
    )


def _objective_changes(searched: Search) -> Iterator[Change]:
    """The least that one objective must be loosened while the other holds; else both."""
    wanted = searched.objectives
    if wanted.tpot_s is not None:
        left = searched.meeting(replace(wanted, tpot_s=None))
        if len(left):
            yield _loosened("--tpot-slo", float(np.min(left.tpot_s)), wanted.tpot_s)
    if wanted.ttft_s is not None:
        left = searched.all(None).meeting(None, wanted.tpot_s)
        if len(left):
            yield _loosened("--ttft-slo", float(np.min(left.ttft_s)), wanted.ttft_s)
    if wanted.ttft_s is not None and wanted.tpot_s is not None:
        both = searched.all(None)
        worse = np.maximum(both.ttft_s / wanted.ttft_s, both.tpot_s / wanted.tpot_s)
        at = int(np.argmin(worse))
        if both.ttft_s[at] > wanted.ttft_s and both.tpot_s[at] > wanted.tpot_s:
            parts = [
                _loosened("--ttft-slo", float(both.ttft_s[at]), wanted.ttft_s),
                _loosened("--tpot-slo", float(both.tpot_s[at]), wanted.tpot_s),
            ]
            yield Change(" and ".join(part.text for part in parts), max(part.size for part in parts) * 1.001)


def _loosened(flag: str, needed_s: float, asked_s: float) -> Change:
    """The objective that is needed, rounded up to what three digits can say."""
    scale = 1e3 if needed_s < 1.0 else 1.0
    shown = needed_s * scale
    step = 10.0 ** (math.floor(math.log10(shown)) - 2)
    rounded = math.ceil(shown / step - 1e-9) * step
    return Change(
        f'{flag} "{digits(rounded, 3)} {"ms" if scale > 1.0 else "s"}" (now {seconds(asked_s)})',
        needed_s / asked_s,
    )


def _overflow(searched: Search) -> str:
    question = searched.question
    parts = []
    for field in searched.fields:
        evaluator = field.evaluator
        chip = evaluator.point.chip
        need = _least_need(evaluator, field.supply.chips)
        parts.append(
            f"{question.model} does not fit on {field.supply.chips:,} x {chip.id} in any layout"
            + (
                f": at least {need / 1e9:,.0f} GB a {_device(evaluator)} for weights, activations and one request, "
                f"{chip.memory_bytes / 1e9:,.0f} GB there"
                if need
                else ""
            )
        )
    return "; ".join(parts) + "."


def _device(evaluator: Evaluator) -> str:
    return "chip" if evaluator.whole.ranks == 1 else f"rank ({evaluator.whole.ranks} a chip)"


def _least_need(evaluator: Evaluator, n_chips: int) -> float | None:
    """Memory a chip that the thriftiest layout needs for weights, activations, reserve and one request [byte]."""
    found = [evaluator.memory(one) for one in evaluator.layouts(n_chips)]
    return min((one.capacity_bytes - one.kv_bytes + one.sequence_bytes for one in found), default=None)


def _length_changes(searched: Search) -> Iterator[Change]:
    """The longest prompt that fits, where the weights do."""
    question = searched.question
    for field in searched.fields:
        isl = _longest(field.evaluator, field.supply.chips, question.isl)
        if isl is not None:
            yield Change(
                f"--isl {isl} (now {question.isl:g}) on {field.evaluator.point.chip.id}", question.isl / isl
            )


def _longest(evaluator: Evaluator, n_chips: int, isl: float) -> int | None:
    """The longest prompt of which some layout holds one request, None where not even the weights fit [token]."""
    shapes = evaluator.layouts(n_chips)

    def fits(tokens: int) -> bool:
        shorter = evaluator.with_prompt(float(tokens))
        return any(_holds(shorter, one) for one in shapes)

    if not fits(1):
        return None
    low, high = 1, int(isl)
    while high - low > max(low // 64, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _holds(evaluator: Evaluator, layout: Placement) -> bool:
    return evaluator.capacity(layout)[0] >= 1.0


def _chip_changes(searched: Search, deployments: Deployments, fits: bool) -> Iterator[Change]:
    """The smallest multiple of the chips that has an answer."""
    limit = searched.question.limit
    if not fits:
        yield from _holding(searched)
        return
    for times in _MORE_CHIPS:
        grown = with_chips(searched, deployments, times)
        if len(grown.meeting(grown.objectives)):
            name = {"chips": "--chips", "power": "--power"}.get(limit.kind, "--budget")
            amount = (
                f"{int(limit.value * times)}"
                if limit.kind == "chips"
                else f"{digits(times, 3)} x {limit.text}"
            )
            yield Change(f"{name} {amount} (now {limit.text})", times)
            return


def _holding(searched: Search) -> Iterator[Change]:
    """The fewest chips that hold the model."""
    for field in searched.fields:
        evaluator, have = field.evaluator, field.supply.chips
        for layout in evaluator.layouts(_MOST_CHIPS):
            chips = layout.chips // evaluator.whole.ranks
            if chips > have and _holds(evaluator, layout):
                yield Change(f"{chips} x {evaluator.whole.id} (now {have})", chips / max(have, 1))
                break


def _format_changes(question: Question, deployments: Deployments) -> Iterator[Change]:
    """Narrower weights, where they have an answer."""
    if question.weights_dtype is not None:
        return
    for name in _NARROWER:
        try:
            point = deployments.point(request_for(question, question.chips[0]))
            narrower = search(replace(question, weights_dtype=name), deployments)
            lighter = narrower.fields[0].evaluator.point.weights_dtype != point.weights_dtype
            if lighter and len(narrower.meeting(narrower.objectives)):
                yield Change(f"--weights-dtype {name}", 2.0 if name == "fp8" else 4.0)
                return
        except SuanliError:
            continue
