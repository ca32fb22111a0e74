"""The search: evaluate every layout once, then choose under objectives; a second choice costs almost nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from suanli.errors import InfeasibleError, NoDataError
from suanli.serving.framework import split_framework
from suanli.study.deployment.request import Request
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend.candidates import Candidates, Field, aggregated, disaggregated, join
from suanli.study.recommend.evaluate import Evaluator, Points
from suanli.study.recommend.limits import Supply, supply
from suanli.study.recommend.question import Question, check


@dataclass(frozen=True, slots=True)
class Objectives:
    """Service-level objectives; None for none.

    Attributes:
        ttft_s: longest mean time to the first token [s].
        tpot_s: longest time per output token [s].
    """

    ttft_s: float | None
    tpot_s: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """A question with everything evaluated that its answers need.

    Attributes:
        question: what was asked.
        fields: one for each kind of chip.
        skipped: chips that were left out, with the reason.
    """

    question: Question
    fields: tuple[Field, ...]
    skipped: tuple[str, ...] = ()

    @property
    def objectives(self) -> Objectives:
        """The objectives that were asked for."""
        return Objectives(self.question.ttft_slo_s, self.question.tpot_slo_s)

    def all(self, ttft_s: float | None, more: float = 1.0) -> Candidates:
        """Return every deployment, whether or not it meets the objectives.

        Args:
            ttft_s: objective that decides how far prefill pools are loaded [s].
            more: times the chips that the limit allows [1].
        """
        osl, parts = self.question.osl, []
        for number, field in enumerate(self.fields):
            chips = (
                field.supply.chips
                if more == 1.0
                else max(int(field.supply.chips * more), field.supply.chips + 1)
            )
            if "aggregated" in self.question.modes:
                parts += aggregated(field, number, osl, chips)
            if "disaggregated" in self.question.modes:
                parts += disaggregated(field, number, osl, chips, ttft_s)
        return join(parts) if parts else _nothing()

    def meeting(self, objectives: Objectives, more: float = 1.0) -> Candidates:
        """Return the deployments that meet objectives."""
        return self.all(objectives.ttft_s, more).meeting(objectives.ttft_s, objectives.tpot_s)

    def layout(self, candidates: Candidates, at: int) -> Points:
        """Return the layout of a deployment; of its decode pool where it has two."""
        field = self.fields[int(candidates.field[at])]
        group = field.aggregated if candidates.pool[at] < 0 else field.decode
        return group[int(candidates.main[at])]

    def pool(self, candidates: Candidates, at: int) -> Points | None:
        """Return the layout of a deployment's prefill pool, None where it has none."""
        field = self.fields[int(candidates.field[at])]
        return field.prefill[int(candidates.pool[at])] if candidates.pool[at] >= 0 else None


def _nothing() -> Candidates:
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Candidates(whole, whole, whole, whole, whole, whole, whole, real, real, real, whole)


def search(question: Question, deployments: Deployments) -> Search:
    """Evaluate every layout of every chip of a question.

    Args:
        question: what is asked.
        deployments: models, chips, costs and calibration.

    Returns:
        The search, ready to be asked for deployments.

    Raises:
        InputError: a number of the question makes no sense.
        UnknownIdError: no such model, chip or format.
        NoDataError: facts are missing for every chip.
        InfeasibleError: the limit does not pay for a single chip of any kind, or no chip computes in the format.
    """
    check(question)
    fields, problems = [], []
    for name in question.chips:
        chip = deployments.chip(name)
        try:
            found = supply(question.limit, deployments.catalog, chip, deployments.cost(chip.id))
            fields.append(field_of(question, deployments, name, found))
        except (InfeasibleError, NoDataError) as error:
            problems.append(error)
    if not fields:
        if len(problems) == 1:
            raise problems[0]
        kind = (
            InfeasibleError if any(isinstance(error, InfeasibleError) for error in problems) else NoDataError
        )
        raise kind("\n".join(str(error) for error in problems))
    return Search(question, tuple(fields), tuple(str(error) for error in problems))


def request_for(question: Question, chip: str) -> Request:
    """Return the question as a request about one chip, layout and load left open."""
    shared = {"prefix_hit_share": question.prefix_share} if question.prefix_share else {}
    return Request(
        model=question.model,
        chip=chip,
        weights_dtype=question.weights_dtype,
        kv_dtype=question.kv_dtype,
        framework=question.framework,
        isl=question.isl,
        osl=question.osl,
        options={**question.options, **shared},
    )


def field_of(question: Question, deployments: Deployments, chip: str, found: Supply) -> Field:
    """Evaluate every layout of one chip, for the modes that are asked for."""
    evaluator = Evaluator(deployments.point(request_for(question, chip)), deployments.tables)
    tried = evaluator.layouts(found.chips)
    both = tried if "aggregated" in question.modes else []
    split = tried if "disaggregated" in question.modes else []
    staged = split_framework(question.framework)[0] not in _NO_STAGED_PREFILL
    return Field(
        supply=found,
        evaluator=evaluator,
        aggregated=_known(evaluator.aggregated(one) for one in both),
        prefill=_known(evaluator.prefill(one) for one in split if staged or one.pp == 1),
        # No engine hands KV over to a decode pool with pipeline stages.
        decode=_known(evaluator.decode(one) for one in split if one.pp == 1),
        tried=len(tried),
    )


# vLLM's NIXL connector refuses pipeline stages (vllm-project/vllm issues 40674 and 52913).
_NO_STAGED_PREFILL = ("vllm",)


def _known(points: Iterable[Points | None]) -> tuple[Points, ...]:
    return tuple(one for one in points if one is not None)


def with_chips(searched: Search, deployments: Deployments, times: float) -> Search:
    """Evaluate again for a multiple of the chips, layouts that now become possible included."""
    question = searched.question
    fields = []
    for field in searched.fields:
        grown = replace(field.supply, chips=int(field.supply.chips * times))
        fields.append(field_of(question, deployments, field.evaluator.point.chip.id, grown))
    return Search(question, tuple(fields), searched.skipped)
