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
        rf: requests, floats.
        ri: requests, integers.
        pf: replicas, floats.
        pi: replicas, integers.
        gf: the whole, floats.
        gi: the whole, integers.
        work: per replica: finish heap, KV phases, waiting lists, chunks and joiners of the step.
        step_s: [deployment, tokens] time of a step without attention to earlier tokens [s].
        read_s: [deployment, batch] decode attention time per KV token [s].
        power_w: [deployment, tokens] power while such a step runs [W].
        heap: replicas, heap-ordered by their next event.
        ef: event heap, times [s].
        ei: event heap, requests.
        draws: uniform numbers for the router.
        fails: per replica: times between failures and of repairs, in turn [s].
        ids: prefix blocks of all requests.
        cn: nodes of the prefix caches.
        ch: hash table of (block, cache): key and node.
        cl: least and most recently used node of each list.
        cf: caches.
        tf: tiers.
        sf: time series.
        itl: histogram of inter-token latency.
        lf: log of steps.
    """

    rf: Floats
    ri: Ints
    pf: Floats
    pi: Ints
    gf: Floats
    gi: Ints
    work: Ints
    step_s: Floats
    read_s: Floats
    power_w: Floats
    heap: Ints
    ef: Floats
    ei: Ints
    draws: Floats
    fails: Floats
    ids: Ints
    cn: Ints
    ch: Ints
    cl: Ints
    cf: Floats
    tf: Floats
    sf: Floats
    itl: Floats
    lf: Floats
