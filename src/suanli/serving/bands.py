"""How sure an estimate is: 90 % bands as factors, from operator errors, framework class and load."""

from __future__ import annotations

import math

# Factor that nine of ten step times keep when no kernel of the chip itself, or of its family, was measured. The kernel
# fits miss left-out chips of a family by 6 to 11 % and left-out families by 15 to 33 % in the median
# (docs/calibration).
_BASIS = {"calibrated": 1.0, "family": 1.10, "datasheet": 1.7}
# Factor for a framework, or for conditions, that no deployment was fitted on.
_UNKNOWN_FRAMEWORK = 1.15
# Beyond this share of time spent on prompts, and of KV in use, small errors decide between milliseconds and tens of
# seconds of queueing.
_BUSY = 0.8
_FULL = 0.9


def step_band(tpot_band: float, basis: str, known_framework: bool) -> float:
    """Factor of the 90 % band of a step time or TPOT: root of the sum of squared logarithms.

    Args:
        tpot_band: of the framework's class, where the kernels are known [1].
        basis: "calibrated", "family" or "datasheet".
        known_framework: whether constants were fitted for the framework.

    Returns:
        Factor, at least 1 [1].
    """
    parts = [math.log(tpot_band), math.log(_BASIS[basis])]
    if not known_framework:
        parts.append(math.log(_UNKNOWN_FRAMEWORK))
    return math.exp(math.hypot(*parts))


def ttft_band(base: float, step: float, prefill_share: float, memory_share: float) -> float:
    """Factor of the 90 % band of the loaded TTFT, wider near saturation.

    Args:
        base: of the framework's class away from saturation [1].
        step: band of a step time [1].
        prefill_share: share of time that prompts take [1].
        memory_share: clients over the sequences that fit [1].

    Returns:
        Factor, at least 1 [1].
    """
    busy = max(prefill_share - _BUSY, 0.0) / (1.0 - _BUSY)
    full = min(max(memory_share - _FULL, 0.0) / (1.0 - _FULL), 2.0)
    return math.exp(
        math.hypot(math.log(base) * (1.0 + 0.5 * busy + 0.5 * full), math.log(step) - math.log(1.0))
    )
