"""A system that is bought as one thing: an 8-GPU server, an NVL72 rack, a CloudMatrix 384 supernode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class System:
    """A server, rack or supernode.

    Attributes:
        id: catalogue id.
        chips: accelerators in it [1].
        power_max_w: largest power at the AC input, chips included [W].
        racks: racks that one system fills; below 1 where several share a rack [1].
    """

    id: str
    chips: int
    power_max_w: Num
    racks: Num


def system_power_w(
    system: System,
    chip_tdp_w: ArrayLike,
    chip_activity: ArrayLike,
    chip_idle_share: ArrayLike,
    other_activity: ArrayLike,
) -> Array:
    """Power of a system at work: P = n (i + (1 - i) a) TDP + o max(P_max - n TDP, 0).

    The first term is the chips, between idle and TDP by their activity; the second is everything else (hosts,
    memory, NICs, fans, power supplies), which the vendor's maximum covers at its worst case.

    Args:
        system: the system; n chips and P_max [W].
        chip_tdp_w: TDP, power of one chip at its limit [W].
        chip_activity: a, share of the span between idle and TDP that the work draws [1].
        chip_idle_share: i, idle power over TDP [1].
        other_activity: o, share of the rest's maximum that it draws at work [1].

    Returns:
        Power at the system's AC input [W].
    """
    chips = system.chips * np.asarray(chip_tdp_w, dtype=float)
    idle = np.asarray(chip_idle_share, dtype=float)
    share = idle + (1.0 - idle) * np.asarray(chip_activity, dtype=float)
    other = np.maximum(np.asarray(system.power_max_w) - chips, 0.0) * np.asarray(other_activity, dtype=float)
    return np.asarray(chips * share + other)


def systems_per_rack(
    system_power_max_w: ArrayLike, height_m: ArrayLike, rack_power_w: ArrayLike, rack_height_m: float
) -> Array:
    """How many systems one rack takes: the smaller of the power and the height limit, at least one.

    Args:
        system_power_max_w: power that must be reserved for one system [W].
        height_m: height of one system [m].
        rack_power_w: power that one rack can feed and cool [W].
        rack_height_m: usable height of one rack [m].

    Returns:
        Systems per rack [1].
    """
    by_power = np.floor(np.asarray(rack_power_w, dtype=float) / system_power_max_w)
    by_height = np.floor(rack_height_m / np.asarray(height_m, dtype=float))
    return np.maximum(np.minimum(by_power, by_height), 1.0)
