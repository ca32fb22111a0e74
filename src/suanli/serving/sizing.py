"""Capacity of a pool of replicas, for arrays of draws: rate of prompts, and the largest batch within an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.serving.closed_loop import SEQUENCES_TIMED, Load, decode_step_s, prompt_cost
from suanli.serving.engine import Engine
from suanli.serving.point import Utilisation
from suanli.serving.pools import STEP_TOKENS, prefill_pool
from suanli.serving.work_shares import decode_parts, prompt_work, step_work

Array = NDArray[np.float64]

_GRID = 160  # batches at which the step is timed; between them it is interpolated
_BISECTIONS = 48  # halves an interval of any sensible width down to double precision
PARTS = ("dense", "attention", "experts", "exchange", "small", "host")
# Operators by the part of the step they are shown in; all other names are matrix products of weights all tokens share.
_PART_OF = {
    **dict.fromkeys(("attention",), "attention"),
    **dict.fromkeys(("experts", "permute", "route", "router"), "experts"),
    **dict.fromkeys(
        ("dispatch", "combine", "all_reduce", "all_gather", "reduce_scatter", "pipeline"), "exchange"
    ),
    **dict.fromkeys(("embedding", "input_norm", "qk_norm_rotary", "ffn_norm", "activation"), "small"),
    **dict.fromkeys(("host", "overlap"), "host"),
}


@dataclass(frozen=True, slots=True)
class PromptRate:
    """Full steps of prompts on one replica.

    Attributes:
        tokens: prompt tokens of a step that are computed [token].
        step_s: time from one such step to the next [s].
        own_s: time that a prompt takes from its start, nothing else in the way [s].
        use: shares of the chip's peaks while it computes prompts.
    """

    tokens: float
    step_s: float
    own_s: float
    use: Utilisation


@dataclass(frozen=True, slots=True)
class DecodeCurve:
    """Decode step of one replica against its batch.

    Attributes:
        sequences: batches of the replica, ascending [1].
        step_s: length of a step at each [s].
        parts: {part of the step: time at each [s]}; they add up to the step; names are `PARTS`.
    """

    sequences: Array
    step_s: Array
    parts: Mapping[str, Array]

    def at(self, sequences: Array | float) -> Array:
        """Return the length of a step at a batch [s]; below one sequence it is that of one."""
        return np.asarray(np.interp(sequences, self.sequences, self.step_s))

    def part(self, name: str, sequences: Array | float) -> Array:
        """Return the time of one part of the step at a batch [s]."""
        return np.asarray(np.interp(sequences, self.sequences, self.parts[name]))


def prompt_rate(
    ready: Engine, isl: float, cached_share: float = 0.0, *, beside: float | None = None
) -> PromptRate:
    """Rate at which a replica computes prompts.

    Args:
        ready: the engine.
        isl: prompt [token].
        cached_share: share of it found in the prefix cache, below 1 [1].
        beside: sequences that decode in the same steps; None for a pool that only computes prompts [1].

    Returns:
        Tokens and time of a full step.
    """
    cached = isl * cached_share
    new = max(isl - cached, 1.0)
    groups = ready.placement.dp
    if beside is None:
        options = {"prefix_hit_share": cached_share}
        prompts = groups * max(np.floor(STEP_TOKENS / new), 1.0)
        full = prefill_pool(ready, prompts, isl, options)
        own = full if prompts == groups else prefill_pool(ready, groups, isl, options)
        return PromptRate(prompts * new, full.interval_s, own.time_s, Utilisation(*full.shares))
    cost = prompt_cost(ready.table, ready.serving.values, beside, new, cached)
    added = float(cost.packed_s)
    work = prompt_work(ready, 1.0, new, cached)
    compute, memory, link = (min(float(one) / (added * ready.placement.pp), 1.0) for one in work)
    return PromptRate(new, added, float(cost.alone_s), Utilisation(compute, memory, link, 1.0))


def decode_curve(ready: Engine, context: float, load: Load, most: float) -> DecodeCurve:
    """Time decode steps from one sequence to the largest batch.

    Args:
        ready: the engine.
        context: tokens of each sequence [token].
        load: speculation and overlap.
        most: largest batch of the replica [1].

    Returns:
        The curve.
    """
    sequences = np.geomspace(1.0, max(most, 2.0), _GRID)
    step = decode_step_s(ready.table, ready.serving.values, sequences, context, load)
    at_context = replace(load, input_tokens=context, output_tokens=0.0)
    parts = {name: np.zeros_like(step) for name in PARTS}
    for name, time in decode_parts(ready, sequences, at_context, step).items():
        parts[_PART_OF.get(name, "dense")] += np.asarray(time)
    return DecodeCurve(sequences, step, parts)


def decode_use(ready: Engine, sequences: float, context: float, load: Load, step_s: float) -> Utilisation:
    """Shares of a chip's peaks in a decode step.

    Args:
        ready: the engine.
        sequences: of the replica [1].
        context: tokens of each [token].
        load: speculation.
        step_s: length of the step [s].
    """
    work = step_work(ready, sequences * load.query_tokens, sequences, context)
    constants = ready.serving.values
    host = constants.step_s + constants.sequence_s * min(sequences / ready.placement.dp, SEQUENCES_TIMED)
    compute, memory, link = (min(float(value) / step_s / ready.placement.pp, 1.0) for value in work)
    return Utilisation(compute, memory, link, min(max(1.0 - host / step_s, 0.1), 1.0))


def largest_batch(seen_s: Callable[[Array], Array], most: ArrayLike, objective_s: ArrayLike) -> Array:
    """Largest batch at which a time that grows with the batch meets an objective, by bisection.

    Args:
        seen_s: time that users see at a batch [s].
        most: largest batch that there is room for [1].
        objective_s: objective [s].

    Returns:
        Batch, between 0 and `most`, broadcast over all arguments [1].
    """
    objective = np.asarray(objective_s, dtype=float)
    top = np.asarray(most, dtype=float)
    high = np.broadcast_to(top, np.broadcast_shapes(np.shape(seen_s(top)), objective.shape)).astype(float)
    fits, low, whole = seen_s(high) <= objective, np.zeros_like(high), high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        meets = seen_s(middle) <= objective
        low, high = np.where(meets, middle, low), np.where(meets, high, middle)
    return np.asarray(np.where(fits, whole, low))
