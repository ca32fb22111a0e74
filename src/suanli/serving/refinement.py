"""What a user's own runs say of a framework's constants on his chip: factors, how sure they are, bands that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.serving.framework import ANY, Serving

if TYPE_CHECKING:
    from suanli.llm import Model
    from suanli.serving.closed_loop import Latency, Load
    from suanli.serving.layout import Placement
    from suanli.serving.precision import Precision

Array = NDArray[np.float64]

# Corrections, each a factor: time of decode kernels; host time of steps; time of prefill kernels; handling of a request
# before and after the first step; steps that pass until the first token is delivered.
CORRECTIONS = ("decode_kernels", "host", "prefill_kernels", "ttft_base", "ttft_steps")
SCATTERS = ("tpot_scatter", "ttft_scatter")
# Standard deviations of log(predicted/measured) that stay between conditions (load, lengths) of one deployment,
# whatever is corrected: the floor of every band. From the fit half of the INFX and AICGAP rows, 168 layouts
# (study/refine/priors).
TPOT_SCATTER = 0.066
TTFT_SCATTER = 0.34
# Half-width of a 90 % band in standard deviations.
HALF_WIDTH = 1.645
# Host time of a step that a factor acts on at least: the value for unknown frameworks. Fitted ones may be near zero.
_HOST_STEP_S = 0.7e-3
_FIELDS = 13


@dataclass(frozen=True, slots=True)
class Refinement:
    """Corrections of one framework, chip and kind of model, for all or for one of its versions and deployments.

    Attributes:
        chip: catalogue id.
        framework: its name.
        version: that the corrections are for, "*" for any other.
        kind: kind of model.
        deployment: see `deployment_label`; "*" for any other.
        factors: one for each of CORRECTIONS [1].
        covariance: of their logarithms; what was not measured of a version or deployment is in it [1].
        tpot_scatter: standard deviation of a logarithm between conditions that no factor explains, of TPOT [1].
        ttft_scatter: the same of TTFT [1].
        runs: runs behind it [1].
        fitted_on: those runs in words.
    """

    chip: str
    framework: str
    version: str
    kind: str
    deployment: str
    factors: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    tpot_scatter: float
    ttft_scatter: float
    runs: int = 0
    fitted_on: str = ""

    @property
    def measured(self) -> bool:
        """Whether that very version and deployment was run."""
        return ANY not in (self.version, self.deployment)

    def applied(self, values: Serving) -> Serving:
        """Return constants with the factors applied."""
        return corrected(values, dict(zip(CORRECTIONS, self.factors, strict=True)))

    def widths(
        self, printed: tuple[float, float], values: Serving, load: Load, found: Latency, host_s: ArrayLike
    ) -> list[tuple[float, float, float]]:
        """Return, for each question, the factors of three 90 % bands: TPOT, and of TTFT scatter and constants [1].

        They are at most those of a machine without runs, unless its own runs scatter more than others'.

        Args:
            printed: bands of TPOT and TTFT where there are no runs [1].
            values: constants, factors applied.
            load: what was asked.
            found: the latencies.
            host_s: host time of a decode step [s].
        """
        tpot, ttft = sensitivities(values, load, found, host_s)
        spread = np.asarray(self.covariance)
        of_tpot, of_ttft = (
            np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", part, spread, part), 0.0))
            for part in (tpot, ttft)
        )
        steps = np.exp(
            np.minimum(HALF_WIDTH * np.hypot(of_tpot, self.tpot_scatter), self._widest(printed[0]))
        )
        base = HALF_WIDTH * self.ttft_scatter
        known = math.log(printed[1])
        whole = np.minimum(np.hypot(HALF_WIDTH * of_ttft, base), np.hypot(known, np.log(steps)))
        firsts = np.exp(np.sqrt(np.maximum(whole**2 - min(base, known) ** 2, 0.0)))
        first = math.exp(min(base, known))
        return [(one, first, two) for one, two in zip(steps.tolist(), firsts.tolist(), strict=True)]

    def _widest(self, printed: float) -> float:
        """Logarithm of the widest TPOT band: as printed without runs, with the runs' own scatter beyond the usual."""
        return math.hypot(
            math.log(printed), HALF_WIDTH * math.sqrt(max(self.tpot_scatter**2 - TPOT_SCATTER**2, 0.0))
        )

    def pool_width(self, printed: float, prefill: bool) -> float:
        """Factor of the 90 % band of a pool's step, its kernels taken as the whole; at most the `printed` one [1]."""
        at = CORRECTIONS.index("prefill_kernels" if prefill else "decode_kernels")
        spread = math.hypot(math.sqrt(self.covariance[at][at]), self.tpot_scatter)
        return math.exp(min(HALF_WIDTH * spread, self._widest(printed)))


def corrected(values: Serving, factors: Mapping[str, float]) -> Serving:
    """Return constants with corrections applied: times are multiplied, the step's host time by at least its usual size.

    Args:
        values: the constants.
        factors: {correction of CORRECTIONS: factor}; absent ones are 1.
    """
    host, base = factors.get("host", 1.0), factors.get("ttft_base", 1.0)
    return replace(
        values,
        kernel_factor=values.kernel_factor * factors.get("decode_kernels", 1.0),
        step_s=values.step_s + (host - 1.0) * max(values.step_s, _HOST_STEP_S),
        sequence_s=values.sequence_s * host,
        prefill_step_s=values.prefill_step_s * host,
        host_layer_s=values.host_layer_s * host,
        prefill_factor=values.prefill_factor * factors.get("prefill_kernels", 1.0),
        ttft_base_s=values.ttft_base_s * base,
        prompt_s=values.prompt_s * base,
        ttft_steps=values.ttft_steps * factors.get("ttft_steps", 1.0),
    )


def sensitivities(values: Serving, load: Load, found: Latency, host_s: ArrayLike) -> tuple[Array, Array]:
    """How much TPOT and TTFT change with each correction: d log t/d log factor, from the shares that make them up.

    A step is kernels and host; TPOT is steps and the prompts between them; TTFT is request handling, steps until
    delivery, and prompts.

    Args:
        values: constants.
        load: what was asked.
        found: the latencies.
        host_s: host time of a decode step [s].

    Returns:
        Two arrays whose last axis runs over CORRECTIONS [1].
    """
    step, per_token = np.asarray(found.decode_step_s), np.asarray(found.tpot_s)
    ttft = np.maximum(np.asarray(found.ttft_s), 1e-9)
    host = np.clip(np.asarray(host_s, dtype=float) / step, 0.0, 1.0)
    steps = np.clip(step / np.maximum(per_token * load.tokens_per_step, 1e-12), 0.0, 1.0)
    zero = np.zeros(np.broadcast_shapes(step.shape, per_token.shape, host.shape))
    tpot = np.stack([steps * (1.0 - host) + zero, steps * host + zero, 1.0 - steps + zero, zero, zero], -1)
    handling = values.ttft_base_s + values.prompt_s * np.asarray(load.input_tokens, dtype=float)
    base = np.clip(handling / ttft, 0.0, 1.0)
    waited = np.minimum(values.ttft_steps * step / ttft, 1.0 - base)
    prompts = 1.0 - base - waited
    first = [waited * (1.0 - host), waited * host, prompts, base, waited]
    return tpot, np.stack(np.broadcast_arrays(*first, zero)[:-1], -1)


def deployment_label(model: Model, precision: Precision, placement: Placement) -> str:
    """Name what has an error of its own: model, weight formats and layout: "qwen3-32b fp8 tp4 pp1 dp1 ep1"."""
    layout = f"tp{placement.tp} pp{placement.pp} dp{placement.dp} ep{placement.ep}"
    return f"{model.id} {precision.weights.shown} {layout}"


class RefinementTable:
    """Refinements by chip, framework, kind of model, version and deployment."""

    def __init__(self, rows: Iterable[Sequence[str] | Refinement]) -> None:
        """Index refinements, or rows of refinements.csv as texts in the order of its columns."""
        rows = list(rows)
        found = [row for row in rows if isinstance(row, Refinement)]
        found += _read([row for row in rows if not isinstance(row, Refinement)])
        self._found = {(one.chip, one.framework, one.kind, one.version, one.deployment): one for one in found}

    def find(self, chip: str, framework: str, kind: str, version: str, deployment: str) -> Refinement | None:
        """Return the closest refinement: of the deployment in that version, of the deployment, of the version, any.

        Args:
            chip: catalogue id.
            framework: name; nothing is refined for "*".
            kind: kind of model.
            version: "" where unknown.
            deployment: see `deployment_label`.
        """
        for names in ((version, deployment), (ANY, deployment), (version, ANY), (ANY, ANY)):
            one = self._found.get((chip, framework, kind, *names))
            if one is not None:
                return one
        return None

    @property
    def refinements(self) -> tuple[Refinement, ...]:
        """All of them, in the file's order."""
        return tuple(self._found.values())


def _read(rows: Iterable[Sequence[str]]) -> list[Refinement]:
    sets: dict[tuple[str, ...], dict[str, Sequence[str]]] = {}
    for row in rows:
        if len(row) != _FIELDS:
            raise InputError(f"refinements.csv: a row has {len(row)} fields, not {_FIELDS}")
        sets.setdefault(tuple(row[:5]), {})[row[5]] = row
    return [_set(key, constants) for key, constants in sets.items()]


def _set(key: tuple[str, ...], constants: Mapping[str, Sequence[str]]) -> Refinement:
    place = "/".join(key)
    missing = [name for name in (*CORRECTIONS, *SCATTERS) if name not in constants]
    if missing:
        raise InputError(f"refinements.csv {place}: {', '.join(missing)} missing; import the runs again")
    try:
        errors = np.array([float(constants[name][7]) for name in CORRECTIONS])
        likeness = np.array([[float(text) for text in constants[name][8].split()] for name in CORRECTIONS])
        covariance = errors[:, None] * likeness * errors[None, :]
        chip, framework, version, kind, deployment = key
        return Refinement(
            chip,
            framework,
            version,
            kind,
            deployment,
            factors=tuple(float(constants[name][6]) for name in CORRECTIONS),
            covariance=tuple(tuple(line) for line in covariance.tolist()),
            tpot_scatter=float(constants["tpot_scatter"][6]),
            ttft_scatter=float(constants["ttft_scatter"][6]),
            runs=int(constants["decode_kernels"][9]),
            fitted_on=constants["decode_kernels"][12],
        )
    except ValueError as problem:
        raise InputError(f"refinements.csv {place}: {problem}") from None
