"""What a user asks of the search: the work, the objectives, and the one resource that is limited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from suanli.errors import InputError, UnitError
from suanli.units import parse

LimitKind = Literal["chips", "price", "rent", "power"]
Mode = Literal["aggregated", "disaggregated"]
MODES: tuple[Mode, ...] = ("aggregated", "disaggregated")


@dataclass(frozen=True, slots=True)
class Limit:
    """The resource that is limited.

    Attributes:
        kind: "chips", "price" (to buy), "rent" (a rate) or "power" (at the AC input of the servers).
        value: how much there is: chips [1], price [USD], rent [USD/s] or power [W].
        text: as the user wrote it.
    """

    kind: LimitKind
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """One deployment search.

    Attributes:
        model: catalogue id, alias, Hugging Face name or path of a config.json.
        chips: accelerators to choose from, as the user names them.
        isl: prompt length [token].
        osl: output length [token].
        limit: the resource that is limited.
        ttft_slo_s: longest mean time to first token; None for no objective [s].
        tpot_slo_s: longest time per output token; None for no objective [s].
        prefix_share: share of the prompt that the prefix cache holds [1].
        modes: kinds of deployment to search.
        framework: "vllm 0.19.0", "sglang", "*".
        weights_dtype: weight format; None for what the name implies, else the checkpoint's own.
        kv_dtype: cache format; None for the framework's choice.
        options: further conditions by name, as an estimate takes them.
    """

    model: str
    chips: tuple[str, ...]
    isl: float
    osl: float
    limit: Limit
    ttft_slo_s: float | None = None
    tpot_slo_s: float | None = None
    prefix_share: float = 0.0
    modes: tuple[Mode, ...] = MODES
    framework: str = "*"
    weights_dtype: str | None = None
    kv_dtype: str | None = None
    options: Mapping[str, float] = field(default_factory=dict)


def read_limit(chips: int | None, budget: str | None, power: str | None) -> Limit:
    """Read the limit from what the user gave; exactly one of the three.

    Args:
        chips: number of accelerators [1].
        budget: "5 MUSD" to buy, "100 USD/h" to rent.
        power: "1 MW", at the AC input of the servers.

    Returns:
        The limit.

    Raises:
        InputError: none or several given, not above zero.
        UnitError: a budget or power that cannot be read.
    """
    given = {"--chips": chips, "--budget": budget, "--power": power}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        what = "none is given" if not named else f"{' and '.join(named)} are given"
        raise InputError(f"Give exactly one of --chips N, --budget AMOUNT and --power AMOUNT; {what}.")
    if chips is not None:
        found = Limit("chips", float(chips), f"{chips} chip{'' if chips == 1 else 's'}")
    elif budget is not None:
        found = _money(budget)
    else:
        found = Limit("power", _quantity("--power", str(power), "W", 'an amount such as "1 MW"'), str(power))
    if found.value <= 0.0:
        raise InputError(f"{named[0]} must be above 0, got {found.text}")
    return found


def _money(text: str) -> Limit:
    try:
        return Limit("price", parse(text, "USD"), text)
    except UnitError:
        hint = 'an amount to buy for such as "5 MUSD", or a rent such as "100 USD/h"'
        return Limit("rent", _quantity("--budget", text, "USD/h", hint), text)


def _quantity(name: str, text: str, unit: str, hint: str) -> float:
    try:
        return parse(text, unit)
    except UnitError as error:
        raise UnitError(f"{name}: {error}; write {hint}") from None


def check(question: Question) -> None:
    """Check the numbers of a question.

    Raises:
        InputError: every problem, one line each.
    """
    problems = [
        f"{name} must be at least 1 token, got {value:g}"
        for name, value in (("--isl", question.isl), ("--osl", question.osl))
        if not value >= 1.0
    ]
    problems += [
        f"{name} must be above 0, got {value:g} s"
        for name, value in (("--ttft-slo", question.ttft_slo_s), ("--tpot-slo", question.tpot_slo_s))
        if value is not None and not value > 0.0
    ]
    if not 0.0 <= question.prefix_share < 1.0:
        problems.append(
            f"--prefix is the cached share of a prompt, from 0 to below 1; got {question.prefix_share:g}"
        )
    if not question.chips:
        problems.append("--chip names no accelerator")
    if problems:
        raise InputError("\n".join(problems))
