"""Link media by reach: board traces, copper (passive, amplified, retimed), active cables, optics, CPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError, InputError

Array = NDArray[np.float64]

Kind = Literal["pcb", "dac", "acc", "aec", "aoc", "optic", "lro", "lpo", "cpo"]

# Kinds whose ends are modules in a cage; ends of AOC and copper belong to the cable, of CPO to the switch.
PLUGGABLE: frozenset[str] = frozenset({"optic", "lro", "lpo"})

FIBRE_LATENCY_S_PER_M = 1.468 / 299_792_458.0


@dataclass(frozen=True, slots=True)
class Medium:
    """One way to make a link at one rate. Powers and prices are at that rate and may be samples.

    Attributes:
        id: catalogue id.
        kind: what it is; decides whether its ends are counted as transceivers.
        reach_m: longest link [m].
        power_per_end_w: power of one end [W].
        price_per_end_usd: price of one end (a module) [USD].
        price_per_cable_usd: price of the cable or fibre of one link [USD].
        latency_s: added by both ends together (DSP, retimer) [s].
        latency_s_per_m: propagation [s/m].
    """

    id: str
    kind: Kind
    reach_m: ArrayLike
    power_per_end_w: ArrayLike
    price_per_end_usd: ArrayLike = 0.0
    price_per_cable_usd: ArrayLike = 0.0
    latency_s: ArrayLike = 0.0
    latency_s_per_m: ArrayLike = FIBRE_LATENCY_S_PER_M

    @property
    def transceivers_per_link(self) -> float:
        """Pluggable modules in one link: 2, or 0 where the ends are part of the cable or the switch [1]."""
        return 2.0 if self.kind in PLUGGABLE else 0.0

    @property
    def link_power_w(self) -> Array:
        """Power of both ends [W]."""
        return 2.0 * _array(self.power_per_end_w)

    @property
    def link_price_usd(self) -> Array:
        """Price of both ends and the cable [USD]."""
        return 2.0 * _array(self.price_per_end_usd) + _array(self.price_per_cable_usd)


@dataclass(frozen=True, slots=True)
class MediumChoice:
    """The chosen medium of a link, by sample.

    Attributes:
        index: position in the list offered [1].
        transceivers_per_link: pluggable modules in one link [1].
        transceiver_power_w: both ends, where they are modules or optical engines [W].
        cable_power_w: both ends, where they belong to the cable [W].
        transceiver_price_usd: both ends, where they are modules or optical engines [USD].
        cable_price_usd: the cable, with its ends where they belong to it [USD].
        latency_s: both ends and the propagation [s].
    """

    index: NDArray[np.intp]
    transceivers_per_link: Array
    transceiver_power_w: Array
    cable_power_w: Array
    transceiver_price_usd: Array
    cable_price_usd: Array
    latency_s: Array


def choose_medium(
    media: Sequence[Medium],
    length_m: ArrayLike,
    *,
    by: Literal["price", "power"] = "price",
    power_value_usd_per_w: ArrayLike = 0.0,
) -> MediumChoice:
    """Choose, sample by sample, the best medium whose reach covers the length.

    "price" minimises link price + v x link power, where v is what a watt costs over the link's life (0:
    purchase price alone); "power" minimises power. Equal ones: the first offered wins.

    Args:
        media: what is on offer at the link's rate.
        length_m: length of the link [m].
        by: what is minimised.
        power_value_usd_per_w: v, worth of one watt saved [USD/W].

    Returns:
        The choice with its power, price and latency, broadcast over length and the media's samples.

    Raises:
        InputError: nothing on offer, or a negative length.
        InfeasibleError: no medium reaches that far.
    """
    length, worth = _array(length_m), _array(power_value_usd_per_w)
    if not media or np.any(length < 0.0):
        raise InputError("choosing a medium needs at least one medium and a length of at least 0 m")
    table = _Table(media, np.broadcast_shapes(length.shape, worth.shape))
    power, ends = 2.0 * table.of("power_per_end_w"), 2.0 * table.of("price_per_end_usd")
    price, reach = ends + table.of("price_per_cable_usd"), table.of("reach_m")
    objective = np.where(reach >= length, power if by == "power" else price + worth * power, np.inf)
    if np.any(np.all(np.isinf(objective), axis=0)):
        names = ", ".join(medium.id for medium in media)
        raise InfeasibleError(
            f"no medium reaches {float(np.max(length)):g} m; offered: {names}, to {float(np.max(reach)):g} m"
        )
    index = np.argmin(objective, axis=0)
    modular = table.each([float(medium.kind in PLUGGABLE or medium.kind == "cpo") for medium in media])
    taken = (
        table.each([medium.transceivers_per_link for medium in media]),
        power * modular,
        power * (1.0 - modular),
        ends * modular,
        price - ends * modular,
        table.of("latency_s") + length * table.of("latency_s_per_m"),
    )
    return MediumChoice(index, *(_take(column, index) for column in taken))


class _Table:
    """Attributes of the media, all of one shape (media, samples ...), so that sums cannot misalign."""

    def __init__(self, media: Sequence[Medium], shape: tuple[int, ...]) -> None:
        self.media = media
        sampled = [np.shape(getattr(medium, field.name)) for medium in media for field in fields(medium)]
        self.shape = np.broadcast_shapes(shape, *sampled)

    def of(self, name: str) -> Array:
        return self.each([getattr(medium, name) for medium in self.media])

    def each(self, values: Sequence[ArrayLike]) -> Array:
        return np.stack([np.broadcast_to(_array(value), self.shape) for value in values])


def _take(table: Array, index: NDArray[np.intp]) -> Array:
    return np.asarray(np.take_along_axis(table, index[np.newaxis], axis=0)[0])


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
