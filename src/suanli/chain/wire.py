"""Run a scenario through the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suanli.catalog import Catalog
from suanli.chain.facility import facility
from suanli.chain.facts import Facts
from suanli.chain.money import money
from suanli.chain.tokens import service
from suanli.result.draws import Draws
from suanli.result.ledger import Ledger
from suanli.result.run import Result, by_name

if TYPE_CHECKING:
    from suanli.scenario import Scenario


def run(scenario: Scenario, catalog: Catalog | None = None) -> Result:
    """Take a scenario from tokens to returns.

    Args:
        scenario: what to serve, on what, where, at which prices.
        catalog: the catalogue; the package's own where None.

    Returns:
        Every value with formula, inputs, source and band.

    Raises:
        ScenarioError: the scenario names what does not exist, or a layout that cannot be.
        InfeasibleError: the model does not fit, or an objective cannot be met.
        NoDataError: the catalogue lacks a fact that the chain cannot do without.

    Example:
        >>> import suanli
        >>> result = suanli.run(suanli.load("scenarios/deepseek-day.toml"))  # doctest: +SKIP
        >>> result["fleet.nodes"].value  # doctest: +SKIP
    """
    ledger = Ledger(Draws(scenario.uncertainty.draws, scenario.uncertainty.seed))
    facts = Facts(catalog or Catalog(), ledger)
    fleet = service(scenario, facts)
    place = facility(scenario, facts, fleet)
    money(scenario, facts, fleet, place)
    if scenario.economics.price is not None:
        ledger.warn(
            "Revenue is tokens x list price: free use, discounts and a company's other costs are not in it."
        )
    inputs = scenario.model_dump(mode="json", exclude_none=True, exclude_defaults=False)
    return Result(inputs, by_name(ledger), tuple(ledger.warnings))
