"""Folded Clos (fat-tree, leaf-spine) fabrics for any number of endpoints: switches a tier, links, hops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError, InputError

Array = NDArray[np.float64]

MAX_TIERS = 4


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)


@dataclass(frozen=True, slots=True)
class ClosFabric:
    """Counts of a folded Clos fabric, all planes and rails together.

    Attributes:
        endpoints: ports that are served, before they are split over planes [1].
        tiers: switch tiers of one rail [1].
        leaf_switches: switches that endpoints plug into [1].
        middle_switches: switches between leaf and top, all middle tiers together (0 below three tiers) [1].
        top_switches: spine or core switches (0 where one switch is enough) [1].
        host_links: links between endpoints and leaves [1].
        switch_links: links between switches [1].
    """

    endpoints: Array
    tiers: Array
    leaf_switches: Array
    middle_switches: Array
    top_switches: Array
    host_links: Array
    switch_links: Array

    @property
    def switches(self) -> Array:
        """All switches [1]."""
        return self.leaf_switches + self.middle_switches + self.top_switches

    @property
    def longest_path_switches(self) -> Array:
        """Switches on the longest shortest path: up to the top and down again, 2t - 1 [1]."""
        return 2.0 * self.tiers - 1.0


def full_clos(radix: ArrayLike, tiers: int) -> tuple[Array, Array, Array]:
    """Counts of a complete, non-blocking folded Clos of `tiers` tiers from switches of one radix.

    endpoints = 2 (k/2)^t, switches = (2t - 1)(k/2)^(t-1), links between switches = (t - 1) endpoints.

    Args:
        radix: k, ports of a switch at the endpoint's rate, even [1].
        tiers: t, at least 1 [1].

    Returns:
        Endpoints, switches and links between switches [1].

    Raises:
        InputError: fewer than one tier.

    Reference:
        C. Leiserson, "Fat-trees", IEEE Trans. Computers C-34, 1985; M. Al-Fares et al., SIGCOMM 2008 (t = 3).
    """
    if tiers < 1:
        raise InputError(f"a Clos fabric has at least one tier, not {tiers}")
    half = _array(radix) / 2.0
    endpoints = 2.0 * half**tiers
    return endpoints, (2.0 * tiers - 1.0) * half ** (tiers - 1), (tiers - 1.0) * endpoints


def leaf_ports(radix: ArrayLike, oversubscription: ArrayLike = 1.0) -> tuple[Array, Array]:
    """Split a leaf's ports: down = floor(k o/(o + 1)), up = ceil(down/o), so that down/up never exceeds o.

    Args:
        radix: k, ports of a switch at the endpoint's rate [1].
        oversubscription: o, downlink over uplink bandwidth, 1 where nothing can block [1].

    Returns:
        Ports to endpoints and ports to the next tier [1].

    Raises:
        InputError: an oversubscription below 1, or a radix below 2.
    """
    ports, ratio = _array(radix), _array(oversubscription)
    if np.any(ratio < 1.0) or np.any(ports < 2.0):
        raise InputError("a leaf needs at least 2 ports and an oversubscription of at least 1")
    # 1e-9 keeps 48 ports 48 where k o/(o + 1) is a whole number that floats miss by one ulp
    down = np.floor(ports * ratio / (ratio + 1.0) + 1e-9)
    return down, np.ceil(down / ratio - 1e-9)


def clos_capacity(radix: ArrayLike, tiers: int, oversubscription: ArrayLike = 1.0) -> Array:
    """Endpoints that a folded Clos of `tiers` tiers can hold: k for one tier, else k floor(k/2)^(t-2) down.

    Args:
        radix: k, ports of a switch at the endpoint's rate [1].
        tiers: t [1].
        oversubscription: o at the leaf [1].

    Returns:
        Largest number of endpoints [1].
    """
    ports = _array(radix)
    if tiers == 1:
        return ports + 0.0 * _array(oversubscription)
    down, _ = leaf_ports(radix, oversubscription)
    return np.asarray(ports * np.floor(ports / 2.0) ** (tiers - 2) * down)


def clos(
    endpoints: ArrayLike,
    radix: ArrayLike,
    *,
    oversubscription: ArrayLike = 1.0,
    rails: ArrayLike = 1.0,
    planes: ArrayLike = 1.0,
    max_tiers: int = MAX_TIERS,
) -> ClosFabric:
    """Size a folded Clos for any number of endpoints, with the fewest tiers that reach them.

    Per rail with n endpoints: L = ceil(n/down) leaves with all uplinks cabled; every middle tier
    ceil(L up/floor(k/2)) and the top ceil(L up/k) switches; (t - 1) L up links between switches. A complete
    tree gives the formulas of `full_clos` exactly. Fractional endpoints are rounded up, sample by sample.

    Args:
        endpoints: ports to serve; each joins one rail and, there, every plane [1].
        radix: k, ports of a switch at the rate of one endpoint port (of one plane) [1].
        oversubscription: o at the leaf [1].
        rails: independent fabrics that share the endpoints out (DeepSeek's MPFT has 8) [1].
        planes: copies of the fabric, each endpoint having one port in each [1].
        max_tiers: give up above this many tiers [1].

    Returns:
        Counts, broadcast over the arguments.

    Raises:
        InputError: negative endpoints, or rails or planes below 1.
        InfeasibleError: more endpoints than `max_tiers` tiers can hold.

    Reference:
        arXiv 2505.09343, section 5.1 and table 3, for FT2, MPFT and FT3 at k = 64.
    """
    served, rail_count, plane_count = (_array(value) for value in (endpoints, rails, planes))
    if np.any(served < 0.0) or np.any(rail_count < 1.0) or np.any(plane_count < 1.0):
        raise InputError("a fabric needs endpoints >= 0, rails >= 1 and planes >= 1")
    per_rail = np.ceil(np.ceil(served - 1e-9) / rail_count - 1e-9)
    tiers = _fewest_tiers(per_rail, radix, oversubscription, max_tiers)
    ports = _array(radix)
    down, up = leaf_ports(radix, oversubscription)
    leaves = np.where(tiers > 1.0, np.ceil(per_rail / down - 1e-9), np.minimum(per_rail, 1.0))
    uplinks = np.where(tiers > 1.0, leaves * up, 0.0)
    middle = np.maximum(tiers - 2.0, 0.0) * np.ceil(uplinks / np.floor(ports / 2.0) - 1e-9)
    top = np.ceil(uplinks / ports - 1e-9)
    copies = rail_count * plane_count
    return ClosFabric(
        endpoints=np.ceil(served - 1e-9),
        tiers=tiers,
        leaf_switches=copies * leaves,
        middle_switches=copies * middle,
        top_switches=copies * top,
        host_links=plane_count * np.ceil(served - 1e-9),
        switch_links=copies * np.maximum(tiers - 1.0, 0.0) * uplinks,
    )


def _fewest_tiers(per_rail: Array, radix: ArrayLike, oversubscription: ArrayLike, max_tiers: int) -> Array:
    tiers = np.ones_like(per_rail)
    for below in range(1, max_tiers + 1):
        capacity = clos_capacity(radix, below, oversubscription)
        tiers = np.where(per_rail > capacity, below + 1.0, tiers)
    if np.any(tiers > max_tiers):
        raise InfeasibleError(
            f"{float(np.max(per_rail)):,.0f} endpoints a rail do not fit into {max_tiers} tiers of "
            f"{float(np.min(radix)):.0f}-port switches ({float(np.min(capacity)):,.0f}); "
            "use a larger radix, more rails or more tiers"
        )
    return tiers


def path_latency_s(
    tiers: ArrayLike,
    switch_latency_s: ArrayLike,
    link_latency_s: ArrayLike,
    nic_latency_s: ArrayLike = 0.0,
) -> Array:
    """Latency of the longest path through a folded Clos: (2t - 1) switches, 2t links, a NIC at each end.

    Args:
        tiers: t [1].
        switch_latency_s: port to port through one switch [s].
        link_latency_s: one link, both transceivers and the cable [s].
        nic_latency_s: one NIC [s].

    Returns:
        One-way latency [s].
    """
    t = _array(tiers)
    return np.asarray(
        (2.0 * t - 1.0) * _array(switch_latency_s)
        + 2.0 * t * _array(link_latency_s)
        + 2.0 * _array(nic_latency_s)
    )
