"""Bill of materials of a scale-out fabric: switches, transceivers, cables and NICs, power and price by part.

The scale-up network inside a system (NVLink, UB, ICI up to the system's edge) is part of the system's price
and power and is not counted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.network.clos import ClosFabric, clos
from suanli.network.media import Medium, MediumChoice, choose_medium

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch box.

    Attributes:
        id: catalogue id.
        radix: ports at the endpoint's rate [1].
        power_w: power without optics [W].
        price_usd: price without optics [USD].
        latency_s: port to port [s].
    """

    id: str
    radix: int
    power_w: ArrayLike
    price_usd: ArrayLike
    latency_s: ArrayLike = 0.0


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card, power [W] and price [USD]. Leave it out where the system's price includes it."""

    id: str
    power_w: ArrayLike
    price_usd: ArrayLike


@dataclass(frozen=True, slots=True)
class FabricParts:
    """A quantity of a fabric by part: power [W] or price [USD].

    Attributes:
        switches: boxes without optics.
        transceivers: pluggable modules (and the engines of co-packaged optics).
        cables: copper, active cables, fibre.
        nics: network cards, 0 where they belong to the system.
    """

    switches: Array
    transceivers: Array
    cables: Array
    nics: Array

    @property
    def total(self) -> Array:
        """Sum of the parts, in their unit."""
        return self.switches + self.transceivers + self.cables + self.nics

    def shares(self) -> dict[str, Array]:
        """Share of each part in the total [1]; 0 where the total is 0."""
        total = self.total
        safe = np.where(total > 0.0, total, 1.0)
        return {field.name: np.asarray(getattr(self, field.name) / safe) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class FabricBill:
    """What a fabric consists of.

    Attributes:
        switches: boxes [1].
        transceivers: pluggable modules, counted at the endpoint's rate [1].
        links: links of endpoints and between switches [1].
        nics: network cards counted here [1].
        power_w: power by part, every port in use [W].
        capex_usd: price by part [USD].
    """

    switches: Array
    transceivers: Array
    links: Array
    nics: Array
    power_w: FabricParts
    capex_usd: FabricParts


def fabric_bill(
    *,
    switches: ArrayLike,
    host_links: ArrayLike,
    switch_links: ArrayLike,
    switch: Switch,
    host_medium: MediumChoice,
    switch_medium: MediumChoice,
    nics: ArrayLike = 0.0,
    nic: Nic | None = None,
) -> FabricBill:
    """Price and power of a fabric from its counts, for any topology.

    part = count x unit; modules and the ends of cables draw their full power whatever the load (they do).

    Args:
        switches: boxes [1].
        host_links: links between endpoints and switches [1].
        switch_links: links between switches [1].
        switch: the box.
        host_medium: what endpoint links are made of.
        switch_medium: what links between switches are made of.
        nics: network cards [1].
        nic: the card; None where the system's price and power include it.

    Returns:
        Counts, power [W] and capital cost [USD] by part; the parts sum to the total.
    """
    boxes, hosts, inner = (_array(value) for value in (switches, host_links, switch_links))
    cards = _array(nics) if nic is not None else np.zeros(())

    def over_links(of_host: Array, of_inner: Array) -> Array:
        return np.asarray(hosts * of_host + inner * of_inner)

    return FabricBill(
        switches=boxes,
        transceivers=over_links(host_medium.transceivers_per_link, switch_medium.transceivers_per_link),
        links=hosts + inner,
        nics=cards,
        power_w=FabricParts(
            switches=boxes * _array(switch.power_w),
            transceivers=over_links(host_medium.transceiver_power_w, switch_medium.transceiver_power_w),
            cables=over_links(host_medium.cable_power_w, switch_medium.cable_power_w),
            nics=cards * _array(nic.power_w) if nic else np.zeros(()),
        ),
        capex_usd=FabricParts(
            switches=boxes * _array(switch.price_usd),
            transceivers=over_links(host_medium.transceiver_price_usd, switch_medium.transceiver_price_usd),
            cables=over_links(host_medium.cable_price_usd, switch_medium.cable_price_usd),
            nics=cards * _array(nic.price_usd) if nic else np.zeros(()),
        ),
    )


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


def scale_out_fabric(
    endpoints: ArrayLike,
    switch: Switch,
    media: Sequence[Medium],
    *,
    host_length_m: ArrayLike,
    switch_length_m: ArrayLike,
    oversubscription: ArrayLike = 1.0,
    rails: ArrayLike = 1.0,
    planes: ArrayLike = 1.0,
    nic: Nic | None = None,
    power_value_usd_per_w: ArrayLike = 0.0,
) -> tuple[ClosFabric, FabricBill]:
    """Size a folded Clos for the endpoints, choose its media by length, and draw up its bill.

    Args:
        endpoints: NIC ports to serve [1].
        switch: the box, with its radix at the endpoint's rate.
        media: what is on offer at that rate.
        host_length_m: cable length from an endpoint to its leaf [m].
        switch_length_m: cable length between switches [m].
        oversubscription: at the leaf [1].
        rails: independent fabrics that share the endpoints out [1].
        planes: copies of the fabric that every endpoint has a port in [1].
        nic: the card; None where the system's price and power include it.
        power_value_usd_per_w: worth of a watt when media are chosen [USD/W].

    Returns:
        The counts and the bill.

    Raises:
        InfeasibleError: too many endpoints for the radix, or too long a link for the media.
    """
    size = clos(endpoints, switch.radix, oversubscription=oversubscription, rails=rails, planes=planes)
    host = choose_medium(media, host_length_m, power_value_usd_per_w=power_value_usd_per_w)
    inner = choose_medium(media, switch_length_m, power_value_usd_per_w=power_value_usd_per_w)
    bill = fabric_bill(
        switches=size.switches,
        host_links=size.host_links,
        switch_links=size.switch_links,
        switch=switch,
        host_medium=host,
        switch_medium=inner,
        nics=size.host_links,
        nic=nic,
    )
    return size, bill
