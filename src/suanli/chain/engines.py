"""The engines of a scenario: its deployment as the operator model times it, and draws for that model's error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.chain.deployment import Deployment
from suanli.chain.facts import Facts
from suanli.errors import InputError, ScenarioError
from suanli.serving import Accelerator, Coefficients, Point
from suanli.serving.bands import step_band
from suanli.serving.engine import Engine, engine
from suanli.serving.engine_names import framework_named

if TYPE_CHECKING:
    from suanli.demand import TokenDemand
    from suanli.hardware import Chip
    from suanli.scenario import Scenario

Num = float | NDArray[np.float64]

# A chip fact with a band is varied by this share to see how much a time depends on it.
_STEP = 0.05
_STATED = 0.9  # the share of draws inside a 90 % band


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of both phases with the questions that made them.

    Attributes:
        prefill: engine that computes prompts.
        decode: engine that decodes; it serves both phases where they share chips.
        questions: the two questions.
        ranks: ranks that software sees in a chip [1].
        tables: the calibration rows they were built from.
    """

    prefill: Engine
    decode: Engine
    questions: tuple[Point, Point]
    ranks: int
    tables: Coefficients

    def packages(self, ready: Engine) -> float:
        """Return the chips of one replica of an engine [1]."""
        return ready.placement.chips / self.ranks


def engines_of(
    scenario: Scenario,
    deployment: Deployment,
    chip: Accelerator,
    demand: TokenDemand,
    tables: Coefficients,
) -> Engines:
    """Build the engines of a scenario on a chip.

    Args:
        scenario: the scenario.
        deployment: model and layouts.
        chip: the chip.
        demand: lengths of requests.
        tables: calibration rows; they keep the engines built from them.

    Raises:
        ScenarioError: a layout that cannot be.
        InfeasibleError: the chip cannot compute in the format.
    """
    questions = [
        Point(
            model=deployment.model,
            chip=chip,
            n_chips=layout.chips,
            tp=layout.tp,
            ep=layout.ep if deployment.model.experts_per_layer else None,
            weights_dtype=scenario.llm.weights_dtype,
            kv_dtype=scenario.llm.kv_dtype,
            framework=framework_named(scenario.serving.framework),
            phase="mixed" if deployment.shared else phase,
            isl=max(nominal(demand.input_tokens), 1.0),
            osl=max(nominal(demand.output_tokens), 1.0),
            options=_options(scenario, deployment, phase, chip),
        )
        for phase, layout in (("prefill", deployment.prefill), ("decode", deployment.decode))
    ]
    names = ("replica", "replica") if deployment.shared else ("prefill", "decode")
    first, last = (
        _engine(question, tables, f"serving.{name}") for question, name in zip(questions, names, strict=True)
    )
    return Engines(first, last, (questions[0], questions[1]), chip.ranks, tables)


def _engine(question: Point, tables: Coefficients, place: str) -> Engine:
    try:
        return engine(question, tables)
    except InputError as error:
        raise ScenarioError([f"{place}: {line}" for line in str(error).splitlines()]) from None


def _options(scenario: Scenario, deployment: Deployment, phase: str, chip: Accelerator) -> dict[str, float]:
    serving = scenario.serving
    pool = serving.replica or (serving.prefill if phase == "prefill" else serving.decode)
    options = {"mtp_draft": 1.0 if scenario.llm.mtp else 0.0}
    experts = deployment.model.experts_per_layer
    if pool is not None and experts:
        # Without a number given, as many copies as let all ranks hold equally many experts.
        copies = -experts % (pool.ep * chip.ranks) if pool.ep > 1 else 0
        options["redundant_experts"] = float(
            copies if pool.redundant_experts is None else pool.redundant_experts
        )
    if serving.expert_imbalance is not None:
        options["expert_imbalance"] = serving.expert_imbalance
    return options


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A factor on modelled times as the ledger takes it: 1, with the band that left-out rows kept."""

    name: str
    band: tuple[float, float]
    grade: str
    locator: str
    number: float = 1.0
    si: float = 1.0
    unit: str = "1"
    source: str = "calibration-data"
    as_of: str = ""

    @property
    def band_si(self) -> tuple[float, float]:
        """The band in coherent units."""
        return self.band


def model_error(facts: Facts, name: str, row: str, factor: float, grade: str, locator: str) -> Num:
    """Record a factor of 1 with a band, and return its draws.

    Args:
        facts: the run's facts.
        name: name in the ledger.
        row: file, set and coefficient that the band stands in, "calibration/family/tpot_band".
        factor: f of the 90 % band from 1/f to f, at least 1 [1].
        grade: of the fit.
        locator: what the band is known from.
    """
    low, high = 1.0 - (1.0 - 1.0 / factor) / _STATED, 1.0 + (factor - 1.0) / _STATED
    return facts.ledger.fact(name, _Fitted(row, (max(low, 0.05), high), grade, locator))


def time_error(facts: Facts, name: str, ready: Engine) -> Num:
    """Record how far the modelled times of an engine may be off, and return draws of that factor."""
    serving, basis = ready.serving, ready.table.basis
    factor = step_band(serving.values.tpot_band, basis, serving.framework != "*")
    known = serving.framework if serving.framework != "*" else "no deployment fitted"
    locator = f"kernels: {basis}; framework: {known}"
    row = f"calibration/{basis}/{name.removeprefix('serving.')}"
    return model_error(facts, name, row, factor, "A" if basis == "calibrated" else "C", locator)


def drift(chip: Chip, accelerator: Accelerator, time_s: Callable[[Accelerator], float], at_s: float) -> Num:
    """Factor on a time for chip facts that are not known exactly: product of (sample/nominal)^elasticity.

    Args:
        chip: the chip with samples.
        accelerator: the same chip at nominal values.
        time_s: the time on a changed chip [s].
        at_s: the time on the nominal chip [s].

    Returns:
        The factor, 1 where all facts are exact [1].
    """
    found: Num = 1.0
    operators = accelerator.operators
    peak = next((name for name in ("bf16", "fp16") if name in chip.peak_flop_per_s), None)
    for samples, changed in (
        (
            1.0 if peak is None else chip.peak_flop_per_s[peak],
            lambda k: {"peak_flop_per_s": {n: v * k for n, v in operators.peak_flop_per_s.items()}},
        ),
        (chip.bandwidth_bytes_per_s, lambda k: _scaled(operators, "memory_bandwidth_bytes_per_s", k)),
        (chip.scale_up_bytes_per_s, lambda k: _scaled(operators, "link_bytes_per_s", k)),
        (chip.scale_out_bytes_per_s, lambda k: _scaled(operators, "network_bytes_per_s", k)),
    ):
        sampled = np.asarray(samples, dtype=float)
        if sampled.size < 2 or np.all(sampled == sampled.reshape(-1)[0]):
            continue
        other = replace(accelerator, operators=replace(operators, **changed(1.0 + _STEP)))
        elasticity = np.log(time_s(other) / at_s) / np.log(1.0 + _STEP)
        found = found * (sampled / sampled.reshape(-1)[0]) ** elasticity
    return found


def _scaled(operators: object, name: str, factor: float) -> dict[str, ArrayLike]:
    value = getattr(operators, name)
    return {} if value is None else {name: np.asarray(value, dtype=float) * factor}


def nominal(samples: ArrayLike) -> float:
    """Return the nominal value of samples."""
    return float(np.asarray(samples, dtype=float).reshape(-1)[0])
