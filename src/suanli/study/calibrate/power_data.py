"""Measured power: what was read where, and which shares of the chip's peaks the work used."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.catalog import Catalog
from suanli.errors import NoDataError
from suanli.hardware.power import Activity, activity_from_rates

Array = NDArray[np.float64]
# Model and chips, compute share, memory share, power of a chip [W].
_Entry = tuple[str, float, float, float]

SPLITWISE = "measured/splitwise_perf_model.csv"
MEASURED = "measured/measured_inference.csv"
TRACES = "power"
# Mean prompt of the benchmark's chat task: not published; from the gap between mean and median step time.
CHAT_PROMPT_TOKENS = 100.0
# Rows of a grouped GEMM's tile: a token alone in its expert costs as much arithmetic as this many.
TILE_ROWS = 64.0
# Prompts as long as this lower Splitwise's mean power down to idle at 8192, which no load explains: left out.
LONGEST_PROMPT = 2048
# Power sensors of the A100 average over about 0.1 s: the peak of a shorter prompt mixes in what surrounds it.
SHORTEST_PROMPT_S = 0.2
SPLITWISE_OUTPUT_TOKENS = 128
# A step whose shares add up to less than this waits for the host for an unknown share of its time: left out.
LEAST_LOAD = 0.2


class Shape(NamedTuple):
    """What a model's decode step reads and computes.

    Attributes:
        dense: parameters of matrix products that every token passes (input embedding left out) [1].
        expert: parameters of all experts [1].
        experts: experts a layer [1].
        top_k: experts a token [1].
        weight_bytes: bytes a parameter [byte].
        kv_bytes: KV cache a token [byte].
    """

    dense: float
    expert: float
    experts: int
    top_k: int
    weight_bytes: float
    kv_bytes: float

    @property
    def active(self) -> float:
        """Parameters that one token passes."""
        return self.dense + (self.expert * self.top_k / self.experts if self.experts else 0.0)


SHAPES: Mapping[str, Shape] = {
    "llama-3.1-8b": Shape(7.50e9, 0.0, 0, 0, 2, 32 * 8 * 128 * 4),
    "qwen3-8b": Shape(7.57e9, 0.0, 0, 0, 2, 36 * 8 * 128 * 4),
    "gemma-3-12b": Shape(11.77e9, 0.0, 0, 0, 2, 48 * 8 * 256 * 4),
    "qwen3-14b": Shape(13.99e9, 0.0, 0, 0, 2, 40 * 8 * 128 * 4),
    "gemma-3-27b": Shape(27.0e9, 0.0, 0, 0, 2, 62 * 16 * 128 * 4),
    "qwen3-32b": Shape(31.98e9, 0.0, 0, 0, 2, 64 * 8 * 128 * 4),
    "llama-3.1-70b": Shape(69.5e9, 0.0, 0, 0, 2, 80 * 8 * 128 * 4),
    "llama-3.3-70b": Shape(69.5e9, 0.0, 0, 0, 2, 80 * 8 * 128 * 4),
    "llama-3.1-405b": Shape(403.8e9, 0.0, 0, 0, 2, 126 * 8 * 128 * 4),
    "llama-3.1-405b-fp8": Shape(403.8e9, 0.0, 0, 0, 1, 126 * 8 * 128 * 4),
    "qwen3-235b": Shape(7.8e9, 227.0e9, 128, 8, 1, 94 * 4 * 128 * 4),
    "deepseek-v3.1": Shape(17.0e9, 654.0e9, 256, 8, 1, 61 * 576 * 2),
    "llama2-70b": Shape(68.7e9, 0.0, 0, 0, 2, 80 * 8 * 128 * 4),
    "bloom-176b": Shape(172.6e9, 0.0, 0, 0, 2, 70 * 14336 * 4),
    "gpt-j-6b": Shape(5.8e9, 0.0, 0, 0, 1, 28 * 4096 * 2),
    "mixtral-8x7b": Shape(1.6e9, 45.1e9, 8, 2, 1, 32 * 8 * 128 * 2),
    "llama-2-70b": Shape(68.7e9, 0.0, 0, 0, 1, 80 * 8 * 128 * 2),
}


@dataclass(frozen=True, slots=True)
class Chip:
    """The datasheet numbers that power needs."""

    id: str
    family: str
    tdp_w: float
    idle_w: float
    peak_flop_per_s: float
    bandwidth_bytes_per_s: float
    link_bytes_per_s: float


_FAMILIES = {
    "nvidia-a100-sxm-80gb": "ampere",
    "nvidia-h100-sxm": "hopper",
    "nvidia-h200-sxm": "hopper",
    "nvidia-b200-sxm": "blackwell",
}


@lru_cache(maxsize=16)
def chip(chip_id: str) -> Chip:
    """Return a chip's adopted datasheet numbers."""
    catalog = Catalog()

    def fact(parameter: str) -> float:
        return float(catalog.fact("chips", chip_id, parameter).si)

    return Chip(
        id=chip_id,
        family=_FAMILIES[chip_id],
        tdp_w=fact("tdp"),
        idle_w=fact("idle_power"),
        peak_flop_per_s=fact("peak_bf16"),
        bandwidth_bytes_per_s=fact("memory_bandwidth"),
        link_bytes_per_s=fact("scale_up_bandwidth_per_direction"),
    )


@dataclass(frozen=True, slots=True)
class PowerRows:
    """Mean power of chips at work, as arrays.

    Attributes:
        chip: the chip.
        model: model and chips of each row, the unit that is left out when judging.
        compute, memory: shares of the peaks [1].
        power_w: mean power of one chip [W].
        source: where the rows come from.
    """

    chip: Chip
    model: NDArray[np.str_]
    compute: Array
    memory: Array
    power_w: Array
    source: str

    def activity(self) -> Activity:
        """Return the shares; kernels are taken to run all the time."""
        return Activity(compute=self.compute, memory=self.memory)

    def where(self, rows: NDArray[np.bool_]) -> PowerRows:
        """Return the rows that a mask selects."""
        compute, memory, power_w = self.compute[rows], self.memory[rows], self.power_w[rows]
        return PowerRows(self.chip, self.model[rows], compute, memory, power_w, self.source)


def decode_activity(
    shape: Shape,
    chip: Chip,
    chips: float,
    batch: float,
    rate_tokens_per_s: float,
    context_tokens: float,
    prompt_tokens_per_token: float,
) -> Activity:
    """Shares of a chip's peaks in steady decode with prompts between: executed operations and bytes of each step.

    Args:
        shape: of the model.
        chip: the chip.
        chips: chips that share the model [1].
        batch: requests in a step [1].
        rate_tokens_per_s: output of all chips together [token/s].
        context_tokens: mean context of a request [token].
        prompt_tokens_per_token: prompt tokens computed per output token [1].
    """
    step_s = batch / rate_tokens_per_s
    rows, hit = batch, 0.0
    flops = 2.0 * shape.dense * batch
    if shape.experts:
        hit = shape.experts * (1.0 - (1.0 - shape.top_k / shape.experts) ** batch)
        rows = hit * np.ceil(batch * shape.top_k / hit / TILE_ROWS) * TILE_ROWS
        flops += 2.0 * shape.expert / shape.experts * rows
    flops += 2.0 * shape.active * prompt_tokens_per_token * batch
    weights = shape.dense + (shape.expert * hit / shape.experts if shape.experts else 0.0)
    moved = weights * shape.weight_bytes + batch * context_tokens * shape.kv_bytes
    return activity_from_rates(
        flops / step_s / chips,
        chip.peak_flop_per_s * 2.0 / shape.weight_bytes,
        moved / step_s / chips,
        chip.bandwidth_bytes_per_s,
    )


def published_rows() -> list[PowerRows]:
    """Return the cited rows of the ML.ENERGY benchmark v3 (chat task, vLLM 0.11.1, steady state) by chip."""
    groups: dict[str, list[_Entry]] = {}
    for row in _package_rows("power_rows.csv"):
        machine = chip(row["chip"])
        batch, output, rate = (float(row[name]) for name in ("batch", "output_tokens", "rate_tokens_per_s"))
        chips = int(row["chips"])
        use = decode_activity(
            SHAPES[row["model"]],
            machine,
            chips,
            batch,
            rate,
            CHAT_PROMPT_TOKENS + output / 2.0,
            CHAT_PROMPT_TOKENS / output,
        )
        entry = _entry(f"{row['model']} x{chips}", use, float(row["power_w"]) / chips)
        groups.setdefault(row["chip"], []).append(entry)
    return [_rows(chip(key), entries, "mlenergy-v3") for key, entries in groups.items()]


def splitwise_rows(data: Path) -> PowerRows:
    """Return Splitwise's A100 phases, repetitions averaged: token phases at mean power, prompt phases at peak power.

    The mean power is that of the token phase (it does not rise with the prompt's share of the time). The peak is that
    of the prompt phase, taken where a prompt outlasts the sensor's window, and at most TDP.

    Raises:
        NoDataError: the file is not there.
    """
    groups: dict[tuple[str, int, int, int], list[list[float]]] = {}
    for row in _file_rows(data / SPLITWISE):
        if row["hardware"] == "a100-80gb" and float(row["average_power"] or 0.0) > 0.0:
            tp, prompt, batch = (int(row[name]) for name in ("tensor_parallel", "prompt_size", "batch_size"))
            values = [
                float(row[name]) for name in ("average_power", "token_time", "peak_power", "prompt_time")
            ]
            groups.setdefault((row["model"], tp, prompt, batch), []).append(values)
    machine = chip("nvidia-a100-sxm-80gb")
    entries: list[_Entry] = []
    for (model, tp, prompt, batch), repeats in sorted(groups.items()):
        mean, token_ms, peak, prompt_ms = (float(value) for value in np.mean(np.array(repeats), axis=0))
        shape, prompt_s = SHAPES[model], prompt_ms * 1e-3
        if prompt <= LONGEST_PROMPT:
            context = prompt + SPLITWISE_OUTPUT_TOKENS / 2.0
            use = decode_activity(shape, machine, tp, batch, batch / (token_ms * 1e-3), context, 0.0)
            entries.append(_entry(f"{model} x{tp}", use, mean * machine.tdp_w))
        if prompt_s >= SHORTEST_PROMPT_S:
            flops, moved = 2.0 * shape.active * prompt * batch, shape.active * shape.weight_bytes
            rates = (flops / tp / prompt_s, moved / tp / prompt_s)
            use = activity_from_rates(
                rates[0], machine.peak_flop_per_s, rates[1], machine.bandwidth_bytes_per_s
            )
            entries.append(_entry(f"{model} x{tp} prompt", use, min(peak, 1.0) * machine.tdp_w))
    return _rows(machine, entries, "splitwise")


@dataclass(frozen=True, slots=True)
class ServerRun:
    """One MLPerf power run of a whole server.

    Attributes:
        run: model and scenario.
        chip: the accelerator.
        chips, nics: in the server [1].
        limit_w: power limit set on each accelerator [W].
        activity: shares of the peaks, as reached under the limit.
        speed: throughput over the unlimited submission's [1].
        held_out: True where no coefficient may be fitted on it.
        wall_w: mean wall power over the measured window [W].
        idle_w: wall power before the load, None where there is no trace [W].
    """

    run: str
    chip: Chip
    chips: int
    nics: int
    limit_w: float
    activity: Activity
    speed: float
    held_out: bool
    wall_w: float
    idle_w: float | None


def server_runs(data: Path) -> list[ServerRun]:
    """Return the MLPerf v4.1 runs of the 8 x H200 server: power from the logs, activity from the results.

    Raises:
        NoDataError: the files are not there.
    """
    means = {
        row["model"] + "/" + row["source"].split("/")[-4]: float(row["value"])
        for row in _file_rows(data / MEASURED)
        if row["source_family"] == "MLPPOW" and row["metric"].startswith("average wall")
    }
    found = []
    for row in _package_rows("power_runs.csv"):
        machine = chip(row["chip"])
        number = {name: float(row[name]) for name in row if name.endswith(("_w", "_s", "tokens", "batch"))}
        use = decode_activity(
            SHAPES[row["model"]],
            machine,
            1.0,
            number["batch"],
            number["rate_tokens_per_s"] / int(row["chips"]),
            number["input_tokens"] + number["output_tokens"] / 2.0,
            number["input_tokens"] / number["output_tokens"],
        )
        wall, idle = means.get(row["run"]), None
        if row["trace"]:
            wall, idle = trace_power(data / TRACES / row["trace"])
        if wall is None:
            raise NoDataError(f"{MEASURED}: no wall power of {row['run']}")
        speed = number["rate_tokens_per_s"] / number["rate_unlimited_tokens_per_s"]
        held_out = row["held_out"] == "yes"
        numbers = (int(row["chips"]), int(row["nics"]), number["limit_w"])
        found.append(ServerRun(row["run"], machine, *numbers, use, speed, held_out, wall, idle))
    return found


def trace_power(path: Path) -> tuple[float, float]:
    """Return the mean power of a 1 Hz wall trace over its measured window, and its power before the load [W].

    The idle power is the 10th percentile of the samples before the window.

    Raises:
        NoDataError: the file is not there.
    """
    rows = [(float(row["wall_W"]), row["in_measured_window"] == "1") for row in _file_rows(path)]
    power, inside = np.array([value for value, _ in rows]), np.array([mark for _, mark in rows])
    before = power[: int(np.argmax(inside))]
    return float(power[inside].mean()), float(np.percentile(before, 10.0))


def _entry(model: str, use: Activity, power_w: float) -> _Entry:
    return (
        model,
        np.asarray(use.compute, dtype=float).item(),
        np.asarray(use.memory, dtype=float).item(),
        power_w,
    )


def _rows(machine: Chip, entries: list[_Entry], source: str) -> PowerRows:
    model = np.array([entry[0] for entry in entries])
    compute, memory, power = (np.array([entry[k] for entry in entries]) for k in (1, 2, 3))
    return PowerRows(machine, model, compute, memory, power, source)


def _package_rows(name: str) -> Iterator[dict[str, str]]:
    with files("suanli.study.calibrate").joinpath(name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _file_rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise NoDataError(f"{path.name} is not there. Give the data folder: suanli calibrate --data DIR")
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
