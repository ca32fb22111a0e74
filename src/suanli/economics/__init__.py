"""Economics: capital and running cost by part, cost and price of tokens, cash flow and returns."""

from suanli.economics.capex import (
    AssetLives,
    Capex,
    FacilityPrices,
    annuity,
    book_value,
    capital_cost,
    capital_recovery_factor,
    split_facility_price,
    straight_line,
)
from suanli.economics.cashflow import (
    levelised_cost,
    npv_usd,
    payback_s,
    project_cash_flows,
)
from suanli.economics.irr import (
    Irr,
    irr,
)
from suanli.economics.money import (
    DAY_S,
    YEAR_S,
    Parts,
    usd_from_cny,
)
from suanli.economics.opex import (
    Opex,
    operating_cost,
)
from suanli.economics.revenue import (
    Revenue,
    TokenPrices,
    margin_on_cost,
    margin_on_revenue,
    token_revenue,
)
from suanli.economics.unit_cost import (
    UnitCost,
    unit_cost,
)

__all__ = [
    "DAY_S",
    "YEAR_S",
    "AssetLives",
    "Capex",
    "FacilityPrices",
    "Irr",
    "Opex",
    "Parts",
    "Revenue",
    "TokenPrices",
    "UnitCost",
    "annuity",
    "book_value",
    "capital_cost",
    "capital_recovery_factor",
    "irr",
    "levelised_cost",
    "margin_on_cost",
    "margin_on_revenue",
    "npv_usd",
    "operating_cost",
    "payback_s",
    "project_cash_flows",
    "split_facility_price",
    "straight_line",
    "token_revenue",
    "unit_cost",
    "usd_from_cny",
]
