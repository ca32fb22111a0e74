"""Power of one accelerator from what it does: idle, kernels at work, arithmetic, memory and links, under a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

# Rounding of published rates and peaks may carry a share this far above one.
_SLACK = 1e-3


@dataclass(frozen=True, slots=True)
class Activity:
    """What a chip does over a stretch of time: a prompt, a decode step, an hour.

    Attributes:
        compute: matrix operations that the kernels execute (row tiles rounded up) over peak x time [1].
        memory: bytes of device memory moved over bandwidth x time [1].
        link: bytes sent to other chips over the scale-up bandwidth (one direction) x time [1].
        busy: share of the time in which a kernel runs; the rest waits for the host or for requests [1].
    """

    compute: ArrayLike = 0.0
    memory: ArrayLike = 0.0
    link: ArrayLike = 0.0
    busy: ArrayLike = 1.0


@dataclass(frozen=True, slots=True)
class PowerCoefficients:
    """How a chip family draws power; a None of the energies falls back to the share beside it.

    Attributes:
        idle_share: idle power over TDP, used where the chip's own is not known [1].
        busy_share: demand of a running kernel that neither computes nor moves, over TDP - idle [1].
        compute_j_per_flop: energy of a 16-bit operation, with its data movement on the chip [J/FLOP].
        memory_j_per_byte: energy to move a byte of device memory, with its way through the chip [J/byte].
        link_j_per_byte: energy to send a byte to another chip and receive one [J/byte].
        compute_share: demand at full 16-bit peak over TDP - idle, for chips without a family [1].
        memory_share: demand at full memory bandwidth over TDP - idle, for chips without a family [1].
        link_share: demand at full link bandwidth over TDP - idle, for chips without a family [1].
        limit_exponent: k of speed ~ (power above idle)^k under a power limit [1].
    """

    idle_share: float = 0.12
    busy_share: float = 0.2
    compute_j_per_flop: float | None = None
    memory_j_per_byte: float | None = None
    link_j_per_byte: float | None = None
    compute_share: float = 9.3
    memory_share: float = 1.28
    link_share: float = 0.07
    limit_exponent: float = 0.54


@dataclass(frozen=True, slots=True)
class AcceleratorPower:
    """The power law of one chip; demands are what it would draw above idle if no limit held it back.

    Attributes:
        tdp_w: thermal design power, the factory limit [W].
        idle_w: power with nothing running [W].
        busy_w: demand of a kernel that runs [W].
        compute_w: further demand at full peak [W].
        memory_w: further demand at full memory bandwidth [W].
        link_w: further demand at full link bandwidth [W].
        limit_exponent: k of `limited_speed` [1].
    """

    tdp_w: ArrayLike
    idle_w: ArrayLike
    busy_w: ArrayLike
    compute_w: ArrayLike
    memory_w: ArrayLike
    link_w: ArrayLike
    limit_exponent: ArrayLike = 0.54


def activity_from_rates(
    done_flop_per_s: ArrayLike,
    peak_flop_per_s: ArrayLike,
    memory_bytes_per_s: ArrayLike,
    memory_bandwidth_bytes_per_s: ArrayLike,
    link_bytes_per_s: ArrayLike = 0.0,
    link_bandwidth_bytes_per_s: ArrayLike = 1.0,
    busy: ArrayLike = 1.0,
) -> Activity:
    """Shares of a chip's peaks that given rates use: each is rate over peak.

    One operation in a wider or narrower number format costs energy in proportion to 1/peak (FP8 half of BF16), so
    work in several formats adds up: pass the sum of FLOP/peak and a peak of 1.

    Args:
        done_flop_per_s: operations that the chip executes in a second [FLOP/s].
        peak_flop_per_s: its dense peak in the same number format [FLOP/s].
        memory_bytes_per_s: bytes of device memory moved in a second [byte/s].
        memory_bandwidth_bytes_per_s: device memory bandwidth [byte/s].
        link_bytes_per_s: bytes sent to other chips in a second [byte/s].
        link_bandwidth_bytes_per_s: scale-up bandwidth, one direction [byte/s].
        busy: share of the time in which a kernel runs [1].

    Returns:
        The activity.

    Raises:
        InputError: a rate is negative or above its peak, a peak is not above 0, or busy is outside 0 to 1.
    """
    shares = []
    for name, rate, peak in (
        ("operations", done_flop_per_s, peak_flop_per_s),
        ("memory traffic", memory_bytes_per_s, memory_bandwidth_bytes_per_s),
        ("link traffic", link_bytes_per_s, link_bandwidth_bytes_per_s),
    ):
        if np.any(np.asarray(peak) <= 0.0):
            raise InputError(f"the peak of {name} must be above 0")
        shares.append(np.asarray(np.asarray(rate, dtype=float) / peak))
    activity = Activity(shares[0], shares[1], shares[2], busy)
    _check(activity)
    return activity


def accelerator_power(
    coefficients: PowerCoefficients,
    tdp_w: ArrayLike,
    peak_flop_per_s: ArrayLike,
    memory_bandwidth_bytes_per_s: ArrayLike,
    link_bandwidth_bytes_per_s: ArrayLike | None = None,
    idle_w: ArrayLike | None = None,
) -> AcceleratorPower:
    """The power law of a chip from its datasheet and its family's coefficients.

    Formula: a demand at full use is energy x peak where the family's energies are known, else share x (TDP - idle):
    chips of one family share silicon, so an H20 with 15 % of the H100's peak has 15 % of its compute demand.

    Args:
        coefficients: of the family, or the generic prior.
        tdp_w: thermal design power [W].
        peak_flop_per_s: dense 16-bit peak (BF16 or FP16) [FLOP/s].
        memory_bandwidth_bytes_per_s: device memory bandwidth [byte/s].
        link_bandwidth_bytes_per_s: scale-up bandwidth, one direction; None: link use is priced by share [byte/s].
        idle_w: power with nothing running; None: idle_share x TDP [W].

    Returns:
        The power law.

    Raises:
        InputError: idle power is not below TDP, or TDP is not above 0.
    """
    tdp = np.asarray(tdp_w, dtype=float)
    idle = coefficients.idle_share * tdp if idle_w is None else np.asarray(idle_w, dtype=float)
    if np.any(tdp <= 0.0) or np.any(idle >= tdp) or np.any(idle < 0.0):
        raise InputError("idle power must be between 0 and TDP, and TDP above 0")
    room = tdp - idle

    def demand(energy: float | None, peak: ArrayLike | None, share: float) -> Array:
        return np.asarray(
            share * room if energy is None or peak is None else energy * np.asarray(peak, dtype=float)
        )

    return AcceleratorPower(
        tdp_w=tdp,
        idle_w=idle,
        busy_w=coefficients.busy_share * room,
        compute_w=demand(coefficients.compute_j_per_flop, peak_flop_per_s, coefficients.compute_share),
        memory_w=demand(
            coefficients.memory_j_per_byte, memory_bandwidth_bytes_per_s, coefficients.memory_share
        ),
        link_w=demand(coefficients.link_j_per_byte, link_bandwidth_bytes_per_s, coefficients.link_share),
        limit_exponent=coefficients.limit_exponent,
    )


def accelerator_power_w(
    activity: Activity, chip: AcceleratorPower, limit_w: ArrayLike | None = None
) -> Array:
    """Mean power of one chip at work: P = idle + f R (1 - exp(-D/(f R))), at most the limit.

    D = f busy_w + c compute_w + m memory_w + l link_w is what the work would draw above idle at full clocks, f the
    share of time in which kernels run (at least the largest share: nothing moves without one), R = min(TDP, limit) -
    idle the room below the limit. At little work each
    FLOP and byte costs its energy (P = idle + D); near the limit clocks and voltage give way and the curve bends.

    Args:
        activity: shares of the peaks; at full speed, or as reached under the limit.
        chip: its power law.
        limit_w: power limit set below TDP (nvidia-smi -pl); None: TDP [W].

    Returns:
        Power, between idle and the limit [W].

    Raises:
        InputError: a share is outside 0 to 1, or the limit is not above idle power.
    """
    _check(activity)
    room = _room(chip, limit_w)
    shares = (activity.busy, activity.compute, activity.memory, activity.link)
    busy = np.asarray(np.maximum.reduce(np.broadcast_arrays(*shares)), dtype=float)
    demand = busy * chip.busy_w + np.asarray(activity.compute, dtype=float) * chip.compute_w
    demand = demand + np.asarray(activity.memory, dtype=float) * chip.memory_w
    demand = demand + np.asarray(activity.link, dtype=float) * chip.link_w
    span = busy * room
    load = np.divide(
        demand, span, out=np.zeros(np.broadcast_shapes(demand.shape, span.shape)), where=span > 0.0
    )
    return np.asarray(np.asarray(chip.idle_w, dtype=float) - span * np.expm1(-load))


def limited_speed(chip: AcceleratorPower, limit_w: ArrayLike) -> Array:
    """Speed of work that fills the power limit, over its speed at TDP: s = ((limit - idle)/(TDP - idle))^k.

    This is the slowdown of compute-bound work; work that stays below the limit is not slowed at all, and memory-bound
    work less than this, because the memory clock is not lowered.

    Args:
        chip: its power law.
        limit_w: power limit [W].

    Returns:
        Speed, 0 to 1 [1].

    Raises:
        InputError: the limit is not above idle power.
    """
    return np.asarray(
        (_room(chip, limit_w) / _room(chip, None)) ** np.asarray(chip.limit_exponent, dtype=float)
    )


def activity_share(power_w: ArrayLike, chip: AcceleratorPower) -> Array:
    """Where a power lies between idle (0) and TDP (1): a = (P - idle)/(TDP - idle).

    Args:
        power_w: power of the chip [W].
        chip: its power law.

    Returns:
        Share [1].
    """
    above_w = np.asarray(power_w, dtype=float) - np.asarray(chip.idle_w, dtype=float)
    return np.asarray(above_w / _room(chip, None))


def _room(chip: AcceleratorPower, limit_w: ArrayLike | None) -> Array:
    limit = np.asarray(chip.tdp_w, dtype=float)
    if limit_w is not None:
        limit = np.minimum(limit, limit_w)
    room = np.asarray(limit - np.asarray(chip.idle_w, dtype=float))
    if np.any(room <= 0.0):
        raise InputError("the power limit must be above the chip's idle power")
    return room


def _check(activity: Activity) -> None:
    for name in ("compute", "memory", "link", "busy"):
        share = np.asarray(getattr(activity, name), dtype=float)
        if np.any(~(share >= 0.0)) or np.any(share > 1.0 + _SLACK):
            raise InputError(
                f"{name}: a share of the peak must be 0 to 1, got {np.min(share):.4g} to {np.max(share):.4g}"
            )
