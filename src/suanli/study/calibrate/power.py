"""Fit the power law of accelerators and the rest of a server, and judge both on what they were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.coefficients import ANY, CoefficientRow
from suanli.hardware.power import (
    Activity,
    PowerCoefficients,
    accelerator_power,
    accelerator_power_w,
    limited_speed,
)
from suanli.hardware.power_server import ServerCoefficients, server_power
from suanli.study.calibrate.fit import Errors
from suanli.study.calibrate.power_data import (
    LEAST_LOAD,
    Chip,
    PowerRows,
    ServerRun,
    published_rows,
    server_runs,
    splitwise_rows,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Not identified on Hopper and Blackwell (the fit is flat from 0.2 to 0.7 and 0 to 0.5): the largest value at which a
# kernel that does nothing stays below the least power published for a serving H100 (267 W, Alice benchmark).
BUSY_SHARE = 0.3
# Not identified anywhere: 6 pJ/bit sent and as much received, the range published for NVLink-class serial links.
LINK_J_PER_BYTE = 1.0e-10
# A server of another maker: hosts of 100 to 300 W an accelerator, fans of half to twice the size.
OTHER_SERVER_MEDIAN, OTHER_SERVER_P90 = 0.10, 0.25
_OUTLIER = 0.1
_FREE = ("compute_share", "memory_share", "busy_share")
_STARTS, _HIGHS = (8.0, 1.2, 0.2), (60.0, 9.0, 1.5)


@dataclass(frozen=True, slots=True)
class FamilyFit:
    """Coefficients of one family, or of all pooled.

    Attributes:
        family: its name, "*" pooled.
        chip: the chip fitted on; None pooled.
        values: {share: value} of the three demands over TDP - idle.
        errors: {share: standard error}; None where given.
        rows: rows fitted on.
        judged: errors on models that were left out (families where pooled).
        per_group: {left out: errors}.
    """

    family: str
    chip: Chip | None
    values: Mapping[str, float]
    errors: Mapping[str, float | None]
    rows: int
    judged: Errors
    per_group: Mapping[str, Errors]

    @property
    def coefficients(self) -> PowerCoefficients:
        """Return them as the layer takes them: energies where they belong to a chip, shares where pooled."""
        if self.chip is None:
            return PowerCoefficients(**self.values)
        return PowerCoefficients(**self.energies(), link_j_per_byte=LINK_J_PER_BYTE)

    def energies(self, of: Mapping[str, float | None] | None = None) -> dict[str, float]:
        """Return shares (or their errors) as energies of the family's silicon: share x (TDP - idle)/peak."""
        shares = self.values if of is None else {name: value or 0.0 for name, value in of.items()}
        if self.chip is None:
            return dict(shares)
        room = self.chip.tdp_w - self.chip.idle_w
        return {
            "busy_share": shares["busy_share"],
            "compute_j_per_flop": shares["compute_share"] * room / self.chip.peak_flop_per_s,
            "memory_j_per_byte": shares["memory_share"] * room / self.chip.bandwidth_bytes_per_s,
        }


@dataclass(frozen=True, slots=True)
class RunCheck:
    """One server run, predicted: chip power, wall power and speed beside the measured ones."""

    run: ServerRun
    chip_w: float
    wall_w: float
    speed: float

    @property
    def wall_error(self) -> float:
        """Predicted over measured wall power, minus 1."""
        return self.wall_w / self.run.wall_w - 1.0


@dataclass(frozen=True, slots=True)
class PowerCalibration:
    """Everything that the calibration of power found."""

    families: tuple[FamilyFit, ...]
    pooled: FamilyFit
    server: ServerCoefficients
    server_errors: Mapping[str, float]
    limit_exponent: float
    limit_error: float
    checks: tuple[RunCheck, ...]
    transfer: Mapping[str, Errors]

    @property
    def rows(self) -> list[CoefficientRow]:
        """The rows of power_model.csv."""
        found = [row for fit in self.families for row in self._family_rows(fit)]
        return found + self._pooled_rows() + self._server_rows()

    def _family_rows(self, fit: FamilyFit) -> list[CoefficientRow]:
        values = fit.energies() | {"link_j_per_byte": LINK_J_PER_BYTE, "limit_exponent": self.limit_exponent}
        errors: dict[str, float | None] = dict(fit.energies(fit.errors))
        errors = {name: error or None for name, error in errors.items()} | {
            "limit_exponent": self.limit_error
        }
        chip = fit.chip.id if fit.chip else ANY
        source = "splitwise" if fit.family == "ampere" else "mlenergy-v3"
        made = []
        for name, judged in ((chip, fit.judged), (ANY, self.transfer[fit.family])):
            words = (
                f"{chip}, models left out" if name != ANY else f"{chip}; band: predicted from other families"
            )
            for key, value in values.items():
                numbers = (value, errors.get(key), fit.rows, judged.rows, judged.median, judged.p90)
                made.append(_row("power", name, fit.family, key, numbers, words, source))
        return made

    def _pooled_rows(self) -> list[CoefficientRow]:
        fit = self.pooled
        values = dict(fit.values) | {"limit_exponent": self.limit_exponent}
        errors = dict(fit.errors) | {"limit_exponent": self.limit_error}
        judged = fit.judged
        return [
            _row(
                "power",
                ANY,
                ANY,
                key,
                (value, errors.get(key), fit.rows, judged.rows, judged.median, judged.p90),
                "ampere, hopper and blackwell pooled, families left out",
                "splitwise; mlenergy-v3",
            )
            for key, value in values.items()
        ]

    def _server_rows(self) -> list[CoefficientRow]:
        sizes = [abs(check.wall_error) for check in self.checks if check.run.held_out]
        numbers = (6, len(sizes), float(np.median(sizes)), float(np.max(sizes)))
        words = "8 x H200: idle, GPT-J and Mixtral runs; llama2-70b runs left out"
        made = []
        for key in ("host_w_per_chip", "fan_share"):
            value, error = getattr(self.server, key), self.server_errors.get(key)
            made.append(
                _row(
                    "server_power",
                    ANY,
                    "nvidia-hgx",
                    key,
                    (value, error, *numbers),
                    words,
                    "mlperf-power-v4.1",
                )
            )
            other = (value, None, 0, 0, OTHER_SERVER_MEDIAN, OTHER_SERVER_P90)
            made.append(
                _row("server_power", ANY, ANY, key, other, "HGX scaled; band is our estimate", "own-estimate")
            )
        return made


def calibrate_power(data: Path | str) -> PowerCalibration:
    """Fit and judge the power of accelerators and servers.

    Accelerators: relative residuals of mean power, soft L1, every model of equal weight; judged on models left out of
    the fit, and (pooled coefficients) on families left out. Servers: idle and the runs that are not held out.

    Args:
        data: data folder with measured/ and power/.

    Raises:
        NoDataError: a file is not there.
    """
    folder = Path(data)
    served = [group.where(group.compute + group.memory >= LEAST_LOAD) for group in published_rows()]
    groups = [splitwise_rows(folder), *served]
    families = tuple(fit_family(group) for group in groups)
    pooled, transfer = _fit_pooled(groups)
    runs = server_runs(folder)
    exponent, spread = _fit_limit(runs)
    hopper = next(fit for fit in families if fit.family == "hopper").coefficients
    server, errors = _fit_server(runs, hopper)
    checks = tuple(_check_run(run, hopper, server, exponent) for run in runs)
    return PowerCalibration(families, pooled, server, errors, exponent, spread, checks, transfer)


def fit_family(rows: PowerRows) -> FamilyFit:
    """Fit one chip's rows and judge each model on the others."""
    given = {} if rows.chip.family == "ampere" else {"busy_share": BUSY_SHARE}
    values, errors = _fit([rows], given)
    per_group, sizes = {}, []
    for model in np.unique(rows.model):
        out = rows.model == model
        left, _ = _fit([rows.where(~out)], given)
        residual = _residual(rows.where(out), left)
        per_group[str(model)] = _errors(residual)
        sizes.append(residual)
    judged = _errors(np.concatenate(sizes))
    return FamilyFit(rows.chip.family, rows.chip, values, errors, rows.power_w.size, judged, per_group)


def _fit_pooled(groups: Sequence[PowerRows]) -> tuple[FamilyFit, dict[str, Errors]]:
    """Fit all families in shares of their peaks; each is also predicted from the others."""
    values, errors = _fit(groups, {})
    per_group, sizes = {}, []
    for group in groups:
        others, _ = _fit([other for other in groups if other is not group], {})
        residual = _residual(group, others)
        per_group[group.chip.family] = _errors(residual)
        sizes.append(residual)
    rows = sum(group.power_w.size for group in groups)
    return FamilyFit(ANY, None, values, errors, rows, _errors(np.concatenate(sizes)), per_group), per_group


def _fit(
    groups: Sequence[PowerRows], given: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float | None]]:
    from scipy.optimize import least_squares

    free = [index for index, name in enumerate(_FREE) if name not in given]
    weights = [_weights(group) / np.sqrt(len(groups)) for group in groups]

    def residual(position: Array) -> Array:
        values = dict(given) | {
            _FREE[index]: float(value) for index, value in zip(free, position, strict=True)
        }
        return np.concatenate(
            [w * _residual(group, values) for w, group in zip(weights, groups, strict=True)]
        )

    start, high = ([numbers[index] for index in free] for numbers in (_STARTS, _HIGHS))
    found = least_squares(residual, start, bounds=(0.0, high), loss="soft_l1", f_scale=_OUTLIER)
    values = {name: float(given.get(name, 0.0)) for name in _FREE}
    values |= {_FREE[index]: float(value) for index, value in zip(free, found.x, strict=True)}
    count = sum(group.power_w.size for group in groups)
    noise = float(np.sum(residual(found.x) ** 2)) / max(count - len(free), 1)
    spread = np.sqrt(np.maximum(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * noise, 0.0))
    errors: dict[str, float | None] = dict.fromkeys(_FREE)
    errors |= {_FREE[index]: float(size) for index, size in zip(free, spread, strict=True)}
    return values, errors


def _residual(rows: PowerRows, values: Mapping[str, float]) -> Array:
    chip = accelerator_power(
        PowerCoefficients(**values),
        rows.chip.tdp_w,
        rows.chip.peak_flop_per_s,
        rows.chip.bandwidth_bytes_per_s,
        idle_w=rows.chip.idle_w,
    )
    return np.asarray(accelerator_power_w(rows.activity(), chip) / rows.power_w - 1.0)


def _weights(rows: PowerRows) -> Array:
    counts = dict(zip(*np.unique(rows.model, return_counts=True), strict=True))
    return np.array([1.0 / np.sqrt(counts[model]) for model in rows.model])


def _errors(residual: Array) -> Errors:
    size = np.abs(residual)
    return Errors(
        float(np.median(size)), float(np.percentile(size, 90.0)), float(np.median(residual)), int(size.size)
    )


def _run_chip_w(run: ServerRun, coefficients: PowerCoefficients, busy: bool = True) -> float:
    chip = accelerator_power(
        coefficients,
        run.chip.tdp_w,
        run.chip.peak_flop_per_s,
        run.chip.bandwidth_bytes_per_s,
        run.chip.link_bytes_per_s,
        idle_w=run.chip.idle_w,
    )
    activity = run.activity if busy else Activity(busy=0.0)
    return float(accelerator_power_w(activity, chip, run.limit_w))


def _fit_limit(runs: Sequence[ServerRun]) -> tuple[float, float]:
    """Fit k of speed = ((limit - idle)/(TDP - idle))^k on the runs that are not held out."""
    slopes = [
        np.log(run.speed) / np.log((run.limit_w - run.chip.idle_w) / (run.chip.tdp_w - run.chip.idle_w))
        for run in runs
        if not run.held_out
    ]
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1))


def _fit_server(
    runs: Sequence[ServerRun], chip: PowerCoefficients
) -> tuple[ServerCoefficients, dict[str, float]]:
    """Fit host power and fans on the runs that are not held out and the idle power before them."""
    from scipy.optimize import least_squares

    points = [(_run_chip_w(run, chip), run.wall_w, run) for run in runs if not run.held_out]
    points += [
        (_run_chip_w(run, chip, False), run.idle_w, run) for run in runs if not run.held_out and run.idle_w
    ]
    chip_w, wall_w = (np.array([point[column] for point in points], dtype=float) for column in (0, 1))
    first = points[0][2]

    def wall(position: Array) -> Array:
        made = ServerCoefficients(host_w_per_chip=float(position[0]), fan_share=float(position[1]))
        predicted = server_power(chip_w, first.chips, first.chip.tdp_w, first.nics, made).wall_w
        return np.asarray(predicted / wall_w - 1.0)

    found = least_squares(wall, (165.0, 0.18), bounds=((0.0, 0.0), (800.0, 1.0)), x_scale=(100.0, 0.1))
    noise = 2.0 * float(found.cost) / max(len(points) - 2, 1)
    spread = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * noise)
    host, fans = (float(value) for value in found.x)
    errors = {"host_w_per_chip": float(spread[0]), "fan_share": float(spread[1])}
    return ServerCoefficients(host_w_per_chip=host, fan_share=fans), errors


def _check_run(
    run: ServerRun, coefficients: PowerCoefficients, server: ServerCoefficients, exponent: float
) -> RunCheck:
    chip_w = _run_chip_w(run, coefficients)
    wall = server_power(chip_w, run.chips, run.chip.tdp_w, run.nics, server).wall_w
    power = accelerator_power(
        PowerCoefficients(limit_exponent=exponent), run.chip.tdp_w, 1.0, 1.0, idle_w=run.chip.idle_w
    )
    return RunCheck(run, chip_w, float(wall), float(limited_speed(power, run.limit_w)))


def _row(
    operator: str,
    chip: str,
    family: str,
    name: str,
    numbers: tuple[float, float | None, int, int, float, float],
    words: str,
    source: str,
) -> CoefficientRow:
    value, error, fitted, judged, median, p90 = numbers
    return CoefficientRow(
        operator, chip, family, ANY, ANY, ANY, name, value, error, fitted, judged, median, p90, words, source
    )


def write_power(data: Path | str, table: Path) -> PowerCalibration:
    """Fit, and write the rows to a table such as catalog/data/power_model.csv."""
    from suanli.study.calibrate.rows import write_rows

    found = calibrate_power(data)
    write_rows(found.rows, table)
    return found
