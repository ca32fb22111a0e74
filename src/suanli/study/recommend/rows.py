"""A deployment as it is shown: its pools, its speed, its price and power, as `estimate` answers for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import NoDataError
from suanli.serving.accelerator import Accelerator
from suanli.serving.layout import Placement
from suanli.study.deployment.power import PowerModel
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
        placement: the layout, with its replicas; it counts ranks.
        requests: requests in flight on one replica [1].
        capacity: requests that one replica can hold [1].
        by_memory: whether memory sets the capacity, not the framework's limit of running requests.
        use: share of the time that a prefill replica is busy; 1 elsewhere [1].
        ranks: ranks of a chip [1].
    """

    role: str
    placement: Placement
    requests: float
    capacity: float
    by_memory: bool = True
    use: float = 1.0
    ranks: int = 1

    @property
    def chips(self) -> int:
        """Chips of all replicas [1]."""
        return self.placement.chips * self.placement.replicas // self.ranks

    @property
    def shape(self) -> str:
        """The layout in the field's short form: "4x tp8", "1x dp32 ep32"."""
        place = self.placement
        sizes = [("tp", place.tp), ("pp", place.pp), ("dp", place.dp), ("ep", place.ep)]
        shown = " ".join(f"{name}{size}" for name, size in sizes if size > 1) or "tp1"
        return f"{place.replicas}x {shown}"


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
        usd_per_mtok: price of a million output tokens; None where no price is on record [USD/Mtok].
        power_w: power of all accelerators in use [W]; None where not known.
        power_wall_w: power at the AC input of their servers [W]; None where not known.
        device: whether it stands in no server, as phones and boards do; its own power is then all there is.
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
    usd_per_mtok: Interval | None = None
    power_w: Interval | None = None
    power_wall_w: Interval | None = None
    device: bool = False

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
        """Its pools in short form: "16x tp2", "P 14x tp1, D 9x tp2" with a prefill and a decode pool."""
        if len(self.pools) == 1:
            return self.pools[0].shape
        return ", ".join(f"{pool.role[0].upper()} {pool.shape}" for pool in self.pools)

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

    @property
    def j_per_token(self) -> Interval | None:
        """Energy at the AC input of the servers (of the device itself) per output token [J]; None where not known."""
        if self.power_wall_w is None:
            return None
        rate = self.output_tokens_per_s
        return Interval(*(getattr(self.power_wall_w, end) / rate for end in ("value", "low", "high")))


def rows(searched: Search, deployments: Deployments, found: Candidates, index: Iterable[int]) -> list[Row]:
    """Describe some candidates, each answered by `estimate`."""
    power = PowerModel(deployments.catalog)
    return [answered(searched, deployments, power, row(searched, found, int(at))) for at in index]


def row(searched: Search, found: Candidates, at: int) -> Row:
    """Describe one candidate."""
    field = searched.fields[int(found.field[at])]
    points, before = searched.layout(found, at), searched.pool(found, at)
    load = int(found.load[at])
    main = _pool("mixed" if before is None else "decode", points, load, int(found.replicas[at]))
    pools: tuple[Pool, ...] = (main,)
    if before is not None:
        pools = (_pool("prefill", before, int(found.pool_load[at]), int(found.pool_replicas[at])), main)
    return Row(
        chip=field.evaluator.point.chip.id,
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
    place = replace(points.placement, replicas=replicas)
    requests, use = float(points.requests[load]), float(points.use[load])
    return Pool(role, place, requests, points.capacity, points.by_memory, use, points.ranks)


def _nearest(searched: Search, ttft_s: float, tpot_s: float, main: Pool) -> tuple[str, float]:
    wanted = searched.objectives
    used = {"memory" if main.by_memory else "batch": main.requests / main.capacity}
    if wanted.tpot_s is not None:
        used["TPOT"] = tpot_s / wanted.tpot_s
    if wanted.ttft_s is not None:
        used["TTFT"] = ttft_s / wanted.ttft_s
    name = max(used, key=lambda key: used[key])
    return name, used[name]


def requests_of(searched: Search, shown: Row) -> list[Request]:
    """Return the questions to `estimate` that a row stands for, one for each pool."""
    base = request_for(searched.question, shown.chip)
    asked = []
    for pool in shown.pools:
        place = pool.placement
        options = {**base.options, "layout_in_ranks": 1.0} if pool.ranks > 1 else base.options
        asked.append(
            replace(
                base,
                options=options,
                n_chips=pool.chips,
                tp=place.tp,
                pp=place.pp,
                dp=place.dp if place.dp > 1 else None,
                ep=place.ep,
                phase=pool.role,
                concurrency=pool.requests * place.replicas,
            )
        )
    return asked


def answered(searched: Search, deployments: Deployments, power: PowerModel, shown: Row) -> Row:
    """Return the row with the answers of `estimate`, its price and its power.

    A prefill pool idles between its queues: it draws idle power for the rest of the time.

    Raises:
        NoDataError: `estimate` does not answer what the search found; the two disagree.
    """
    answers = tuple(deployments.answer(request) for request in requests_of(searched, shown))
    for answer in answers:
        if answer.status != "ok":
            raise NoDataError(
                f"{shown.shape} on {shown.chip}: found, but estimate does not answer ({answer.reason})"
            )
    chip = deployments.chip(shown.chip)
    drawn = [
        _at_use(found, pool.use, _idle_w(power, chip) * pool.chips)
        for pool, answer in zip(shown.pools, answers, strict=True)
        if (found := answer.quantities.get("power_w")) is not None
    ]
    chips_w = None if len(drawn) < len(answers) else _sum(drawn)
    device = chip.id in deployments.catalog.table("devices")
    walls = (
        [
            one if device else power.wall_w(chip, one, pool.chips)
            for one, pool in zip(drawn, shown.pools, strict=True)
        ]
        if chips_w
        else []
    )
    return replace(
        shown,
        answers=answers,
        usd_per_mtok=_usd_per_mtok(deployments, shown, answers[-1]),
        power_w=chips_w,
        power_wall_w=_sum(walls) if walls else None,
        device=device,
    )


def _idle_w(power: PowerModel, chip: Accelerator) -> float:
    return power.chip(chip).idle_w


def _at_use(full: Interval, use: float, idle_w: float) -> Interval:
    return Interval(*(use * getattr(full, end) + (1.0 - use) * idle_w for end in _ENDS))


def _sum(parts: Sequence[Interval]) -> Interval:
    return Interval(*(sum(getattr(one, end) for one in parts) for end in _ENDS))


def _usd_per_mtok(deployments: Deployments, shown: Row, main: Answer) -> Interval | None:
    cost, rate = deployments.cost(shown.chip), main.quantities.get("output_tokens_per_s")
    if cost is None or rate is None:
        return None
    each = shown.chips / shown.output_tokens_per_s * 1e6
    ends = {"value": 1.0, "low": rate.value / rate.high, "high": rate.value / rate.low}
    return Interval(**{end: getattr(cost.usd_per_s, end) * each * times for end, times in ends.items()})


_ENDS = ("value", "low", "high")


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
