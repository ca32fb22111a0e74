"""How far a machine, a framework's version and a deployment may be from the package, before any run is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.serving.bands import step_band
from suanli.serving.framework import ANY, ServingSet
from suanli.serving.refinement import HALF_WIDTH, TPOT_SCATTER, TTFT_SCATTER

Array = NDArray[np.float64]

# Standard deviations of log(predicted/measured), from the fit half of the INFX and AICGAP rows: 748 TPOT rows in 26
# groups of chip, framework and kind of model, 55 with the version, 168 layouts. TPOT: 0.064 (median of absolute
# deviations over 0.6745) to 0.084 (root mean square) within a layout, 0.09 to 0.11 within a version, 0.10 to 0.13
# within a group; the same whether kernels of the chip, of its family or of no family are known. TTFT: 0.21 to 0.32
# within a layout, 0.25 to 0.39 within a version, 0.28 to 0.42 within a group.
TPOT_DEPLOYMENT = 0.09
TPOT_VERSION = 0.07
# What is left of that where the package has a factor of its own for the version (same rows, shipped constants).
TPOT_FITTED_VERSION = 0.045
TTFT_DEPLOYMENT = 0.24
TTFT_VERSION = 0.15
# Residuals follow Student's t with so many degrees of freedom. TPOT's are nearly normal (the 90th percentile of judged
# rows is 2.4 times the median, as of a normal distribution), but for runs that are not what was stated; TTFT's have
# outliers of their own, queues and warm-up, whose 90 % band is that of a normal distribution so much wider (2.13/1.645,
# and the mass beyond).
TPOT_FREEDOM = 8.0
TTFT_FREEDOM = 4.0
TTFT_TAIL = 1.35
# A machine differs from the package at least by this (silicon, clocks, cooling).
_LEAST = 0.03
# Host time depends on the user's CPU: fitted step times of frameworks range over a factor of two (frameworks.csv).
_HOST = 0.4
# Prefill kernels add this to what decode kernels may be off by (the fit's own scale, calibrate/serving.py, is 0.25 for
# a framework; fitted values of frameworks range from 0.95 to 1.22).
_PREFILL = 0.1


@dataclass(frozen=True, slots=True)
class Prior:
    """Standard deviations of the logarithm of each of CORRECTIONS at three levels, and what no correction explains.

    Attributes:
        machine: of the chip with its framework and kind of model.
        version: of one version of the framework around it.
        deployment: of one model and layout around it.
        tpot_scatter: between conditions of one deployment, of TPOT [1].
        ttft_scatter: the same of TTFT, scale of a Student's t [1].
    """

    machine: Array
    version: Array
    deployment: Array
    tpot_scatter: float
    ttft_scatter: float


def prior(serving: ServingSet, basis: str) -> Prior:
    """Return the prior behind the printed bands: what they hold beyond the known scatter is the machine's.

    Args:
        serving: constants of the framework and kind of model, not refined.
        basis: "calibrated", "family" or "datasheet".
    """
    values = serving.values
    step = math.log(step_band(values.tpot_band, basis, serving.framework != "*")) / HALF_WIDTH
    first = math.log(values.ttft_band) / HALF_WIDTH
    version = TPOT_VERSION if serving.version == ANY else TPOT_FITTED_VERSION
    kernels = _left(step, TPOT_SCATTER, TPOT_DEPLOYMENT, version)
    queues = max(_left(first, TTFT_SCATTER, TTFT_DEPLOYMENT, TTFT_VERSION), 0.3)
    prefill = math.hypot(kernels, _PREFILL)
    return Prior(
        machine=np.array([kernels, _HOST, prefill, queues, queues]),
        version=np.array([version, 0.1, version, TTFT_VERSION, TTFT_VERSION]),
        deployment=np.array([TPOT_DEPLOYMENT, 0.1, TTFT_DEPLOYMENT, TTFT_DEPLOYMENT, TTFT_DEPLOYMENT]),
        tpot_scatter=TPOT_SCATTER,
        ttft_scatter=TTFT_SCATTER / TTFT_TAIL,
    )


def _left(total: float, *parts: float) -> float:
    return math.sqrt(max(total**2 - sum(part**2 for part in parts), _LEAST**2))
