"""The arrays that the event loop works on, as one named tuple."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class State(NamedTuple):
    """Everything the loop reads and writes; columns are named in `columns`.

    Attributes:
        rf: requests, floats; also the event heap's times and the router's draws.
        ri: requests, integers; also the event heap's requests.
        pf: replicas, floats.
        pi: replicas, integers; behind the named columns finish heap, KV phases, waiting lists and the step's requests.
        gf: the whole, floats.
        gi: the whole, integers.
        tables: five rows a deployment, by whole numbers: time of a step of n tokens without attention to earlier
            tokens [s], decode attention time per KV token at batch b [s], power of a step of n tokens [W], decode
            attention time at batch b without any KV [s], the groups' own part of the first [s].
        ids: prefix blocks of all requests.
        cn: nodes, hash table and lists of the prefix caches.
        tf: tiers, and behind them caches.
        rec: time series, histogram of inter-token latency, log of steps.
    """

    rf: Floats
    ri: Ints
    pf: Floats
    pi: Ints
    gf: Floats
    gi: Ints
    tables: Floats
    ids: Ints
    cn: Ints
    tf: Floats
    rec: Floats


class LeanState(NamedTuple):
    """The arrays of a state without those of prefix caches: every function that takes a state unpacks all of them."""

    rf: Floats
    ri: Ints
    pf: Floats
    pi: Ints
    gf: Floats
    gi: Ints
    tables: Floats
    rec: Floats

    @classmethod
    def of(cls, state: State) -> LeanState:
        """Return the same arrays, shared."""
        return cls(*(getattr(state, name) for name in cls._fields))
