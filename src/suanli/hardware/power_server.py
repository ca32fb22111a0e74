"""Wall power of a server: accelerators, host, network cards and fans, through the power supplies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ServerCoefficients:
    """How a server's rest scales with its accelerators.

    Attributes:
        host_w_per_chip: processors, memory, switch chips, disks and board, per accelerator [W].
        nic_w: one network card [W].
        fan_share: fans at full speed over the accelerators' total TDP; 0 for a liquid-cooled server [1].
        supply_oversize: rating of all power supplies over the accelerators' total TDP [1].
        supply_at_10, supply_at_20, supply_at_50, supply_at_100: efficiency of the supplies at these per cent of
            their rating [1].
    """

    host_w_per_chip: float = 161.0
    nic_w: float = 25.0
    fan_share: float = 0.15
    supply_oversize: float = 3.5
    supply_at_10: float = 0.90
    supply_at_20: float = 0.94
    supply_at_50: float = 0.96
    supply_at_100: float = 0.91


@dataclass(frozen=True, slots=True)
class ServerPower:
    """Wall power of a server, split. All [W].

    Attributes:
        chips_w: accelerators.
        host_w: processors, memory, switch chips, disks, board.
        nics_w: network cards.
        fans_w: fans.
        supply_loss_w: loss in the power supplies.
    """

    chips_w: Array
    host_w: Array
    nics_w: Array
    fans_w: Array
    supply_loss_w: Array

    @property
    def wall_w(self) -> Array:
        """Power at the AC input [W]."""
        return np.asarray(self.chips_w + self.host_w + self.nics_w + self.fans_w + self.supply_loss_w)


def server_power(
    chip_w: ArrayLike,
    chips: ArrayLike,
    chip_tdp_w: ArrayLike,
    nics: ArrayLike,
    coefficients: ServerCoefficients,
) -> ServerPower:
    """Wall power of a server of equal accelerators.

    Formula: P_dc = n P_chip + n host + nics nic + fans, fans = F (heat/heat_max)^3 with heat all but the fans and
    heat_max the same at TDP (affinity law: flow goes with heat, power with flow cubed), P_wall = P_dc/eta(P_dc/S).

    Args:
        chip_w: mean power of one accelerator [W].
        chips: n, accelerators in the server [1].
        chip_tdp_w: thermal design power of one accelerator [W].
        nics: network cards in the server [1].
        coefficients: of the server.

    Returns:
        The split, broadcast over the arguments.

    Raises:
        InputError: a power or count is negative, or the accelerators draw more than their TDP.

    Reference:
        Fan affinity laws; 80 PLUS certification points for the supplies.
    """
    chips_w, full_w = (
        np.asarray(chips, dtype=float) * w for w in (np.asarray(chip_w, dtype=float), chip_tdp_w)
    )
    if np.any(chips_w < 0.0) or np.any(full_w <= 0.0) or np.any(np.asarray(nics) < 0):
        raise InputError(
            "accelerator power, their number and the number of network cards must not be negative"
        )
    if np.any(chips_w > full_w * 1.02):
        raise InputError("the accelerators draw more than their TDP")
    host_w = np.asarray(chips, dtype=float) * coefficients.host_w_per_chip
    nics_w = np.asarray(nics, dtype=float) * coefficients.nic_w
    heat = (chips_w + host_w + nics_w) / (full_w + host_w + nics_w)
    fans_w = coefficients.fan_share * full_w * np.minimum(heat, 1.0) ** 3
    dc_w = chips_w + host_w + nics_w + fans_w
    loss_w = dc_w * (
        1.0 / supply_efficiency(dc_w / (coefficients.supply_oversize * full_w), coefficients) - 1.0
    )
    parts = np.broadcast_arrays(chips_w, host_w, nics_w, fans_w, loss_w)
    return ServerPower(*(np.asarray(part, dtype=float) for part in parts))


def supply_efficiency(load: ArrayLike, coefficients: ServerCoefficients) -> Array:
    """Efficiency of the power supplies at a share of their rating, linear between the four points.

    Args:
        load: output over the rating of all supplies that share it [1].
        coefficients: the four points.

    Returns:
        Efficiency; below 10 % of the rating that of 10 % [1].

    Reference:
        80 PLUS Titanium, 230 V internal redundant: 90, 94, 96, 91 % at 10, 20, 50, 100 % load.
    """
    points = [getattr(coefficients, f"supply_at_{percent}") for percent in (10, 20, 50, 100)]
    return np.asarray(np.interp(np.asarray(load, dtype=float), (0.1, 0.2, 0.5, 1.0), points))
