"""All deployments of one kind of chip as columns: replicas of a layout, or two pools that balance each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from suanli.study.recommend.evaluate import Evaluator, Points
from suanli.study.recommend.limits import Supply
from suanli.study.recommend.match import match_pools
from suanli.study.recommend.pareto import pareto_front

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Field:
    """Everything that was evaluated on one kind of chip; objectives play no part yet.

    Attributes:
        supply: chips that the limit allows.
        evaluator: what evaluated them.
        aggregated: layouts that do both phases.
        prefill: layouts for prompts alone.
        decode: layouts for output tokens alone.
        tried: layouts that were tried, those that do not fit included [1].
    """

    supply: Supply
    evaluator: Evaluator
    aggregated: tuple[Points, ...]
    prefill: tuple[Points, ...]
    decode: tuple[Points, ...]
    tried: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Deployments as columns.

    Attributes:
        field: index of the kind of chip.
        main: index of the layout among `aggregated`, or among `decode` where there is a prefill pool.
        load: index of its load.
        replicas: its replicas [1].
        pool: index of the prefill pool's layout; -1 for aggregated deployments.
        pool_load: index of its load.
        pool_replicas: its replicas [1].
        ttft_s: mean time to the first token [s].
        tpot_s: time per output token [s].
        output_tokens_per_s: of the whole deployment [token/s].
        chips: chips in use [1].
    """

    field: Index
    main: Index
    load: Index
    replicas: Index
    pool: Index
    pool_load: Index
    pool_replicas: Index
    ttft_s: Array
    tpot_s: Array
    output_tokens_per_s: Array
    chips: Index

    def __len__(self) -> int:
        """Return the number of deployments."""
        return int(self.field.size)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        return Candidates(*(getattr(self, entry.name)[index] for entry in fields(self)))

    def meeting(self, ttft_s: float | None, tpot_s: float | None) -> Candidates:
        """Return those that meet both objectives."""
        good = np.ones(len(self), dtype=bool)
        if ttft_s is not None:
            good &= self.ttft_s <= ttft_s
        if tpot_s is not None:
            good &= self.tpot_s <= tpot_s
        return self.take(good)

    def best(self) -> int:
        """Return the index of the most tokens per second; of equal ones the fewest chips, then the fastest."""
        return int(np.lexsort((self.tpot_s, self.chips, -self.output_tokens_per_s))[0])

    def front(self) -> NDArray[np.intp]:
        """Return the indices that no other beats in both speed for a user and tokens per second."""
        return pareto_front(1.0 / self.tpot_s, self.output_tokens_per_s)


def join(parts: Sequence[Candidates]) -> Candidates:
    """Put candidates together."""
    return Candidates(
        *(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(Candidates))
    )


def aggregated(field: Field, number: int, osl: float, n_chips: int) -> list[Candidates]:
    """Fill the chips with replicas of each layout, at each of its loads.

    Args:
        field: what was evaluated.
        number: index of the kind of chip.
        osl: output length [token].
        n_chips: chips that there are [1].
    """
    found = []
    for at, points in enumerate(field.aggregated):
        replicas = n_chips // points.chips * points.copies
        if replicas:
            rate = replicas * points.requests_per_s * osl
            size = points.requests.size
            none = np.full(size, -1)
            found.append(
                Candidates(
                    np.full(size, number),
                    np.full(size, at),
                    np.arange(size),
                    np.full(size, replicas),
                    none,
                    none,
                    np.zeros(size, dtype=np.int64),
                    points.ttft_s,
                    points.tpot_s,
                    rate,
                    np.full(size, replicas // points.copies * points.chips),
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class _Pool:
    """A kind of prefill replica at one load; rate and chips are those of `copies` that share a chip."""

    index: int
    load: int
    per_s: float
    chips: int
    copies: int


def _prefill_pools(field: Field, n_chips: int, ttft_s: float | None) -> list[_Pool]:
    """For each number of chips the layout and load that compute most prompts within the objective."""
    best: dict[int, _Pool] = {}
    for at, points in enumerate(field.prefill):
        chips = points.chips
        meets = points.ttft_s <= (np.inf if ttft_s is None else ttft_s)
        if chips >= n_chips or not meets.any():
            continue
        load = int(np.argmax(np.where(meets, points.requests_per_s, 0.0)))
        per_s = float(points.requests_per_s[load]) * points.copies
        if chips not in best or per_s > best[chips].per_s:
            best[chips] = _Pool(at, load, per_s, chips, points.copies)
    return list(best.values())


def _decode_columns(field: Field, n_chips: int) -> tuple[Index, Index, Array, Array, Index]:
    """Decode layouts and loads that no other of as many chips beats: index, load, rate, TPOT, chips.

    Rates and chips are those of all replicas that share a chip.
    """
    by_chips: dict[int, list[int]] = {}
    for at, points in enumerate(field.decode):
        if points.chips < n_chips:
            by_chips.setdefault(points.chips, []).append(at)
    columns: list[tuple[Index, Index, Array, Array, Index]] = []
    for chips, members in by_chips.items():
        index = np.concatenate([np.full(field.decode[at].requests.size, at) for at in members])
        load = np.concatenate([np.arange(field.decode[at].requests.size) for at in members])
        rate = np.concatenate([field.decode[at].requests_per_s * field.decode[at].copies for at in members])
        tpot = np.concatenate([field.decode[at].tpot_s for at in members])
        keep = pareto_front(1.0 / tpot, rate)
        columns.append((index[keep], load[keep], rate[keep], tpot[keep], np.full(keep.size, chips)))
    if not columns:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0), np.zeros(0), nothing
    index, load, rate, tpot, size = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return index, load, rate, tpot, size


def disaggregated(
    field: Field, number: int, osl: float, n_chips: int, ttft_s: float | None
) -> list[Candidates]:
    """Divide the chips between a prefill and a decode pool, for the best pools of each number of chips.

    Args:
        field: what was evaluated.
        number: index of the kind of chip.
        osl: output length [token].
        n_chips: chips that there are [1].
        ttft_s: objective that decides the load of the prefill pool; None for none [s].
    """
    index, load, rate, tpot, size = _decode_columns(field, n_chips)
    found = []
    for pool in _prefill_pools(field, n_chips, ttft_s) if index.size else []:
        match = match_pools(pool.per_s, pool.chips, rate, size, n_chips)
        ok = match.requests_per_s > 0.0
        count = int(ok.sum())
        copies = np.array([field.decode[at].copies for at in index[ok]], dtype=np.int64)
        before = match.prefill[ok] * pool.copies
        spare, first = _calmest(field.prefill[pool.index], pool, before, match.requests_per_s[ok])
        found.append(
            Candidates(
                np.full(count, number),
                index[ok],
                load[ok],
                match.decode[ok] * copies,
                np.full(count, pool.index),
                spare,
                before,
                first,
                tpot[ok],
                match.requests_per_s[ok] * osl,
                match.prefill[ok] * pool.chips + match.decode[ok] * size[ok],
            )
        )
    return found


def _calmest(points: Points, pool: _Pool, replicas: Index, per_s: Array) -> tuple[Index, Array]:
    """The load of the prefill pool that keeps up with the shortest TTFT."""
    enough = points.requests_per_s >= (per_s / replicas * (1.0 - 1e-9))[:, None]
    first = np.where(enough, points.ttft_s, np.inf)
    first[:, pool.load] = np.minimum(first[:, pool.load], points.ttft_s[pool.load])
    load = np.argmin(first, axis=1)
    return load, points.ttft_s[load]
