"""A day of tokens: request lengths and mean rates from the totals that services publish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class TokenDemand:
    """Mean rates over the day and the mean request.

    Attributes:
        requests_per_day: requests a day [1].
        input_tokens: mean prompt length, cached part included [token].
        output_tokens: mean answer length [token].
        context_tokens: mean KV length while decoding [token].
        prefill_tokens_per_s: input that is not in a cache and must be computed [token/s].
        cached_tokens_per_s: input that a prefix cache answers [token/s].
        decode_tokens_per_s: output [token/s].
    """

    requests_per_day: Array
    input_tokens: Array
    output_tokens: Array
    context_tokens: Array
    prefill_tokens_per_s: Array
    cached_tokens_per_s: Array
    decode_tokens_per_s: Array


def token_demand(
    input_tokens_per_day: ArrayLike,
    output_tokens_per_day: ArrayLike,
    cache_hit_share: ArrayLike,
    *,
    mean_context_tokens: ArrayLike | None = None,
    mean_input_tokens: ArrayLike | None = None,
    mean_output_tokens: ArrayLike | None = None,
) -> TokenDemand:
    """Derive requests and rates from a day's totals.

    While a request decodes, its KV length grows from I to I + O, so the mean KV length per output token is
    C = I + O/2. With O/I fixed by the totals, I = C / (1 + out/(2 in)) where only C is known.

    Args:
        input_tokens_per_day: input tokens a day, cached ones included [token].
        output_tokens_per_day: output tokens a day [token].
        cache_hit_share: share of input tokens found in a prefix cache [1].
        mean_context_tokens: C, mean KV length per output token [token]; used where no prompt length is given.
        mean_input_tokens: I, mean prompt length [token].
        mean_output_tokens: O, mean answer length [token]; from the totals where not given.

    Returns:
        Rates in token/s and lengths in token, broadcast over the arguments.

    Raises:
        ValueError: neither a context nor a prompt length is given.
    """
    inputs, outputs, hit = (
        np.asarray(x, dtype=float) for x in (input_tokens_per_day, output_tokens_per_day, cache_hit_share)
    )
    ratio = outputs / inputs
    if mean_input_tokens is not None:
        prompt = np.asarray(mean_input_tokens, dtype=float)
    elif mean_context_tokens is not None:
        prompt = np.asarray(mean_context_tokens, dtype=float) / (1.0 + 0.5 * ratio)
    else:
        raise ValueError("token_demand needs mean_context_tokens or mean_input_tokens")
    answer = prompt * ratio if mean_output_tokens is None else np.asarray(mean_output_tokens, dtype=float)
    context = (
        prompt + 0.5 * answer if mean_context_tokens is None else np.asarray(mean_context_tokens, dtype=float)
    )
    return TokenDemand(
        requests_per_day=inputs / prompt,
        input_tokens=prompt,
        output_tokens=answer,
        context_tokens=context,
        prefill_tokens_per_s=inputs * (1.0 - hit) / SECONDS_PER_DAY,
        cached_tokens_per_s=inputs * hit / SECONDS_PER_DAY,
        decode_tokens_per_s=outputs / SECONDS_PER_DAY,
    )
