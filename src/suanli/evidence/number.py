"""A printed number and what its digits leave open."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_DIGITS = re.compile(r"^[-+]?(\d[\d,_]*)?(?:\.(\d*))?(?:[eE]([-+]?\d+))?$")
_SMALL = 10.0
_LARGE = 1e5  # from here on reports write 万 and 亿, and the zeros are not digits
_LARGE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Number:
    """A value as printed, with half a unit of its last place.

    `half` trusts trailing zeros of integers ("50" is 50 +- 0.5); `loose` does not ("1500" is 1500 +- 50).
    """

    value: float
    half: float = 0.0
    loose: float = 0.0


def number(text: str, *, exact: bool = False) -> Number | None:
    """Read a printed number; None where the text is no number.

    Args:
        text: digits as printed, "557.6", "278.8e4", "1,234".
        exact: a count or a definition: its digits leave nothing open.

    Returns:
        The value with half a unit of the last place [same unit].
    """
    match = _DIGITS.match(text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    value = float(text.replace(",", "").replace("_", ""))
    if not math.isfinite(value):
        return None
    if exact:
        return Number(value)
    whole, decimals, exponent = match[1] or "", match[2], int(match[3] or 0)
    if decimals and not (abs(value) >= _LARGE and set(decimals) == {"0"}):
        half = 0.5 * 10.0 ** (exponent - len(decimals))
        return Number(value, half, half)
    stripped = re.sub(r"[,_]", "", whole).rstrip("0")
    zeros = len(re.sub(r"[,_]", "", whole)) - len(stripped) if stripped else 0
    loose = 0.5 * 10.0 ** (exponent + zeros)
    half = 0.5 * 10.0**exponent
    if not exponent and abs(value) >= _LARGE:
        half = min(loose, _LARGE_SHARE * abs(value))
    return Number(value, half, max(half, loose))


def small_count(value: float) -> bool:
    """Whether a whole number is so small that it is read as a count: 8 cards, 2 USD, 3 years."""
    return value == int(value) and abs(value) < _SMALL
