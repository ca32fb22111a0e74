"""A power converter: what it loses at a load.

Two forms of loss curve are enough. A device (UPS, rectifier, transformer, busway) has a quadratic: standing,
in proportion and ohmic. A certificate (80 PLUS) or a datasheet table gives efficiency at a few loads, and a
quadratic misses such points by up to 2 points of efficiency; there the LOSS is interpolated, through the
points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.power.interpolate import monotone

Array = NDArray[np.float64]

_TRANSFORMER = ("rating", "no_load_loss", "load_loss")
_QUADRATIC = ("loss_a", "loss_b", "loss_c")
_STANDING = ("rating", "efficiency_linear", "standing_loss")
_ANCHOR = "efficiency_at_050"
_POINT = "efficiency_at_"


@dataclass(frozen=True, slots=True)
class QuadraticLoss:
    """Loss over rating: a + b x + c x^2 at load fraction x. Efficiency peaks at x = sqrt(a/c).

    Attributes:
        a: standing loss over rating [1].
        b: loss in proportion to load [1].
        c: ohmic loss at rated load over rating [1].
    """

    a: ArrayLike
    b: ArrayLike
    c: ArrayLike

    def at(self, load_fraction: ArrayLike) -> Array:
        """Return loss over rating [1] at load fraction x [1]."""
        x = np.asarray(load_fraction, dtype=float)
        return np.asarray(np.asarray(self.a) + x * (np.asarray(self.b) + x * np.asarray(self.c)))


@dataclass(frozen=True, slots=True)
class TabulatedLoss:
    """Loss over rating through published points, monotone between them (see `interpolate.monotone`).

    Below the first point the first segment is carried on to no load, never under 0 and never above the first
    loss; above the last point the last segment is carried on.

    Attributes:
        load_fractions: ascending load fractions [1].
        losses: loss over rating at each [1]; each may be an array of samples.
    """

    load_fractions: tuple[float, ...]
    losses: tuple[ArrayLike, ...]

    def at(self, load_fraction: ArrayLike) -> Array:
        """Return loss over rating [1] at load fraction x [1]."""
        xs = self.load_fractions
        ys = [np.asarray(loss, dtype=float) for loss in self.losses]
        if xs[0] > 0.0:
            slope = (ys[1] - ys[0]) / (xs[1] - xs[0])
            ys = [np.minimum(np.maximum(ys[0] - slope * xs[0], 0.0), ys[0]), *ys]
            xs = (0.0, *xs)
        return monotone(load_fraction, xs, ys)


@dataclass(frozen=True, slots=True)
class Converter:
    """A converter, or a group of equal ones that share a load.

    Attributes:
        name: catalogue id.
        loss: its loss curve.
        rated_w: rated output of one unit [W]; None where only the curve is known.
    """

    name: str
    loss: QuadraticLoss | TabulatedLoss
    rated_w: ArrayLike | None = None


def loss_w(converter: Converter, output_w: ArrayLike, rated_w: ArrayLike | None = None) -> Array:
    """Loss of a converter: P_loss = P_rated l(P_out / P_rated).

    Args:
        converter: the converter; l is its loss over rating.
        output_w: P_out, power delivered [W].
        rated_w: P_rated, installed capacity of the group that shares the load [W]; one unit where not given.

    Returns:
        Loss [W].

    Raises:
        InputError: neither the call nor the converter has a rating.
    """
    rated = _rating(converter, rated_w)
    return np.asarray(rated * converter.loss.at(np.asarray(output_w, dtype=float) / rated))


def input_w(converter: Converter, output_w: ArrayLike, rated_w: ArrayLike | None = None) -> Array:
    """Power drawn: P_in = P_out + P_loss. Arguments as `loss_w`; returns [W]."""
    return np.asarray(np.asarray(output_w, dtype=float) + loss_w(converter, output_w, rated_w))


def efficiency(converter: Converter, load_fraction: ArrayLike) -> Array:
    """Efficiency at a load fraction: x / (x + l(x)); 0 at no load. Takes and returns [1]."""
    x = np.asarray(load_fraction, dtype=float)
    drawn = x + converter.loss.at(x)
    return np.asarray(np.where(drawn > 0.0, x / np.where(drawn > 0.0, drawn, 1.0), 0.0))


def output_w(converter: Converter, input_power_w: ArrayLike, rated_w: ArrayLike | None = None) -> Array:
    """Power delivered for a power drawn: the root of P_out + P_loss(P_out) = P_in, at least 0.

    Fixed-point iteration; it converges because a converter that lost more than it gained would not be one.

    Args:
        converter: the converter.
        input_power_w: P_in, power drawn [W].
        rated_w: installed capacity of the group [W]; one unit where not given.

    Returns:
        Power delivered [W].

    Raises:
        InputError: neither the call nor the converter has a rating.
    """
    drawn = np.asarray(input_power_w, dtype=float)
    delivered = drawn
    for _ in range(80):
        better = np.maximum(drawn - loss_w(converter, delivered, rated_w), 0.0)
        if np.allclose(better, delivered, rtol=1e-14, atol=0.0):
            return np.asarray(better)
        delivered = better
    return np.asarray(delivered)


def parameters_used(available: Collection[str]) -> tuple[str, ...]:
    """Name the catalogue parameters that `converter_from_facts` reads, given those that a converter has.

    Args:
        available: parameter names of the converter's adopted rows.

    Returns:
        The names to pass; empty where the rows hold no loss curve.
    """
    have = set(available)
    rating = ("rating",) if "rating" in have else ()
    if have.issuperset(_TRANSFORMER):
        return _TRANSFORMER
    if have.issuperset(_QUADRATIC):
        return (*_QUADRATIC, *((_ANCHOR,) if _ANCHOR in have else ()), *rating)
    if have.issuperset(_STANDING):
        return _STANDING
    points = tuple(sorted(name for name in have if name.startswith(_POINT)))
    return (*points, *rating) if len(points) > 1 else ()


def converter_from_facts(name: str, facts: Mapping[str, ArrayLike]) -> Converter:
    """Build a converter from catalogue values.

    Whichever of these is there first: `no_load_loss`, `load_loss` and `rating` (transformer: a = P0/S,
    c = Pk/S); `loss_a`, `loss_b`, `loss_c`, scaled as a whole to pass through `efficiency_at_050` where
    that is given, so that one uncertain number moves the whole curve; `efficiency_linear`, `standing_loss`
    and `rating` (P_in = (P_out + s)/eta); two or more `efficiency_at_NNN` (load in percent).

    Args:
        name: catalogue id.
        facts: parameter -> value in coherent units [fraction, W], as `Fact.si` gives it; arrays are samples.

    Returns:
        The converter.

    Raises:
        InputError: no loss curve among the facts, or an efficiency outside (0, 1].
    """
    for key, value in facts.items():
        if key.startswith("efficiency") and not np.all(
            (np.asarray(value) > 0.0) & (np.asarray(value) <= 1.0)
        ):
            raise InputError(f"converter {name}: {key} must be a fraction above 0 and up to 1")
    used = parameters_used(facts)
    v = {key: np.asarray(facts[key], dtype=float) for key in used}
    rated = v.get("rating")
    if used == _TRANSFORMER:
        return Converter(
            name, QuadraticLoss(v["no_load_loss"] / v["rating"], 0.0, v["load_loss"] / v["rating"]), rated
        )
    if used == _STANDING:
        slope = 1.0 / v["efficiency_linear"]
        return Converter(
            name, QuadraticLoss(v["standing_loss"] * slope / v["rating"], slope - 1.0, 0.0), rated
        )
    if used[:3] == _QUADRATIC:
        return Converter(name, _anchored(v), rated)
    if used:
        points = sorted(
            (int(key.removeprefix(_POINT)) / 100.0, v[key]) for key in used if key.startswith(_POINT)
        )
        xs = tuple(x for x, _ in points)
        return Converter(name, TabulatedLoss(xs, tuple(x * (1.0 / eta - 1.0) for x, eta in points)), rated)
    raise InputError(
        f"converter {name}: no loss curve; give loss_a, loss_b and loss_c, or no_load_loss, load_loss and "
        f"rating, or two or more of efficiency_at_010 ... efficiency_at_100"
    )


def _anchored(v: Mapping[str, Array]) -> QuadraticLoss:
    curve = QuadraticLoss(v["loss_a"], v["loss_b"], v["loss_c"])
    if _ANCHOR not in v:
        return curve
    scale = 0.5 * (1.0 / v[_ANCHOR] - 1.0) / curve.at(0.5)
    return QuadraticLoss(*(v[key] * scale for key in _QUADRATIC))


def _rating(converter: Converter, rated_w: ArrayLike | None) -> Array:
    rated = converter.rated_w if rated_w is None else rated_w
    if rated is None:
        raise InputError(
            f"converter {converter.name} has no rating; pass rated_w or give it a rating in the catalogue"
        )
    return np.asarray(rated, dtype=float)
