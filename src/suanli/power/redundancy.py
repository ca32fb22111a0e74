"""Redundancy: how far a unit is loaded when all stand, and how often too few stand."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

_WITH_SPARES = re.compile(r"^(\d+)\+(\d+)$")
_SHARED = re.compile(r"^(\d+)N(\d+)$")
_FIXED = {"N": (1, 1), "2N": (1, 2), "2N+1": (1, 2), "2(N+1)": (1, 2)}


def needed_of_installed(scheme: str) -> tuple[int, int]:
    """Return how many units carry the load and how many are installed.

    Args:
        scheme: "N", "2N", "2N+1" (two paths, each N+1), "4+1" (one spare for four), "4N3" (any three of
            four).

    Returns:
        (needed, installed) [1].

    Raises:
        InputError: not a scheme, or "N+1", which does not say how many units N is.
    """
    if scheme in _FIXED:
        return _FIXED[scheme]
    if match := _WITH_SPARES.match(scheme):
        needed, spare = int(match[1]), int(match[2])
        if needed > 0:
            return needed, needed + spare
    if match := _SHARED.match(scheme):
        installed, needed = int(match[1]), int(match[2])
        if 0 < needed <= installed:
            return needed, installed
    if scheme.startswith("N+"):
        raise InputError(f'redundancy "{scheme}": say how many units N is, such as "4{scheme[1:]}"')
    raise InputError(f'redundancy "{scheme}" is not known; use N, 2N, 2N+1, K+S such as 4+1, or 4N3')


def unit_load_max(scheme: str) -> float:
    """Load fraction of every unit when all stand, at the design load: needed / installed [1]."""
    needed, installed = needed_of_installed(scheme)
    return needed / installed


def availability(
    needed: int, installed: int, unit_availability: ArrayLike, common_cause: ArrayLike = 0.0
) -> Array:
    """Probability that at least `needed` of `installed` equal units stand, with common-cause failures.

    A unit's unavailability U is split: beta U takes all units at once, (1 - beta) U strikes each alone.
    A = (1 - beta U) sum over i >= k of C(n, i) p^i (1 - p)^(n - i), p = 1 - (1 - beta) U.
    Without beta the figures of 2N are too good to be believed.

    Args:
        needed: k, units that carry the load [1].
        installed: n [1].
        unit_availability: 1 - U [1].
        common_cause: beta, share of a unit's unavailability that all units share [1].

    Returns:
        Availability of the group [1].

    Raises:
        InputError: not 1 <= needed <= installed.

    Reference: beta-factor model, IEC 61508-6 annex D.
    """
    if not 1 <= needed <= installed:
        raise InputError(f"availability: needed = {needed} must lie between 1 and installed = {installed}")
    down = 1.0 - np.asarray(unit_availability, dtype=float)
    alone = (1.0 - np.asarray(common_cause)) * down
    # Failures are summed, not successes: the answer is so near 1 that 1 - (small) keeps the digits.
    failed = sum(
        math.comb(installed, i) * (1.0 - alone) ** i * alone ** (installed - i) for i in range(needed)
    )
    return np.asarray((1.0 - np.asarray(common_cause) * down) * (1.0 - failed))
