"""The answer of a search: the best deployment, the Pareto front, why, and what limits it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from suanli import __version__
from suanli.study.deployment.rent import HourlyCost
from suanli.study.deployment.request import Interval
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend import words
from suanli.study.recommend.constraints import Binding, constraints, stops
from suanli.study.recommend.infeasible import refuse
from suanli.study.recommend.question import Question
from suanli.study.recommend.rows import Row, rows, spaced
from suanli.study.recommend.search import Search, search
from suanli.study.recommend.why import Rival, rivals
from suanli.units import show

SCHEMA = "suanli/recommend/1"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a search found.

    Attributes:
        search: the search.
        best: the deployment of the most tokens per second.
        front: the Pareto front of speed for a user against tokens per second, fastest for a user first.
        on_front: points of the whole front; `front` leaves out those that hardly differ in speed [1].
        met: deployments that meet the objectives [1].
        tried: deployments that were evaluated [1].
        stopped: what keeps the best from a larger load; "" for nothing.
        bindings: its constraints, the most valuable first.
        rivals: the best of the other layouts, modes and chips.
        prices: where prices come from, in words.
        remarks: what of the question is unusual, in words.
    """

    search: Search
    best: Row
    front: tuple[Row, ...]
    on_front: int
    met: int
    tried: int
    stopped: str
    bindings: tuple[Binding, ...]
    rivals: tuple[Rival, ...]
    prices: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether there are several kinds of chip."""
        return len(self.search.fields) > 1

    @property
    def title(self) -> str:
        """What was searched, in one line."""
        return words.title(self.search)

    @property
    def scope(self) -> str:
        """How much was searched, in one line."""
        layouts = sum(field.tried for field in self.search.fields)
        meet = "meets" if self.met == 1 else "meet"
        return (
            f"{words.count(layouts, 'layout')}, {words.count(self.tried, 'deployment')} at all loads, "
            f"{self.met:,} {meet} the objectives, {self.on_front:,} on the Pareto front."
        )

    @property
    def rows_words(self) -> str:
        """How many rows stand for the front: "40 rows", with the points of the front where those are more."""
        rows = words.count(len(self.front), "row")
        return (
            rows if self.on_front == len(self.front) else f"{rows} for {self.on_front:,} points of the front"
        )

    def selection(self, count: int) -> list[Row]:
        """Return rows of the front, spread over it; first, last and best among them.

        Args:
            count: how many, at least 3; all where there are no more [1].
        """
        last = len(self.front) - 1
        if last < count:
            return list(self.front)
        chosen = [round(index * last / (count - 1)) for index in range(count)]
        best = next(index for index, row in enumerate(self.front) if row is self.best)
        if best not in chosen:
            nearest = min(chosen[1:-1], key=lambda index: abs(index - best))
            chosen[chosen.index(nearest)] = best
        return [self.front[index] for index in sorted(chosen)]

    def cells(self, row: Row) -> tuple[str, ...]:
        """Return a row of the table."""
        return words.cells(row, self.several)

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return the best, why it is best, and what limits it, as headings with lines."""
        return [
            ("Best", words.best_lines(self.best)),
            ("Why", words.why_lines(list(self.rivals), self.several)),
            (
                "Limits",
                words.limit_lines(list(self.bindings), self.best.available, self.search.question.limit.kind),
            ),
        ]

    def notes(self) -> list[str]:
        """Return where the limit, the prices and the speeds come from."""
        limit, wall = self.search.question.limit, self.best.power_wall_w
        lines = [f"Limit: {f.supply.reason}." for f in self.search.fields if limit.kind in ("price", "power")]
        if limit.kind == "power" and wall is not None:
            lines.append(
                f"The best draws {show(wall.value, 'W')} on average, {wall.value / limit.value:.0%} of the limit."
            )
        lines += [f"Price: {text}." for text in self.prices]
        pools = (
            " P is a prefill pool, D a decode pool." if "disaggregated" in self.search.question.modes else ""
        )
        lines.append(f"Basis of the best: {self.best.basis}.{pools}")
        changes = {note for answer in self.best.answers for note in getattr(answer.estimate, "notes", ())}
        return [
            *lines,
            *self.remarks,
            *sorted(changes),
            *(f"Left out: {text}" for text in self.search.skipped),
        ]

    def document(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        question = self.search.question
        asked = {
            name: getattr(question, name) for name in question.__slots__ if name not in ("limit", "options")
        }
        limit = {"kind": question.limit.kind, "value": question.limit.value, "text": question.limit.text}
        return {
            "schema": SCHEMA,
            "version": __version__,
            "question": {**asked, "limit": limit, "options": dict(question.options)},
            "supply": {f.evaluator.point.chip.id: f.supply.chips for f in self.search.fields},
            "layouts": sum(field.tried for field in self.search.fields),
            "deployments": self.tried,
            "meeting": self.met,
            "on_front": self.on_front,
            "best": row_document(self.best),
            "front": [row_document(row) for row in self.front],
            "why": [
                {
                    "deployment": one.row.shape,
                    "chip": one.row.chip,
                    "mode": one.row.mode,
                    "behind": one.behind,
                }
                | {"setback": one.setback or None, "its_s": one.its_s, "best_s": one.best_s}
                for one in self.rivals
            ],
            "stopped_by": self.stopped or None,
            "constraints": [
                {
                    "name": one.name,
                    "used": one.used,
                    "gain": one.gain,
                    "most": one.most,
                    "then": one.then or None,
                }
                for one in self.bindings
            ],
            "warnings": [*self.search.skipped, *self.remarks],
        }


def row_document(row: Row) -> dict[str, Any]:
    """Return a row as JSON holds it: SI values, bands where they are known."""
    main = row.main.quantities if row.main is not None else {}
    return {
        "chip": row.chip,
        "mode": row.mode,
        "deployment": row.shape,
        "chips": row.chips,
        "pools": [
            {"role": pool.role, "replicas": pool.placement.replicas}
            | {name: getattr(pool.placement, name) for name in ("tp", "pp", "dp", "ep")}
            | {"requests": pool.requests, "capacity": pool.capacity, "use": pool.use}
            for pool in row.pools
        ],
        "requests_in_flight": row.requests,
        "ttft_s": _number(row.ttft_s, main.get("ttft_s")),
        "tpot_s": _number(row.tpot_s, main.get("tpot_s")),
        "tokens_per_s_per_user": row.tokens_per_s_per_user,
        "tokens_per_s_per_chip": row.tokens_per_s_per_chip,
        "output_tokens_per_s": row.output_tokens_per_s,
        "usd_per_mtok_output": _interval(row.usd_per_mtok),
        "power_w": _interval(row.power_w),
        "power_wall_w": _interval(row.power_wall_w),
        "j_per_token": _interval(row.j_per_token),
        "nearest_limit": {"name": row.nearest[0], "used": row.nearest[1]},
        "basis": row.basis,
    }


def _number(value: float, band: Interval | None) -> dict[str, float | None]:
    return {"value": value, "low": band.low if band else None, "high": band.high if band else None}


def _interval(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}


def recommend(question: Question, deployments: Deployments | None = None) -> Recommendation:
    """Search the deployments of a question.

    Args:
        question: what is asked.
        deployments: models, chips, costs and calibration; the package's own by default.

    Returns:
        The recommendation.

    Raises:
        InfeasibleError: nothing meets the objectives within the limit; says the smallest change that would.
        InputError: a number of the question makes no sense.
        UnknownIdError: no such model, chip or format.
        NoDataError: facts are missing.
    """
    known = deployments or Deployments()
    searched = search(question, known)
    found = searched.meeting(searched.objectives)
    if not len(found):
        raise refuse(searched, known)
    best, front = found.best(), found.front()
    shown = spaced(front, 1.0 / found.tpot_s, best)
    described = rows(searched, known, found, [best, *(at for at in shown if at != best)])
    by_index = dict(zip([best, *(at for at in shown if at != best)], described, strict=True))
    chips = [field.evaluator.point.chip.id for field in searched.fields]
    costs = {chip: known.cost(chip) for chip in chips}
    return Recommendation(
        search=searched,
        best=by_index[best],
        front=tuple(by_index[at] for at in shown),
        on_front=int(front.size),
        met=len(found),
        tried=len(searched.all(None)),
        stopped=stops(searched, found, best, searched.objectives),
        bindings=tuple(constraints(searched, found, best)),
        rivals=tuple(rivals(searched, found, best)),
        prices=tuple(
            f"{chip}: {cost.usd_per_s.value * 3600:.2f} USD/h a chip, {cost.basis}"
            if cost
            else f"{chip}: none on record"
            for chip, cost in costs.items()
        ),
        remarks=(*_remarks(question, known), *_price_remarks(costs)),
    )


def _price_remarks(costs: Mapping[str, HourlyCost | None]) -> Iterator[str]:
    """Whether chips of one answer are priced on different bases, such as a market's rent and an own purchase."""
    kinds: dict[str, list[str]] = {}
    for chip, cost in costs.items():
        if cost is not None:
            kinds.setdefault(re.split("[,:]", cost.basis)[0], []).append(chip)
    if len(kinds) > 1:
        told = ", ".join(f"{' and '.join(names)}: {kind}" for kind, names in kinds.items())
        yield (
            f"Prices are on different bases ({told}): USD of one chip do not compare with those of another; "
            "give prices of your own with --catalog."
        )


def _remarks(question: Question, known: Deployments) -> Iterator[str]:
    """What of a question its user should look at again."""
    context, tokens = known.model(question.model)[0].context_length, question.isl + question.osl
    if context is not None and tokens > context:
        yield (
            f"{question.model} is published for {context:,.0f} tokens of context, requests here hold {tokens:,.0f}: "
            "it may need another checkpoint or RoPE scaling."
        )
    missing = [
        f"{name} ({flag})"
        for name, flag, value in (
            ("TTFT", "--ttft-slo", question.ttft_slo_s),
            ("TPOT", "--tpot-slo", question.tpot_slo_s),
        )
        if value is None
    ]
    if missing:
        yield f"No objective for {' and '.join(missing)}: the best is loaded until tokens/s stop growing."
