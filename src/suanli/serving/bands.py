"""How sure an estimate is: 90 % bands as factors, from operator errors, framework class and load."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from suanli.serving.framework import ANY, ServingSet

# Factor that nine of ten step times keep when no kernel of the chip itself, or of its family, was measured. The kernel
# fits miss left-out chips of a family by 6 to 11 % and left-out families by 15 to 33 % in the median
# (docs/calibration).
_BASIS = {"calibrated": 1.0, "family": 1.10, "datasheet": 1.7}
# The same of prompts, which products and attention of many rows decide: nine of ten of those kernels on chips of a
# family that was left out keep x/1.45 (products) to x/2.4 (attention; docs/calibration).
_PROMPT_BASIS = {"calibrated": 1.0, "family": 1.15, "datasheet": 2.0}
# Factor for a framework, or for conditions, that no deployment was fitted on.
_UNKNOWN_FRAMEWORK = 1.15
# Sequences of an attention group from which a batch counts as large.
LARGE = 128.0
# Throughput at the largest batch over what it is where the launch leaves a third less or more room to sequences (graph
# sizes, activations, max_num_tokens); own estimate.
_CAPACITY = 1.2
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


def prompt_band(band: float, basis: str) -> float:
    """Factor of the 90 % band of the time of a batch of prompts.

    Args:
        band: of the framework's class, where the kernels are known [1].
        basis: "calibrated", "family" or "datasheet".

    Returns:
        Factor, at least 1 [1].
    """
    return math.exp(math.hypot(math.log(band), math.log(_PROMPT_BASIS[basis])))


def of_deployment(found: ServingSet, framework: str, version: str, model: str) -> tuple[ServingSet, str]:
    """Widen the bands of a framework for a version, or a model, that none of its fitted runs had.

    Args:
        found: constants as found for the framework.
        framework: its name.
        version: of the deployment, "" where not stated.
        model: catalogue id.

    Returns:
        The constants with the deployment's bands, and what is not known in a line; "" where all is.
    """
    if found.framework == ANY:
        name = "no framework was named" if framework == ANY else f"no run of {framework} was fitted"
        return found, f"{name[0].upper()}{name[1:]}: constants of any framework, wider bands."
    values, unknown = found.values, []
    steps, firsts = [], []
    if found.version == ANY:
        unknown.append(f"{framework} {version}" if version else f"{framework} of no stated version")
        steps.append(values.tpot_band_version)
        firsts.append(values.ttft_band_version)
    if _line(model) not in {_line(one) for one in found.models}:
        unknown.append(f"{model} on {framework}")
        steps.append(values.tpot_band_model)
        firsts.append(values.ttft_band_model)
    wide = replace(
        values,
        tpot_band=widened(values.tpot_band, *steps),
        ttft_band=widened(values.ttft_band, *firsts),
    )
    note = f"No run of {' or '.join(unknown)} was fitted: wider bands." if unknown else ""
    return replace(found, values=wide), note


def _line(model: str) -> str:
    """A model's id without its minor version: those of one line and size share a shape (Llama 3, 3.1 and 3.3)."""
    return re.sub(r"(\d)\.\d+", r"\1", model)


def widened(known: float, *others: float) -> float:
    """Factor of a band where more is unknown than it was made for: what each band of others has beyond it is added.

    log w = sqrt(log(k)^2 + sum max(log(o)^2 - log(k)^2, 0))

    Args:
        known: k, band where everything was fitted [1].
        others: o, bands of rows that were predicted without their version, or their model [1].

    Returns:
        Factor, at least the first [1].
    """
    base = math.log(known) ** 2
    return math.exp(math.sqrt(base + sum(max(math.log(other) ** 2 - base, 0.0) for other in others)))


def rate_band(
    rate: float, steps_share: float, tpot: float, ttft: float, crowded: bool
) -> tuple[float, float]:
    """Factors of the 90 % band of throughput, from those of TPOT and TTFT: requests/s are N/(O TPOT + TTFT).

    Args:
        rate: requests or tokens per second [1/s].
        steps_share: share of a request's time that TPOT makes up; waiting for a place does not count [1].
        tpot: band of TPOT [1].
        ttft: band of TTFT [1].
        crowded: whether requests wait for a place: the batch is then what memory holds, as far as we know it.

    Returns:
        Lower and upper end [unit of `rate`].
    """
    rest = 1.0 - steps_share
    slow, fast = steps_share * tpot + rest * ttft, steps_share / tpot + rest / ttft
    room = _CAPACITY if crowded else 1.0
    return rate / math.exp(math.hypot(math.log(slow), math.log(room))), rate * math.exp(
        math.hypot(math.log(fast), math.log(room))
    )


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
