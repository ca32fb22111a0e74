"""The scale-out fabric of the fleet, from catalogue switches and links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.chain.facts import Facts
from suanli.errors import InputError
from suanli.network import ClosFabric, FabricBill, Medium, Switch, choose_medium, clos, fabric_bill
from suanli.network.clos import MAX_TIERS

if TYPE_CHECKING:
    from suanli.chain.tokens import Service
    from suanli.scenario import Scenario

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]

_RATES = (400e9 / 8, 800e9 / 8)  # byte/s: the rates that the default switches and links come in


@dataclass(frozen=True, slots=True)
class Fabric:
    """Power [W] and capital cost [USD] of the network."""

    power_w: Array
    capex_usd: Array


def fabric(scenario: Scenario, facts: Facts, service: Service) -> Fabric:
    """Record the fabric that joins the installed systems; one system alone needs none."""
    book, wanted = facts.ledger, scenario.network
    ports = facts.assume("network", "ports_per_chip", wanted.ports_per_chip)
    several = service.installed_systems > 1.0
    endpoints = np.where(several, service.installed_systems * service.system.chips * ports, 0.0)
    rate = _rate(facts, service)
    switch = _switch(facts, _wanted(facts, "switch", wanted.switch, rate), rate)
    book.given("network.oversubscription", wanted.oversubscription)
    size = clos(
        endpoints,
        switch.radix,
        oversubscription=wanted.oversubscription,
        max_tiers=wanted.max_tiers or MAX_TIERS,
    )
    bill = _bill(facts, size, switch, _wanted(facts, "link", wanted.link, rate))
    extra = facts.assume("network", "other_capex_share")
    capex = bill.capex_usd.total * (1.0 + np.asarray(extra))
    alone = "" if np.ravel(several)[0] else "none: a lone system needs no fabric"
    book.derive("network.endpoints", endpoints, formula=alone)
    book.derive("network.tiers", size.tiers)
    book.derive("network.switches", bill.switches)
    book.derive("network.transceivers", bill.transceivers)
    book.derive("network.power", bill.power_w.total)
    book.derive("network.capex", capex)
    return Fabric(np.asarray(bill.power_w.total), np.asarray(capex))


def _rate(facts: Facts, service: Service) -> float:
    have = service.chip.scale_out_bytes_per_s
    if have is None:
        return _RATES[0]
    port = float(np.asarray(have).reshape(-1)[0])
    return next((rate for rate in _RATES if rate >= port * 0.999), _RATES[-1])


def _default(facts: Facts, kind: str, rate: float) -> str:
    row = facts.catalog.fact("assumptions", "network", f"{kind}_{rate * 8 / 1e9:.0f}g")
    origin = " | ".join(part for part in (row.name, row.source, row.locator, row.as_of) if part)
    facts.ledger.label(f"network.{kind}", row.value, origin, grade=row.grade)
    return row.value


def _wanted(facts: Facts, kind: str, given: str | None, rate: float) -> str:
    if given is None:
        return _default(facts, kind, rate)
    facts.ledger.label(f"network.{kind}", given)
    return given


def _switch(facts: Facts, name: str, rate: float) -> Switch:
    key = facts.catalog.resolve("switches", name)
    speed = f"{rate * 8 / 1e9:.0f}g"
    radix = facts.maybe("switch.radix", "switches", key, f"radix_{speed}")
    if radix is None:
        raise InputError(
            f"network.switch: {key} has no radix at {speed}; choose another: suanli catalog switches"
        )
    power = facts.maybe("switch.power", "switches", key, "power_typical")
    if power is None:
        power = facts.number("switch.power", "switches", key, "power_max")
    price = facts.maybe("switch.price", "switches", key, "price")
    if price is None:
        per_port = facts.assume("network", "switch_price_per_port")
        price = np.asarray(radix) * per_port
    return Switch(key, int(np.asarray(radix).reshape(-1)[0]), power, price)


def _bill(facts: Facts, size: ClosFabric, switch: Switch, links: str) -> FabricBill:
    media = [_medium(facts, facts.catalog.resolve("links", link.strip())) for link in links.split(";")]
    host, inner = facts.assume("network", "host_length"), facts.assume("network", "switch_length")
    return fabric_bill(
        switches=size.switches,
        host_links=size.host_links,
        switch_links=size.switch_links,
        switch=switch,
        host_medium=choose_medium(media, host),
        switch_medium=choose_medium(media, inner),
    )


def _medium(facts: Facts, key: str) -> Medium:
    kind = {"dac": "dac", "acc": "acc", "aec": "aec", "aoc": "aoc", "cpo": "cpo"}.get(
        key.split("-", 1)[0], "optic"
    )
    cable = kind in ("dac", "acc", "aec", "aoc")
    price = facts.number(f"link.{key}.price", "links", key, "price")
    return Medium(
        id=key,
        kind=kind,  # type: ignore[arg-type]
        reach_m=facts.number(f"link.{key}.reach", "links", key, "reach"),
        power_per_end_w=facts.number(f"link.{key}.power_per_end", "links", key, "power_per_end"),
        price_per_end_usd=0.0 if cable else price,
        price_per_cable_usd=price if cable else 0.0,
    )
