"""A deployment as it is shown: its pools, its speed, its price and power, as `estimate` answers for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.serving.layout import Placement
from suanli.study.deployment.request import Answer, Interval, Request
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend.candidates import Candidates
from suanli.study.recommend.evaluate import Points
from suanli.study.recommend.question import Mode
from suanli.study.recommend.search import Search, request_for

# Neighbours on the shown front differ by this much in speed for a user.
_SPACING = 1.02


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas of one layout.

    Attributes:
        role: "mixed", "prefill" or "decode".
        placement: the layout, with its replicas.
        requests: requests in flight on one replica [1].
        capacity: requests that one replica can hold [1].
    """

    role: str
    placement: Placement
    requests: float
    capacity: float

    @property
    def chips(self) -> int:
        """Chips of all replicas [1]."""
        return self.placement.chips * self.placement.replicas

    @property
    def shape(self) -> str:
        """The layout in the field's short form: "4 x tp8", "1 x dp32 ep32"."""
        place = self.placement
        sizes = [("tp", place.tp), ("pp", place.pp), ("dp", place.dp), ("ep", place.ep)]
        shown = " ".join(f"{name}{size}" for name, size in sizes if size > 1) or "tp1"
        return f"{place.replicas} x {shown}"


@dataclass(frozen=True, slots=True)
class Row:
    """One deployment.

    Attributes:
        chip: catalogue id.
        mode: kind of deployment.
        available: chips that the limit allows [1].
        pools: its pools; prefill first.
        requests: requests in flight that it is meant for [1].
        ttft_s: mean time to the first token [s].
        tpot_s: time per output token [s].
        output_tokens_per_s: of the whole deployment [token/s].
        nearest: the constraint that is nearest to being reached, and how much of it is used [1].
        answers: what `estimate` answers for each pool.
    """

    chip: str
    mode: Mode
    available: int
    pools: tuple[Pool, ...]
    requests: float
    ttft_s: float
    tpot_s: float
    output_tokens_per_s: float
    nearest: tuple[str, float]
    answers: tuple[Answer, ...] = ()

    @property
    def chips(self) -> int:
        """Chips in use [1]."""
        return sum(pool.chips for pool in self.pools)

    @property
    def tokens_per_s_per_user(self) -> float:
        """Output tokens a second that one user sees [token/s]."""
        return 1.0 / self.tpot_s

    @property
    def tokens_per_s_per_chip(self) -> float:
        """Output tokens a second over all chips that the limit allows, idle ones included [token/s]."""
        return self.output_tokens_per_s / self.available

    @property
    def shape(self) -> str:
        """Its pools in short form: "16 x tp2", "14 x tp1 + 9 x tp2" (prefill + decode)."""
        return " + ".join(pool.shape for pool in self.pools)

    @property
    def main(self) -> Answer | None:
        """The answer for the pool that emits the tokens; None before it was asked for."""
        return self.answers[-1] if self.answers else None

    @property
    def basis(self) -> str:
        """The weakest basis of its answers; "" where there are none."""
        ranks = ("calibrated", "family", "datasheet")
        known = [answer.basis for answer in self.answers if answer.basis in ranks]
        return max(known, key=ranks.index, default="")

    def summed(self, name: str) -> Interval | None:
        """A quantity summed over the pools: "power_w" or "power_wall_w" [W]; None where one is not known."""
        found = [
            answer.power_wall_w if name == "power_wall_w" else answer.quantities.get(name) for answer in self.answers
        ]
        known = [one for one in found if one is not None]
        if not known or len(known) < len(self.answers):
            return None
        return Interval(*(sum(getattr(one, end) for one in known) for end in ("value", "low", "high")))

    @property
    def j_per_token(self) -> float | None:
        """Energy at the AC input of the servers per output token [J]; None where power is not known."""
        power = self.summed("power_wall_w")
        return None if power is None else power.value / self.output_tokens_per_s


def rows(searched: Search, deployments: Deployments, found: Candidates, index: Iterable[int]) -> list[Row]:
    """Describe some candidates, each answered by `estimate`."""
    return [answered(searched, deployments, row(searched, found, int(at))) for at in index]


def row(searched: Search, found: Candidates, at: int) -> Row:
    """Describe one candidate."""
    field = searched.fields[int(found.field[at])]
    points, before = searched.layout(found, at), searched.pool(found, at)
    load = int(found.load[at])
    main = _pool("mixed" if before is None else "decode", points, load, int(found.replicas[at]))
    pools = (main,)
    if before is not None:
        pools = (_pool("prefill", before, int(found.pool_load[at]), int(found.pool_replicas[at])), main)
    return Row(
        chip=field.evaluator.work.chip.id,
        mode="aggregated" if before is None else "disaggregated",
        available=field.supply.chips,
        pools=pools,
        requests=sum(pool.requests * pool.placement.replicas for pool in pools),
        ttft_s=float(found.ttft_s[at]),
        tpot_s=float(found.tpot_s[at]),
        output_tokens_per_s=float(found.output_tokens_per_s[at]),
        nearest=_nearest(searched, float(found.ttft_s[at]), float(found.tpot_s[at]), main),
    )


def _pool(role: str, points: Points, load: int, replicas: int) -> Pool:
    return Pool(role, replace(points.placement, replicas=replicas), float(points.requests[load]), points.capacity)


def _nearest(searched: Search, ttft_s: float, tpot_s: float, main: Pool) -> tuple[str, float]:
    wanted = searched.objectives
    used = {"memory": main.requests / main.capacity}
    if wanted.tpot_s is not None:
        used["TPOT"] = tpot_s / wanted.tpot_s
    if wanted.ttft_s is not None:
        used["TTFT"] = ttft_s / wanted.ttft_s
    name = max(used, key=lambda key: used[key])
    return name, used[name]


def requests_of(searched: Search, shown: Row) -> list[Request]:
    """Return the questions to `estimate` that a row stands for, one for each pool."""
    question = searched.question
    base = request_for(question, shown.chip)
    asked = []
    for pool in shown.pools:
        place = pool.placement
        asked.append(
            replace(
                base,
                n_chips=pool.chips,
                tp=place.tp,
                pp=place.pp,
                dp=place.dp if place.dp > 1 else None,
                ep=place.ep,
                phase=pool.role,
                concurrency=pool.requests * place.replicas,
                options={**base.options, **({"prefix_hit_share": question.prefix_share} if question.prefix_share else {})},
            )
        )
    return asked


def answered(searched: Search, deployments: Deployments, shown: Row) -> Row:
    """Return the row with the answers of `estimate`.

    Raises:
        SuanliError: `estimate` does not answer what the search found; the two disagree.
    """
    answers = tuple(deployments.answer(request) for request in requests_of(searched, shown))
    for answer in answers:
        if answer.status != "ok":
            raise SuanliError(f"{shown.shape} on {shown.chip}: the search finds it, estimate does not ({answer.reason})")
    return replace(shown, answers=answers)


def spaced(front: NDArray[np.intp], speed: NDArray[np.float64], keep: int) -> list[int]:
    """Thin a front to points that differ in speed, first, last and `keep` among them.

    Args:
        front: indices by falling speed.
        speed: speed for a user by index [token/s].
        keep: an index that must stay.
    """
    chosen: list[int] = []
    for at in front.tolist():
        if at in (keep, front[-1]) or not chosen or speed[chosen[-1]] / speed[at] >= _SPACING:
            chosen.append(at)
    return chosen
