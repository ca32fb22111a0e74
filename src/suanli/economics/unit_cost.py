"""Cost of a token, by part: capital and running cost shared out to input and output by busy chip-time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.economics.capex import Capex
from suanli.economics.opex import Opex

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UnitCost:
    """Cost of tokens.

    Attributes:
        total_usd_per_s: all cost [USD/s].
        prefill_share: share that input tokens carry [1].
        input_parts: cost of an input token by part [USD/token].
        output_parts: cost of an output token by part [USD/token].
    """

    total_usd_per_s: Array
    prefill_share: Array
    input_parts: dict[str, Array]
    output_parts: dict[str, Array]

    @property
    def input_usd_per_token(self) -> Array:
        """Cost of an input token [USD/token]; NaN where there is no input."""
        return np.asarray(sum(self.input_parts.values(), start=np.zeros(())))

    @property
    def output_usd_per_token(self) -> Array:
        """Cost of an output token [USD/token]; NaN where there is no output."""
        return np.asarray(sum(self.output_parts.values(), start=np.zeros(())))


def unit_cost(
    capital: Capex,
    running: Opex,
    *,
    prefill_chips: ArrayLike,
    decode_chips: ArrayLike,
    input_tokens_per_s: ArrayLike,
    output_tokens_per_s: ArrayLike,
) -> UnitCost:
    """Cost of input and output tokens.

    The rule: every part of the cost, idle time included, is shared out by busy chip-time: s = P/(P + D) goes
    to input, with P and D the mean numbers of chips busy with prefill and with decode, the rest to output.
    input = s C/(input tokens), output = (1 - s) C/(output tokens), so that all tokens together pay all cost.

    Args:
        capital: depreciation or annuity by part [USD/s].
        running: running cost by part [USD/s].
        prefill_chips: P, chips busy with prefill, mean over the period [1].
        decode_chips: D, chips busy with decode, mean over the period [1].
        input_tokens_per_s: input that shares the cost: all of it, or what no cache answered [token/s].
        output_tokens_per_s: output tokens [token/s].

    Returns:
        Cost by part of an input and an output token; NaN where the tokens are 0.
    """
    prefill, decode = _array(prefill_chips), _array(decode_chips)
    share = _ratio(prefill, prefill + decode)
    parts = {**capital.items(), **running.items()}
    input_weight = _ratio(share, _array(input_tokens_per_s))
    output_weight = _ratio(1.0 - share, _array(output_tokens_per_s))
    return UnitCost(
        total_usd_per_s=np.asarray(capital.total + running.total),
        prefill_share=share,
        input_parts={name: np.asarray(part * input_weight) for name, part in parts.items()},
        output_parts={name: np.asarray(part * output_weight) for name, part in parts.items()},
    )


def _ratio(over: Array, under: Array) -> Array:
    safe = np.where(under == 0.0, 1.0, under)
    return np.where(under == 0.0, np.nan, over / safe)


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
