"""Cash flows of a project and what they are worth. Time is the last axis: the outlay, then the periods."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.economics.money import YEAR_S
from suanli.errors import InputError

Array = NDArray[np.float64]


def project_cash_flows(
    capex_usd: ArrayLike,
    revenue_usd_per_s: ArrayLike,
    running_usd_per_s: ArrayLike,
    periods: int,
    *,
    period_s: float = YEAR_S,
    revenue_growth: ArrayLike = 0.0,
    running_growth: ArrayLike = 0.0,
    residual_usd: ArrayLike = 0.0,
    depreciation_usd_per_s: ArrayLike = 0.0,
    tax_rate: ArrayLike = 0.0,
) -> Array:
    """Cash flows of a project: outlay at 0, then revenue - running cost - tax at the end of every period.

    Revenue and running cost grow by a constant factor a period; the residual value comes with the last flow.
    Tax is rate x max(0, profit after depreciation), losses carried forward without limit. Assets are not
    replaced within the project: let it end with the shortest life and take the rest as residual value.

    Args:
        capex_usd: outlay [USD].
        revenue_usd_per_s: revenue of the first period [USD/s].
        running_usd_per_s: running cost of the first period [USD/s].
        periods: number of periods [1].
        period_s: length of one [s].
        revenue_growth: growth of revenue a period (price cuts are negative) [1].
        running_growth: growth of running cost a period [1].
        residual_usd: value of the assets at the end [USD].
        depreciation_usd_per_s: what may be deducted from profit [USD/s].
        tax_rate: tax on profit [1].

    Returns:
        Cash flows, shape (..., periods + 1) [USD].

    Raises:
        InputError: fewer than one period.
    """
    if periods < 1:
        raise InputError(f"a project has at least one period, not {periods}")
    earned, spent = _array(revenue_usd_per_s) * period_s, _array(running_usd_per_s) * period_s
    worn = _array(depreciation_usd_per_s) * period_s
    flows, loss = [-_array(capex_usd)], np.zeros(())
    for period in range(periods):
        surplus = earned * (1.0 + _array(revenue_growth)) ** period
        surplus = surplus - spent * (1.0 + _array(running_growth)) ** period
        profit = surplus - worn - loss
        loss = np.maximum(-profit, 0.0)
        flows.append(surplus - _array(tax_rate) * np.maximum(profit, 0.0))
    flows[-1] = flows[-1] + _array(residual_usd)
    return np.stack(np.broadcast_arrays(*flows), axis=-1)


def npv_usd(rate: ArrayLike, cash_flows: ArrayLike) -> Array:
    """Net present value: sum over t of CF_t/(1 + r)^t, t = 0, 1, ...

    Args:
        rate: r, discount rate a period, above -1, shape (...) [1].
        cash_flows: CF, shape (..., periods + 1) [USD].

    Returns:
        Value at time 0, shape (...) [USD].

    Raises:
        InputError: a rate of -1 or below.
    """
    flows, discount = _flows(cash_flows), _array(rate)
    if np.any(discount <= -1.0):
        raise InputError("the discount rate must be above -1")
    growth = np.log1p(discount)[..., np.newaxis] * np.arange(flows.shape[-1])
    return np.asarray(np.sum(flows * np.exp(-growth), axis=-1))


def payback_s(cash_flows: ArrayLike, *, rate: ArrayLike = 0.0, period_s: float = YEAR_S) -> Array:
    """Time until the cumulated, discounted cash flow is 0 or above and stays so, linear within a period.

    Args:
        cash_flows: shape (..., periods + 1) [USD].
        rate: discount rate a period; 0 is the simple payback [1].
        period_s: length of a period [s].

    Returns:
        Payback, shape (...) [s]; 0 where the cumulated flow never is negative, NaN where it is not paid back.
    """
    flows, discount = _flows(cash_flows), _array(rate)[..., np.newaxis]
    steps = np.arange(flows.shape[-1])
    present = flows * np.exp(-np.log1p(discount) * steps)
    cumulated = np.cumsum(present, axis=-1)
    below = cumulated < -1e-12 * np.max(np.abs(flows), axis=-1, keepdims=True)
    last = np.where(below, steps, -1).max(axis=-1)
    paid = last < flows.shape[-1] - 1
    after = np.minimum(last + 1, flows.shape[-1] - 1)
    due = -np.take_along_axis(cumulated, np.maximum(last, 0)[..., np.newaxis], axis=-1)[..., 0]
    gain = np.take_along_axis(present, after[..., np.newaxis], axis=-1)[..., 0]
    part = due / np.where(paid & (last >= 0), gain, 1.0)
    return np.where(last < 0, 0.0, np.where(paid, (last + part) * period_s, np.nan))


def levelised_cost(rate: ArrayLike, costs: ArrayLike, amounts: ArrayLike) -> Array:
    """Levelised cost: discounted cost over discounted amount, as LCOE does with energy and we do with tokens.

    Args:
        rate: discount rate a period [1].
        costs: outlay and running cost, positive, shape (..., periods + 1) [USD].
        amounts: what is delivered, shape (..., periods + 1) [token, J, ...].

    Returns:
        Cost of a unit [USD/token, USD/J, ...]; NaN where nothing is delivered.

    Reference:
        W. Short, D. Packey, T. Holt, "A Manual for the Economic Evaluation of Energy Efficiency", NREL, 1995.
    """
    cost, amount = npv_usd(rate, costs), npv_usd(rate, amounts)
    safe = np.where(amount == 0.0, 1.0, amount)
    return np.where(amount == 0.0, np.nan, cost / safe)


def _flows(cash_flows: ArrayLike) -> Array:
    flows = _array(cash_flows)
    if flows.ndim < 1 or flows.shape[-1] < 1:
        raise InputError("cash flows need at least one period along the last axis")
    return flows


def _array(value: ArrayLike) -> Array:
    return np.asarray(value, dtype=float)
