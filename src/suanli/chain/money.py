"""Capital and running cost, price of a token, revenue and return, from the fleet and its facility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.chain.facts import Facts
from suanli.economics import (
    AssetLives,
    Capex,
    FacilityPrices,
    Opex,
    TokenPrices,
    book_value,
    capital_cost,
    irr,
    margin_on_cost,
    npv_usd,
    operating_cost,
    payback_s,
    project_cash_flows,
    split_facility_price,
    straight_line,
    token_revenue,
    unit_cost,
)
from suanli.economics.money import DAY_S, YEAR_S

if TYPE_CHECKING:
    from suanli.chain.facility import Facility
    from suanli.chain.tokens import Service
    from suanli.scenario import Scenario

Array = NDArray[np.float64]
Num = float | NDArray[np.float64]
_MTOK = 1e6
# Shares of a facility's price for places where only the total is known: a liquid-cooled AI build.
_SPLIT = "us-ai-liquid-cooled"


@dataclass(frozen=True, slots=True)
class _Owning:
    """Owning the fleet: outlay, lives, wear and running cost."""

    capex: Capex
    lives: AssetLives
    wear: Capex
    running: Opex


def money(scenario: Scenario, facts: Facts, service: Service, facility: Facility) -> None:
    """Record what the service costs, owned and (where a rent is given) rented, and what it returns."""
    book = facts.ledger
    owning = _own(scenario, facts, service, facility)
    estimated = (
        {"systems": "= fleet.nodes_installed * system.price_estimate"} if "system.price" not in book else {}
    )
    for part, cost in owning.capex.items().items():
        book.derive(f"economics.capex_parts.{part}", cost, formula=estimated.get(part, ""))
    book.derive("economics.capex", owning.capex.total)
    owned = unit_cost(owning.wear, owning.running, **_allocation(service))
    book.derive("economics.owned_cost_per_day", owned.total_usd_per_s * DAY_S)
    book.derive("economics.owned_cost_per_mtok_output", owned.output_usd_per_token * _MTOK)
    for part, cost in owned.output_parts.items():
        if np.any(np.nan_to_num(cost) != 0.0):
            book.derive(f"economics.mtok_output_parts.{part}", cost * _MTOK)
    cost_per_s, basis = owned.total_usd_per_s, "owned"
    if scenario.economics.rent is not None:
        rent = book.given("economics.rent", scenario.economics.rent, "USD/s")
        rented = operating_cost(rented_chips=service.chips, rent_usd_per_chip_s=rent)
        cost_per_s, basis = rented.total, "rented"
        no_wear = Capex(**dict.fromkeys(owning.wear.items(), 0.0))
        owned = unit_cost(no_wear, rented, **_allocation(service))
        book.derive("economics.rented_cost_per_day", cost_per_s * DAY_S)
    source = f"economics.{basis}_cost_per_day"
    book.derive("economics.cost_per_day", cost_per_s * DAY_S, formula=f"= {source}", inputs=(source,))
    book.derive("economics.prefill_share", owned.prefill_share)
    book.derive("economics.cost_per_mtok_output", owned.output_usd_per_token * _MTOK)
    book.derive("economics.cost_per_mtok_input", owned.input_usd_per_token * _MTOK)
    _returns(scenario, facts, service, owning, cost_per_s)


def _allocation(service: Service) -> dict[str, Num]:
    return {
        "prefill_chips": np.asarray(service.prefill_chips) * service.prefill_load,
        "decode_chips": np.asarray(service.decode_chips) * service.decode_load,
        "input_tokens_per_s": service.input_tokens_per_s,
        "output_tokens_per_s": service.output_tokens_per_s,
    }


def _own(scenario: Scenario, facts: Facts, service: Service, facility: Facility) -> _Owning:
    book, site = facts.ledger, facts.catalog.resolve("sites", scenario.site.id)
    year = "economics"
    lives = AssetLives(
        systems=facts.assume(year, "server_life", scenario.economics.server_life, "s"),
        network=facts.assume(year, "network_life"),
        electrical=facts.number(
            "economics.electrical_life", "construction", "electrical-plant", "depreciation_life"
        ),
        mechanical=facts.number(
            "economics.mechanical_life", "construction", "mechanical-plant", "depreciation_life"
        ),
        building=facts.number(
            "economics.building_life", "construction", "building-book", "depreciation_life"
        ),
    )
    capex = capital_cost(
        systems=service.installed_systems,
        system_price_usd=_system_price(scenario, facts, service),
        network_usd=facility.network_capex_usd,
        it_power_w=facility.it_design_w,
        facility=_facility_prices(facts, site),
        spare_share=facts.number("economics.spares_share", "construction", "generic", "spares_share"),
    )
    cost = capex.items()
    it_capex, plant_capex = cost["systems"] + cost["network"], cost["electrical"] + cost["mechanical"]
    staff_per_w = facts.number("economics.staff_per_mw", "construction", "generic-hyperscale", "staff_per_mw")
    upkeep_it = facts.number(
        "economics.server_maintenance_share", "construction", "generic", "maintenance_share_it"
    )
    upkeep_plant = facts.number(
        "economics.plant_maintenance_share", "construction", "generic", "maintenance_share"
    )
    insurance = facts.number(
        "economics.insurance_share", "construction", "generic", "insurance_and_tax_share"
    )
    upkeep = it_capex * upkeep_it + plant_capex * upkeep_plant
    assets = capex.total
    running = operating_cost(
        facility_power_w=facility.facility_w,
        electricity_usd_per_j=facility.electricity_usd_per_j,
        staff_count=facility.it_design_w * np.asarray(staff_per_w),
        wage_usd_per_person_s=_wage(facts, site),
        asset_usd=assets,
        maintenance_per_s=np.divide(upkeep, assets),
        insurance_per_s=insurance,
        water_m3_per_s=facility.water_m3_per_s,
        water_usd_per_m3=facility.water_usd_per_m3,
    )
    book.derive("economics.staff", facility.it_design_w * np.asarray(staff_per_w))
    return _Owning(capex, lives, straight_line(capex, lives), running)


def _system_price(scenario: Scenario, facts: Facts, service: Service) -> Num:
    book = facts.ledger
    if scenario.economics.server_price is not None:
        return book.given("system.price", scenario.economics.server_price, "USD")
    price = facts.maybe("system.price", "systems", service.system.id, "price")
    if price is not None:
        return price
    chip = facts.maybe("chip.price", "chips", service.chip.id, "price")
    if chip is None:
        chip = _latest(facts, service.chip.id, "price_new")
    if chip is None:
        missing = f"{service.system.id} has no price on record; give economics.server_price"
        book.unavailable("system.price_estimate", missing)
        return np.nan
    share = np.asarray(facts.assume("hardware", "server_price_per_chip_share"))
    derived = service.system.chips * np.asarray(chip) * (1.0 + share)
    book.derive("system.price_estimate", derived)
    book.warn(f"{service.system.id} has no price on record: its chips' price plus a host share is used.")
    return derived


def _latest(facts: Facts, chip: str, parameter: str) -> Num | None:
    if chip not in facts.catalog.table("prices"):
        return None
    row = facts.catalog.latest("prices", chip, parameter)
    return None if row is None else facts.ledger.fact("chip.price", row)


def _wage(facts: Facts, site: str) -> Num:
    key = facts.text("sites", site, "construction") or "generic"
    if facts.catalog.get("construction", key, "staff_cost_per_person") is None:
        key = "generic"
    return facts.number("economics.staff_cost", "construction", key, "staff_cost_per_person")


def _facility_prices(facts: Facts, site: str) -> FacilityPrices:
    key = facts.text("sites", site, "construction")
    if key is None:
        key = "us-average"
        facts.ledger.warn(f"{site} has no build cost on record: the average of the United States is used.")
    names = ("capex_electrical", "capex_mechanical", "capex_shell", "capex_fit_out", "capex_land_and_soft")
    if all(facts.catalog.get("construction", key, name) for name in names):
        electrical, mechanical, shell, fit_out, land = (
            np.asarray(facts.number(f"construction.{name}", "construction", key, name)) for name in names
        )
        return FacilityPrices(electrical, mechanical, shell + fit_out, land)
    weights = [
        np.asarray(facts.number(f"construction.{name}", "construction", _SPLIT, name)) for name in names
    ]
    total = facts.number("construction.capex_total", "construction", key, "capex_total")
    electrical, mechanical, shell, fit_out, land = weights
    return split_facility_price(
        total, electrical=electrical, mechanical=mechanical, building=shell + fit_out, land=land
    )


def _returns(scenario: Scenario, facts: Facts, service: Service, owning: _Owning, cost_per_s: Num) -> None:
    book, price = facts.ledger, scenario.economics.price
    if price is None:
        for name in ("revenue_per_day", "profit_per_day", "margin_on_cost", "irr", "payback", "npv"):
            book.unavailable(f"economics.{name}", "no economics.price is given")
        return
    prices = TokenPrices(
        book.given("economics.price.input_hit", price.input_hit, "USD/tok"),
        book.given("economics.price.input_miss", price.input_miss, "USD/tok"),
        book.given("economics.price.output", price.output, "USD/tok"),
    )
    revenue = token_revenue(
        prices,
        input_tokens=service.input_tokens_per_s,
        cache_hit_share=scenario.demand.cache_hit_share,
        output_tokens=service.output_tokens_per_s,
    )
    for part, earned in revenue.items().items():
        book.derive(f"economics.revenue_parts.{part}", earned * DAY_S)
    book.derive("economics.revenue_per_day", revenue.total * DAY_S)
    book.derive("economics.profit_per_day", (revenue.total - cost_per_s) * DAY_S)
    book.derive("economics.margin_on_cost", margin_on_cost(revenue.total, cost_per_s))
    horizon = facts.assume("economics", "horizon", scenario.economics.horizon, "s")
    rate = facts.assume("economics", "discount_rate", scenario.economics.discount_rate)
    periods = max(1, round(float(np.asarray(horizon).reshape(-1)[0]) / YEAR_S))
    if np.isnan(owning.capex.total.reshape(-1)[0]):
        for name in ("irr", "payback", "npv"):
            book.unavailable(f"economics.{name}", book["economics.capex"].reason)
        return
    residual = book_value(owning.capex, owning.lives, periods * YEAR_S).total
    book.derive("economics.residual", residual)
    flows = project_cash_flows(
        owning.capex.total, revenue.total, owning.running.total, periods, residual_usd=residual
    )
    known = np.asarray(np.isfinite(flows).all(axis=-1))
    found = irr(np.where(known[..., np.newaxis], flows, 0.0))
    if np.any(found.roots[known] > 1):
        book.warn("The cash flows have more than one internal rate of return; the one closest to 0 is shown.")
    # What is left at the end is no income of the last year: payback is of the running surplus alone.
    payback = payback_s(project_cash_flows(owning.capex.total, revenue.total, owning.running.total, periods))
    book.derive(
        "economics.irr", np.where(known, found.rate, np.nan), missing="no rate makes these cash flows worth 0"
    )
    book.derive(
        "economics.payback", payback, missing="the capital cost does not come back within the horizon"
    )
    book.derive("economics.npv", npv_usd(rate, flows))
    late = float(np.mean(np.isnan(payback) & known))
    if late > 0.0 and not np.isnan(payback.reshape(-1)[0]):
        book.warn(
            f"In {late:.0%} of the draws the capital cost does not come back within the horizon of {periods} years; "
            "the band of payback is of the others."
        )
