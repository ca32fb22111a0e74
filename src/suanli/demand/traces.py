"""Request traces as arrays: arrivals, lengths, sessions, priorities and prefix blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival.

    Attributes:
        arrival_s: arrival [s], rising; nan for a request that follows another one.
        input_tokens: prompt lengths [token].
        output_tokens: answer lengths [token].
        priority: 0 is served first; empty where all are equal.
        follows: index of the request after whose end this one arrives, or -1; empty where none does.
        delay_s: time between that end and the arrival [s]; empty where none follows.
        block_ids: prefix blocks of all requests, one after the other.
        block_start: n + 1 offsets into block_ids; empty where the trace has none.
        block_tokens: tokens of a prefix block [token].
        name: where it comes from.
    """

    arrival_s: Array
    input_tokens: Ints
    output_tokens: Ints
    priority: Ints = field(default_factory=_none)
    follows: Ints = field(default_factory=_none)
    delay_s: Array = field(default_factory=lambda: np.zeros(0))
    block_ids: Ints = field(default_factory=_none)
    block_start: Ints = field(default_factory=_none)
    block_tokens: int = 512
    name: str = "trace"

    def __post_init__(self) -> None:
        n = self.arrival_s.size
        if self.input_tokens.size != n or self.output_tokens.size != n:
            raise InputError(f"{self.name}: arrivals, inputs and outputs differ in number")
        if n and (self.input_tokens.min() < 1 or self.output_tokens.min() < 1):
            raise InputError(f"{self.name}: prompts and answers need at least one token")
        known = self.arrival_s[~np.isnan(self.arrival_s)]
        if known.size and (known[0] < 0.0 or np.any(np.diff(known) < 0.0)):
            raise InputError(f"{self.name}: arrivals must not be negative and must rise")

    def __len__(self) -> int:
        return int(self.arrival_s.size)

    @property
    def duration_s(self) -> float:
        """Time of the last known arrival [s]."""
        known = self.arrival_s[~np.isnan(self.arrival_s)]
        return float(known[-1]) if known.size else 0.0


def from_rows(
    arrival_s: Array, input_tokens: Ints, output_tokens: Ints, name: str = "trace", **more: object
) -> Trace:
    """Make a trace of rows in any order: sorted by arrival (stable), starting at 0.

    Args:
        arrival_s: arrivals on any clock [s].
        input_tokens: prompt lengths.
        output_tokens: answer lengths.
        name: where it comes from.
        more: `blocks` (a list of block ids a row), `block_tokens`, `priority`.

    Returns:
        The trace.
    """
    order = np.argsort(arrival_s, kind="stable")
    start = float(arrival_s[order[0]]) if order.size else 0.0
    fields: dict[str, object] = {}
    blocks = more.get("blocks")
    if blocks is not None:
        rows = [blocks[k] for k in order]  # type: ignore[index]
        fields["block_start"] = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
        fields["block_ids"] = np.array([b for row in rows for b in row], dtype=np.int64)
        fields["block_tokens"] = more.get("block_tokens", 512)
    if more.get("priority") is not None:
        fields["priority"] = np.asarray(more["priority"], dtype=np.int64)[order]
    return Trace(
        np.asarray(arrival_s, dtype=float)[order] - start,
        np.asarray(input_tokens, dtype=np.int64)[order],
        np.asarray(output_tokens, dtype=np.int64)[order],
        name=name,
        **fields,  # type: ignore[arg-type]
    )


def at_rate(trace: Trace, rate_per_s: float) -> Trace:
    """Stretch or squeeze the arrivals so that their mean rate is `rate_per_s`; their pattern stays.

    Args:
        trace: the trace.
        rate_per_s: requests a second [1/s].
    """
    span = trace.duration_s
    if len(trace) < 2 or span <= 0.0:
        raise InputError(f"{trace.name}: needs two arrivals at different times to be scaled to a rate")
    now = (len(trace) - 1) / span
    return replace(trace, arrival_s=trace.arrival_s * (now / rate_per_s))


def scaled_lengths(trace: Trace, input_factor: float, output_factor: float) -> Trace:
    """Scale lengths, at least one token each; prefix blocks are dropped where prompts change.

    Args:
        trace: the trace.
        input_factor: on prompts [1].
        output_factor: on answers [1].
    """
    fresh: dict[str, Ints] = {} if input_factor == 1.0 else {"block_ids": _none(), "block_start": _none()}
    return replace(
        trace,
        input_tokens=np.maximum(np.rint(trace.input_tokens * input_factor), 1).astype(np.int64),
        output_tokens=np.maximum(np.rint(trace.output_tokens * output_factor), 1).astype(np.int64),
        **fresh,  # type: ignore[arg-type]
    )


def resized(trace: Trace, requests: int, *, wrap: bool = True) -> Trace:
    """Cut a trace to `requests`, or repeat it: repeats follow in time and have prefixes of their own.

    Args:
        trace: the trace.
        requests: how many are wanted.
        wrap: repeat where the trace is shorter, instead of an error.

    Raises:
        InputError: the trace is shorter and `wrap` is off, or empty, or its requests follow one another.
    """
    n = len(trace)
    if requests <= n:
        return first(trace, requests)
    if not wrap:
        raise InputError(
            f"{trace.name} has {n} requests, {requests} were asked for; ask for fewer or let it repeat"
        )
    if n == 0 or np.any(np.isnan(trace.arrival_s)):
        raise InputError(f"{trace.name}: cannot be repeated (empty, or requests follow one another)")
    times = -(-requests // n)
    span = trace.duration_s * n / max(n - 1, 1)  # one more mean gap between repeats
    copies = np.repeat(np.arange(times), n)
    fields: dict[str, object] = {}
    if trace.block_start.size:
        ids = int(trace.block_ids.max(initial=-1)) + 1
        fields["block_ids"] = np.concatenate([trace.block_ids + k * ids for k in range(times)])
        lengths = np.tile(np.diff(trace.block_start), times)
        fields["block_start"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if trace.priority.size:
        fields["priority"] = np.tile(trace.priority, times)
    whole = replace(
        trace,
        arrival_s=np.tile(trace.arrival_s, times) + copies * span,
        input_tokens=np.tile(trace.input_tokens, times),
        output_tokens=np.tile(trace.output_tokens, times),
        **fields,  # type: ignore[arg-type]
    )
    return first(whole, requests)


def first(trace: Trace, requests: int) -> Trace:
    """The first requests of a trace.

    Args:
        trace: the trace.
        requests: how many.
    """
    k = min(requests, len(trace))
    fields: dict[str, object] = {
        name: getattr(trace, name)[:k]
        for name in ("arrival_s", "input_tokens", "output_tokens", "priority", "follows", "delay_s")
    }
    if trace.block_start.size:
        fields["block_start"] = trace.block_start[: k + 1]
        fields["block_ids"] = trace.block_ids[: int(trace.block_start[k])]
    return replace(trace, **fields)  # type: ignore[arg-type]


def infinite_cache_reuse(trace: Trace) -> float:
    """Share of prefix blocks that an infinite cache would have, request after request [1].

    Args:
        trace: a trace with prefix blocks.

    Returns:
        Blocks seen before over all blocks; nan without blocks.
    """
    if trace.block_ids.size == 0:
        return float("nan")
    return 1.0 - np.unique(trace.block_ids).size / trace.block_ids.size
