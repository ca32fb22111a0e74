"""Every parallel layout that a replica of a model can have, and the loads that it is tried at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.llm import Model, Sharding, check_sharding
from suanli.serving.accelerator import Accelerator
from suanli.serving.engine import with_redundant_experts
from suanli.serving.layout import Placement

# A host holds this many accelerators; chips without a scale-up network are still tied together inside it.
HOST_CHIPS = 8
# Loads of a layout: every number up to 20, then each this many times the last.
_STEP = 1.05
_DENSE = 20
# Hosts of an attention group's replica beside powers of 2: 9 hosts of 8 are a rack of 72, 3 and 5 parts of supernodes.
_ODD_HOSTS = (3, 5, 9)


def layouts(model: Model, chip: Accelerator, n_chips: int, ranks: int = 1) -> Iterator[Placement]:
    """Yield every legal layout of a replica of up to n_chips chips.

    Tensor parallelism, stages and attention groups are powers of 2; tensor parallelism reaches over at most two
    scale-up domains, because an all-reduce a layer over the network costs more than any gain. Experts lie whole on the
    chips (ep = tp x dp), or are cut over all of them (ep = 1) inside one domain. Groups may also be as many as divide
    the experts in whole hosts (384 experts: 24, 48, 96 ...), or 3, 5 and 9 times a power of 2 of hosts, as supernodes
    and whole services have them (72, 144, 160): copies of experts then let all ranks hold equally many.

    Args:
        model: the model.
        chip: the accelerator; its scale-up domain counts.
        n_chips: chips that there are [1].
        ranks: of them that come in one package; replicas fill packages, or packages hold whole replicas [1].

    Returns:
        Layouts with one replica each, smallest first.
    """
    reach = max(chip.domain, HOST_CHIPS * ranks)
    found = []
    for tp in _powers(min(2 * reach, n_chips)):
        for dp in _groups(model, n_chips // tp):
            for ep in _experts(model, tp, dp, reach):
                if _legal(model, Sharding(tp, dp, ep)):
                    stages = _powers(min(n_chips // (tp * dp), model.layer_count, 32))
                    found += [Placement(tp, pp, dp, ep) for pp in stages]
    found = [one for one in found if one.chips % ranks == 0 or ranks % one.chips == 0]
    return iter(sorted(found, key=lambda one: (one.chips, one.pp, one.dp, one.ep)))


def _powers(most: int) -> list[int]:
    return [1 << exponent for exponent in range(most.bit_length())] if most >= 1 else []


def _groups(model: Model, most: int) -> list[int]:
    experts = model.experts_per_layer
    if not experts:
        return [1]
    whole = [dp for dp in range(HOST_CHIPS, min(most, experts) + 1, HOST_CHIPS) if experts % dp == 0]
    copied = (odd * HOST_CHIPS * even for odd in _ODD_HOSTS for even in _powers(most))
    return sorted({*_powers(most), *whole, *(dp for dp in copied if dp <= min(most, experts))})


def copies(model: Model, ep: int) -> int:
    """Return the copies of experts that let `ep` ranks hold equally many, as engines add them [1]."""
    experts = model.experts_per_layer
    return -experts % ep if 1 < ep <= experts else 0


def _experts(model: Model, tp: int, dp: int, reach: int) -> list[int]:
    if not model.experts_per_layer:
        return [1]
    return ([1] if tp * dp <= reach else []) + ([tp * dp] if tp * dp > 1 else [])


def _legal(model: Model, sharding: Sharding) -> bool:
    try:
        check_sharding(with_redundant_experts(model, copies(model, sharding.ep)), sharding)
    except InputError:
        return False
    return True


def loads(capacity: float) -> NDArray[np.float64]:
    """Return the numbers of requests that a replica is tried at, from 1 to what it can hold.

    The steps depend on nothing else, so that a looser objective is tried at all loads of a tighter one, and more.

    Args:
        capacity: requests that the replica can run at a time [1].
    """
    most = int(capacity)
    if most < 1:
        return np.zeros(0)
    points, value = list(range(1, min(most, _DENSE) + 1)), float(_DENSE)
    while points[-1] < most:
        value *= _STEP
        points.append(min(int(value), most))
    return np.asarray(points, dtype=float)
