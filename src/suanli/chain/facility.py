"""The facility around the fleet: network, electrical chain, cooling plant and site, over one year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.chain.chip_power import chip_power
from suanli.chain.fabric import Fabric, fabric
from suanli.chain.facts import Facts
from suanli.cooling import (
    FacilityYear,
    Hours,
    facility_year,
    find_design,
    plant_from_facts,
    representative_hours,
)
from suanli.cooling import facts_needed as cooling_facts
from suanli.economics.money import YEAR_S
from suanli.hardware import system_power_w
from suanli.power import (
    MECHANICAL_FEED,
    Chain,
    Converter,
    converter_from_facts,
    find_chain,
    parameters_used,
    rebase_it_w,
    with_redundancy,
)

if TYPE_CHECKING:
    from suanli.chain.tokens import Service
    from suanli.scenario import Scenario

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]

_NAMEPLATE = "ups-double-conversion"  # the chain whose power supply a published system power includes


@dataclass(frozen=True, slots=True)
class Facility:
    """What the money side needs to know of the facility."""

    it_design_w: Array
    facility_w: Array
    network_capex_usd: Array
    electricity_usd_per_j: Num
    water_m3_per_s: Array
    water_usd_per_m3: ArrayLike


def facility(scenario: Scenario, facts: Facts, service: Service) -> Facility:
    """Record network, power, cooling and site of the fleet."""
    net = fabric(scenario, facts, service)
    chain = find_chain(scenario.power.chain)
    if scenario.power.redundancy is not None:
        chain = with_redundancy(chain, scenario.power.redundancy)
    book = facts.ledger
    book.label("power.chain", chain.name, "scenario")
    book.label("cooling.system", scenario.cooling.system, "scenario")
    book.label("site.id", facts.catalog.resolve("sites", scenario.site.id), "scenario")
    converters = _converters(facts, chain)
    # Whoever rents pays for the nodes that serve; whoever owns feeds those that wait, too.
    waiting = (
        np.maximum(service.installed_systems - service.nodes, 0.0) if scenario.economics.rent is None else 0.0
    )
    it_w, design_w, chips_w = _it_power(facts, service, net, chain, converters, waiting)
    year = _year(scenario, facts, it_w, design_w, chain, converters)
    _power_metrics(facts, year, chips_w, net, it_w)
    return _site(scenario, facts, year, net, design_w)


def _it_power(
    facts: Facts, service: Service, net: Fabric, chain: Chain, converters: dict[str, Converter], waiting: Num
) -> tuple[Array, Array, Array]:
    book, system = facts.ledger, service.system
    prefill, decode = np.asarray(service.prefill_chips), np.asarray(service.decode_chips)
    at_work = chip_power(facts, service)
    busy = prefill * service.prefill_load * at_work.prefill_share
    busy = busy + decode * service.decode_load * at_work.decode_share
    activity = busy / (prefill + decode)
    idle, other = at_work.idle_share, facts.assume("hardware", "other_activity")
    node_w = system_power_w(system, service.chip.tdp_w, activity, idle, other)
    idle_w = system_power_w(
        system, service.chip.tdp_w, 0.0, idle, facts.assume("hardware", "other_activity_idle")
    )
    chips_w = service.nodes * system_power_w(system, service.chip.tdp_w, activity, idle, 0.0)
    chips_w = chips_w + waiting * system_power_w(system, service.chip.tdp_w, 0.0, idle, 0.0)
    mean_w = service.nodes * node_w + waiting * idle_w + net.power_w
    largest_w = np.maximum(service.installed_systems * np.asarray(system.power_max_w) + net.power_w, mean_w)
    # Published system power is measured with an AC supply; a rack fed with 800 V DC has another converter there.
    it_w, design_w = (
        rebase_it_w(chain, find_chain(_NAMEPLATE), converters, power, largest_w)
        for power in (mean_w, largest_w)
    )
    book.derive("power.node", node_w)
    book.derive("power.node_idle", idle_w)
    if np.any(np.asarray(waiting) > 0.0):
        book.derive("fleet.nodes_waiting", waiting)
    book.derive("power.it", it_w)
    book.derive("power.it_design", design_w)
    return it_w, design_w, chips_w


def _year(
    scenario: Scenario,
    facts: Facts,
    it_w: Array,
    design_w: Array,
    chain: Chain,
    converters: dict[str, Converter],
) -> FacilityYear:
    design = find_design(scenario.cooling.system)
    names = [key.split("/", 1) for key in cooling_facts(design)]
    parts = {f"{key}/{p}": facts.number(f"cooling.{key}.{p}", "coolers", key, p) for key, p in names}
    return facility_year(
        it_w,
        design_w,
        chain=chain,
        converters=converters,
        plant=plant_from_facts(design, parts),
        hours=_hours(facts, facts.catalog.resolve("sites", scenario.site.id)),
    )


def _converters(facts: Facts, chain: Chain) -> dict[str, Converter]:
    supplies = (chain.server[0], find_chain(_NAMEPLATE).server[0])
    ids = dict.fromkeys(stage.converter for stage in (*chain.facility, *MECHANICAL_FEED, *supplies))
    made = {}
    for key in ids:
        used = parameters_used(facts.parameters("converters", key))
        made[key] = converter_from_facts(key, facts.mapping(f"power.{key}", "converters", key, used))
    return made


def _hours(facts: Facts, site: str) -> Hours:
    months = [f"{month:02d}" for month in range(1, 13)]

    def normals(parameter: str) -> list[float] | None:
        rows = [facts.catalog.get("sites", site, f"{parameter}_{month}") for month in months]
        if any(row is None for row in rows):
            return None
        samples = [facts.ledger.fact(f"site.{row.parameter}", row) for row in rows if row is not None]
        return [float(np.asarray(sample).reshape(-1)[0]) for sample in samples]

    dry = normals("tdb_mean")
    if dry is None:
        facts.catalog.fact("sites", site, "tdb_mean_01")  # says what is missing and how to give it
    wet = normals("twb_mean")
    span = facts.number("site.daily_range_mean", "sites", site, "daily_range_mean")
    humidity = normals("rh_mean") if wet is None else None
    altitude = facts.maybe("site.altitude", "sites", site, "altitude")
    if altitude is None:
        facts.ledger.warn(f"No altitude for {site} on record: sea level is used.")
    return representative_hours(
        np.asarray(dry, dtype=float),
        np.asarray(span).reshape(-1)[0],
        relative_humidity_mean=humidity,
        wet_bulb_mean_c=wet,
        altitude_m=0.0 if altitude is None else float(np.asarray(altitude).reshape(-1)[0]),
    )


def _power_metrics(facts: Facts, year: FacilityYear, chips_w: Array, net: Fabric, it_w: Array) -> None:
    book = facts.ledger
    book.derive("power.chain_efficiency", year.it_j / (year.it_j + year.chain_loss_j))
    book.derive("cooling.pue", year.pue)
    book.derive("cooling.wue", year.wue_m3_per_j)
    parts = {
        "chips": chips_w,
        "hosts": it_w - chips_w - net.power_w,
        "network": net.power_w,
        "conversion": year.chain_loss_j / YEAR_S,
        "cooling": (year.cooling_j + year.mechanical_loss_j) / YEAR_S,
        "other": year.other_j / YEAR_S,
    }
    for name, power in parts.items():
        book.derive(f"power.parts.{name}", power)
    book.derive("power.facility", year.facility_j / YEAR_S)


def _site(scenario: Scenario, facts: Facts, year: FacilityYear, net: Fabric, design_w: Array) -> Facility:
    book, site = facts.ledger, facts.catalog.resolve("sites", scenario.site.id)
    given = scenario.site.electricity_price
    price: Num
    if given is not None:
        price = book.given("site.electricity_price", given, "USD/J")
    else:
        price = facts.number("site.electricity_price", "sites", site, "electricity_price")
    book.derive("site.energy_per_year", year.facility_j)
    book.derive("site.energy_cost_per_year", year.facility_j * price)
    book.derive("site.water_per_year", year.water_m3)
    book.derive(
        "site.energy_per_mtok_output",
        year.facility_j / YEAR_S / book.samples("demand.decode_tokens_per_s") * 1e6,
    )
    carbon = scenario.site.grid_carbon
    factor = (
        book.given("site.grid_carbon", carbon, "kg/J")
        if carbon is not None
        else facts.maybe("site.grid_carbon", "sites", site, "grid_carbon")
    )
    if factor is None:
        book.unavailable("site.carbon_per_year", f"no grid_carbon for {site}")
    else:
        book.derive("site.carbon_per_year", year.facility_j * factor)
    water = facts.maybe("site.water_price", "sites", site, "water_price")
    if water is None:
        book.warn(f"No water price for {site} on record: water is left out of the cost.")
    return Facility(
        it_design_w=design_w,
        facility_w=np.asarray(year.facility_j / YEAR_S),
        network_capex_usd=net.capex_usd,
        electricity_usd_per_j=price,
        water_m3_per_s=np.asarray(year.water_m3 / YEAR_S),
        water_usd_per_m3=0.0 if water is None else water,
    )
