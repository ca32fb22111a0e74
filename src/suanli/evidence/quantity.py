"""Units as reports print them: "亿元 (1e8 CNY)", "万副", "billion USD", "Gb/s per lane", "EFLOPS", "% of cost".

Built on `suanli.units`; what that registry does not know is counted things ("chips", "万片"), kept as a noun so that
chips are never compared with racks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from suanli import units
from suanli.errors import UnitError


class ClaimUnit(NamedTuple):
    """A printed unit: its size in coherent units, its dimension and, for counted things, the noun."""

    factor: float
    dimension: tuple[int, ...]
    noun: str = ""


_PLAIN = units.unit("1").dimension
_CJK_SCALE = (
    ("万亿", 1e12),
    ("百万", 1e6),
    ("千万", 1e7),
    ("十亿", 1e9),
    ("亿", 1e8),
    ("万", 1e4),
    ("千", 1e3),
)
_CJK_UNIT = {
    "美元": "USD",
    "人民币": "CNY",
    "元": "CNY",
    "天": "day",
    "年": "year",
    "月": "month",
    "秒": "s",
    "瓦": "W",
    "字节": "byte",
}
_CJK_COUNT = "副台辆片颗个人家块张卡部次座"
_WORD_SCALE = {
    "billion": 1e9,
    "million": 1e6,
    "trillion": 1e12,
    "thousand": 1e3,
    "hundred million": 1e8,
    "100 million": 1e8,
}
_WORDS = {
    "x": "1",
    "fraction": "1",
    "ratio": "1",
    "pue": "1",
    "percentage point": "pp",
    "points": "pp",
    "percent": "%",
    "degree": "deg",
    "degc": "degC",
    "hour": "h",
    "hours": "h",
    "years": "year",
    "months": "month",
    "gbps": "Gb/s",
    "times": "count",
    "second": "s",
    "tbps": "Tb/s",
    "mt/s": "MT/s",
    "gbit": "Gb",
    "元/千token": "CNY/ktok",
    "u": "RU",
    "w/tflops": "W/TFLOPS",
    "unit": "count",
    "units": "count",
}


@lru_cache(maxsize=2048)
def claim_unit(text: str) -> ClaimUnit:
    """Read a printed unit.

    Args:
        text: the unit as the claims file holds it; a bracket such as "(1e8 CNY)" repeats it and is not read.

    Returns:
        Size in coherent units, dimension, and a noun where things are counted.
    """
    scale, rest = _scale(re.sub(r"\([^)]*\)|（[^）]*）", "", text).strip())
    rest = rest.strip()
    if not rest:
        return ClaimUnit(scale, _PLAIN)
    known = _known(rest)
    if known is not None:
        return ClaimUnit(scale * known.factor, known.dimension)
    stem = re.split(r" of | \(", rest, maxsplit=1)[0].strip()
    known = _known(stem) if stem != rest else None
    if known is not None:
        return ClaimUnit(scale * known.factor, known.dimension)
    base, _, counter = rest.replace(" per ", "/").rpartition("/")
    known = _known(base) if base and not _known(counter) else None
    if known is not None:
        return ClaimUnit(scale * known.factor, known.dimension, f"per {_noun(counter)}")
    return ClaimUnit(scale, _PLAIN, _noun(rest))


def comparable(left: ClaimUnit, right: ClaimUnit) -> bool:
    """Whether two printed units measure one kind of thing, so that a sum, a growth or a comparison makes sense."""
    if left.dimension != right.dimension:
        return False
    return not (left.noun and right.noun and left.noun != right.noun)


def conversion(source: str, target: str) -> float:
    """The factor from one printed unit to another: "billion CNY" to "亿元" is 10.

    Raises:
        UnitError: they measure different things.
    """
    have, want = claim_unit(source), claim_unit(target)
    if not comparable(have, want):
        raise UnitError(f'"{source}" and "{target}" cannot be compared')
    return have.factor / want.factor


def _scale(text: str) -> tuple[float, str]:
    scale = 1.0
    match = re.match(r"^(1e\d+)\s*(.*)$", text)
    if match:
        scale, text = float(match[1]), match[2]
    for word in sorted(_WORD_SCALE, key=len, reverse=True):
        if text.startswith(word):
            return scale * _WORD_SCALE[word], text[len(word) :].strip()
    for sign, size in _CJK_SCALE:
        if text.startswith(sign):
            return scale * size, text[len(sign) :].strip()
    return scale, text


def _known(text: str) -> units.Unit | None:
    folded = _WORDS.get(text.lower(), text)
    pieces = [_piece(piece) for piece in re.split(r"([*/])", folded.replace(" per ", "/"))]
    factor = 1.0
    symbol = ""
    for piece, size in pieces:
        divides = symbol.endswith("/")
        symbol += piece
        factor = factor / size if divides else factor * size
    try:
        found = units.unit(symbol)
    except UnitError:
        return None
    return units.Unit(found.factor * factor, found.dimension)


def _piece(text: str) -> tuple[str, float]:
    if text in "*/":
        return text, 1.0
    size, rest = 1.0, text.strip()
    for sign, value in _CJK_SCALE:
        if rest.startswith(sign):
            size, rest = value, rest[len(sign) :]
            break
    rest = _CJK_UNIT.get(rest, rest)
    if rest and all(letter in _CJK_COUNT for letter in rest):
        rest = "count"
    rest = {"TOPS": "TOPS", "POPS": "POPS", "": "count"}.get(rest, rest)
    return _WORDS.get(rest.lower(), rest), size


def _noun(text: str) -> str:
    word = re.split(r"[;,(]", text.lower(), maxsplit=1)[0].strip()
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
