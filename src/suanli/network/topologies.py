"""Direct and low-diameter topologies by their closed-form counts: Slim Fly, Dragonfly, torus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suanli.errors import InputError


@dataclass(frozen=True, slots=True)
class TopologySize:
    """Counts of a topology.

    Attributes:
        endpoints: attached hosts or chips [1].
        switches: switches, 0 where the chips are the switches [1].
        switch_links: links between switches (or between chips, in a torus) [1].
        radix: ports that a switch (or chip) needs [1].
        buildable: whether the graph behind the counts is known to exist.
    """

    endpoints: int
    switches: int
    switch_links: int
    radix: int
    buildable: bool = True


def slim_fly(q: int, concentration: int | None = None) -> TopologySize:
    """Count a Slim Fly (diameter 2, McKay-Miller-Siran graph) of parameter q = 4w + d, d in {-1, 0, 1}.

    switches 2 q^2, network degree (3q - d)/2, links between switches q^2 (3q - d)/2, endpoints p 2 q^2 with
    p = ceil(degree/2) for full bandwidth. The MMS graph exists for prime powers q only; `buildable` says so.

    Args:
        q: size parameter, at least 3 [1].
        concentration: p, endpoints a switch; the balanced number where not given [1].

    Returns:
        The counts.

    Raises:
        InputError: q is not of the form 4w + d.

    Reference:
        M. Besta, T. Hoefler, "Slim Fly", SC 2014 (arXiv 1912.08968), section II.
    """
    if q < 3 or q % 4 == 2:
        raise InputError(f"Slim Fly needs q = 4w - 1, 4w or 4w + 1 and q >= 3, not {q}")
    delta = {0: 0, 1: 1, 3: -1}[q % 4]
    degree = (3 * q - delta) // 2
    hosts = math.ceil(degree / 2) if concentration is None else concentration
    switches = 2 * q * q
    return TopologySize(
        switches * hosts, switches, switches * degree // 2, degree + hosts, buildable=_is_prime_power(q)
    )


def _is_prime_power(number: int) -> bool:
    prime = next((d for d in range(2, math.isqrt(number) + 1) if number % d == 0), number)
    while number % prime == 0:
        number //= prime
    return number == 1


def dragonfly(
    endpoints_per_switch: int,
    switches_per_group: int,
    global_links_per_switch: int,
    groups: int | None = None,
) -> TopologySize:
    """Count a Dragonfly: groups of a fully joined switches, each with h global links and p endpoints.

    g groups (a h + 1 at most, one global link between every two groups): endpoints p a g, switches a g,
    links (a - 1)/2 a g inside groups plus h/2 a g between them. Balanced: a = 2p = 2h.

    Args:
        endpoints_per_switch: p [1].
        switches_per_group: a [1].
        global_links_per_switch: h [1].
        groups: g; the largest possible where not given [1].

    Returns:
        The counts.

    Raises:
        InputError: more groups than the global links can join.

    Reference:
        J. Kim, W. Dally, S. Scott, D. Abts, "Technology-driven, highly-scalable dragonfly", ISCA 2008.
    """
    largest = switches_per_group * global_links_per_switch + 1
    count = largest if groups is None else groups
    if not 1 <= count <= largest:
        raise InputError(f"a dragonfly of this shape has 1 to {largest} groups, not {count}")
    switches = switches_per_group * count
    inside = switches * (switches_per_group - 1) // 2
    between = switches * global_links_per_switch // 2
    radix = endpoints_per_switch + switches_per_group - 1 + global_links_per_switch
    return TopologySize(endpoints_per_switch * switches, switches, inside + between, radix)


def torus(sides: Sequence[int]) -> TopologySize:
    """Count a torus of chips, wrapped round in every dimension.

    A ring of n chips has n links (1 where n is 2, since both would join the same pair; none where n is 1).
    A 3-D torus of sides above 2 has 3N links and 6 ports a chip.

    Args:
        sides: chips along each dimension [1].

    Returns:
        The counts; the chips switch themselves, so `switches` is 0.

    Raises:
        InputError: a side below 1.
    """
    if not sides or min(sides) < 1:
        raise InputError(f"a torus needs sides of at least 1, not {tuple(sides)}")
    chips = math.prod(sides)
    links = sum(chips // side * (side if side > 2 else side - 1) for side in sides)
    ports = sum(min(side - 1, 2) for side in sides)
    return TopologySize(chips, 0, links, ports)


def torus_bisection_links(sides: Sequence[int]) -> int:
    """Count the links cut by halving a torus across its longest side: 2 N / max side (N / 2 where that is 2).

    Args:
        sides: chips along each dimension [1].

    Returns:
        Links across the cut [1].
    """
    longest = max(sides)
    across = math.prod(sides) // longest
    return across * min(longest - 1, 2)
