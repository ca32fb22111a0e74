"""Revenue of tokens by kind, and margins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.economics.money import Parts

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Prices of tokens [USD/token].

    Attributes:
        input_hit: input found in the prefix cache.
        input_miss: input that must be computed.
        output: output.
    """

    input_hit: ArrayLike
    input_miss: ArrayLike
    output: ArrayLike


@dataclass(frozen=True, slots=True)
class Revenue(Parts):
    """Revenue by kind of token [USD/s], or [USD] over a period."""

    input_hit: ArrayLike
    input_miss: ArrayLike
    output: ArrayLike


def token_revenue(
    prices: TokenPrices,
    *,
    input_tokens: ArrayLike,
    cache_hit_share: ArrayLike,
    output_tokens: ArrayLike,
    paid_share: ArrayLike = 1.0,
) -> Revenue:
    """Revenue at list prices: hits, misses and output, each tokens x price x share that is paid for.

    Args:
        prices: by kind [USD/token].
        input_tokens: input tokens of a period or rate, hits included [token or token/s].
        cache_hit_share: share of input tokens found in the cache [1].
        output_tokens: output tokens of the same period or rate [token or token/s].
        paid_share: tokens paid at these prices over all tokens (free use, discounts) [1].

    Returns:
        Revenue by kind [USD or USD/s].
    """
    given, hits = _array(input_tokens) * _array(paid_share), _array(cache_hit_share)
    return Revenue(
        input_hit=given * hits * _array(prices.input_hit),
        input_miss=given * (1.0 - hits) * _array(prices.input_miss),
        output=_array(output_tokens) * _array(paid_share) * _array(prices.output),
    )


def margin_on_cost(revenue: ArrayLike, cost: ArrayLike) -> Array:
    """Profit over cost: revenue/cost - 1 (DeepSeek's "cost profit margin").

    Args:
        revenue: [USD or USD/s].
        cost: in the same unit [USD or USD/s]; NaN results where it is 0.

    Returns:
        Margin [1].
    """
    return _ratio(_array(revenue) - _array(cost), _array(cost))


def margin_on_revenue(revenue: ArrayLike, cost: ArrayLike) -> Array:
    """Profit over revenue: 1 - cost/revenue (the usual margin of accounts).

    Args:
        revenue: [USD or USD/s]; NaN results where it is 0.
        cost: in the same unit [USD or USD/s].

    Returns:
        Margin [1].
    """
    return _ratio(_array(revenue) - _array(cost), _array(revenue))


def _ratio(over: Array, under: Array) -> Array:
    safe = np.where(under == 0.0, 1.0, under)
    return np.where(under == 0.0, np.nan, over / safe)


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
