"""Collectives and expert exchange: what is read from the tables and what is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.coefficients import OperatorChip
from suanli.hardware.formats import number_format
from suanli.network.calibrated import ExchangeCoefficients, calibrated_s
from suanli.network.collectives import Operation, bus_factor
from suanli.network.expert_exchange import expected_distinct_groups, message_bytes
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.samples import FOLD, Samples, pool
from suanli.study.calibrate.tables import Columns, Table, combinations, part, read, tables, take

Array = NDArray[np.float64]

_NCCL: dict[str, Operation] = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
}
_INDEX_BYTES = 4.0
_ELEMENT_BYTES = {"half": 2.0, "int8": 1.0, "bfloat16": 2.0}


def _parameters(operator: str, processors: bool) -> tuple[Parameter, ...]:
    small = (
        Parameter(f"{operator}.alpha_s", 10e-6, 0.5e-6, 400e-6),
        Parameter(f"{operator}.sqrt_s_per_sqrt_byte", 5e-9, 1e-13, 60e-9),
        Parameter(f"{operator}.bandwidth_share", 0.4, 0.001, 2.5),
        Parameter(f"{operator}.large_alpha_s", 20e-6, 0.5e-6, 800e-6),
        Parameter(f"{operator}.large_sqrt_s_per_sqrt_byte", 5e-9, 1e-13, 60e-9),
        Parameter(f"{operator}.large_bandwidth_share", 0.9, 0.001, 2.5),
    )
    copying = Parameter(f"{operator}.processor_bytes_per_s", 15e9, 1e9, 80e9)
    return (*small, copying) if processors else small


def _predict(samples: Samples, values: Mapping[str, float]) -> Array:
    s = samples.shape
    coefficients = ExchangeCoefficients(**part(values, samples.operator))
    link = samples.machine.link_bytes_per_s
    return calibrated_s(
        s["bytes"], s["wire"], 1.0 if link is None else link, coefficients, s.get("processors", 0.0)
    )


def model(operator: str, processors: bool = False) -> Model:
    """Return the two-regime model of one operation; `processors` where their number varies in the data."""

    def starts(samples: Samples) -> list[dict[str, float]]:
        return [_start(samples, operator, *guess) for guess in _GUESSES]

    return Model(operator, _parameters(operator, processors), _predict, starts=starts, logarithmic=True)


# (share of the best bandwidth, ramp) of the small and alpha (over the fastest time), ramp of the large regime.
_GUESSES = ((0.3, 1e-9, 2.0, 5e-9), (0.5, 4e-9, 3.0, 1e-9), (0.1, 1e-10, 1.2, 6e-9))


def _start(
    samples: Samples, operator: str, small: float, ramp: float, alpha: float, large_ramp: float
) -> dict[str, float]:
    """Two regimes through the fastest time and the best bandwidth of the data."""
    link = samples.machine.link_bytes_per_s
    rate = samples.shape["wire"] / samples.time_s / np.asarray(1.0 if link is None else link, dtype=float)
    fastest, best = float(samples.time_s.min()), float(rate.max())
    values = {
        "alpha_s": fastest,
        "sqrt_s_per_sqrt_byte": ramp,
        "bandwidth_share": small * best,
        "large_alpha_s": alpha * fastest,
        "large_sqrt_s_per_sqrt_byte": large_ramp,
        "large_bandwidth_share": best,
    }
    return {f"{operator}.{name}": value for name, value in values.items()}


def samples(folder: Path) -> Iterator[Samples]:
    """Yield groups of collectives and expert exchange, versions pooled; a table that repeats another is left out."""
    groups: dict[tuple[str, str, str, str], list[Samples]] = {}
    for group in _parts(folder):
        groups.setdefault((group.operator, group.chip, group.framework, group.kernel), []).append(group)
    for members in groups.values():
        yield pool(members, sum(len(member) for member in members) * len(members))


def _parts(folder: Path) -> Iterator[Samples]:
    seen: set[bytes] = set()
    for table in tables(folder, "comm", "nccl_perf.parquet"):
        yield from _collectives(table, _fresh(table, seen), "nccl_dtype", "nccl")
    for table in tables(folder, "comm", "custom_allreduce_perf.parquet"):
        yield from _collectives(table, _fresh(table, seen), "allreduce_dtype", table.framework)
    for file, reader in (
        ("wideep_deepep_ll_perf.parquet", _low_latency),
        ("wideep_deepep_normal_perf.parquet", _normal),
        ("moe_a2a_perf.parquet", _framework_exchange),
        ("trtllm_alltoall_perf.parquet", _nvlink_exchange),
    ):
        for table in tables(folder, "comm", file):
            yield from reader(table, _fresh(table, seen))


def _fresh(table: Table, seen: set[bytes]) -> Columns:
    """Read a table; empty where its times are those of an earlier one, byte for byte."""
    columns = read(table.path, _EVERY)
    times = [columns[name].astype(float).tobytes() for name in _TIMES if name in columns]
    key = b"|".join(times)
    if key in seen:
        return {}
    seen.add(key)
    return columns


_TIMES = ("latency", "dispatch_avg_t_us", "combine_avg_t_us", "dispatch_transmit_us", "combine_transmit_us")
_EVERY = (
    *_TIMES,
    *("op_name", "kernel_source", "nccl_dtype", "allreduce_dtype", "num_gpus", "message_size"),
    *("node_num", "hidden_size", "num_token", "num_tokens", "num_topk", "topk", "num_experts", "moe_dtype"),
    *("dispatch_sms", "combine_sms", "dispatch_notify_us", "combine_notify_us", "moe_ep_size", "ep_size"),
    *("comm_backend", "phase", "comm_dtype", "sms"),
)


def _group(
    table: Table,
    operator: str,
    framework: str,
    kernel: str,
    time_s: Array,
    scale_out: bool = False,
    **shape: Array,
) -> Samples:
    machine = operator_chip(table.chip.id)
    if scale_out:
        machine = replace(machine, link_bytes_per_s=_scale_out(machine))
    return Samples(
        operator=operator,
        chip=table.chip.id,
        family=table.chip.family,
        dtype="*",
        framework=framework,
        kernel=kernel,
        shape=dict(shape) | {FOLD: every_second(shape["bytes"])},
        time_s=time_s,
        machine=machine,
        source=table.source,
        fixed={},
        weight=float(time_s.size),
    )


def _scale_out(machine: OperatorChip) -> float:
    return 50e9 if machine.network_bytes_per_s is None else float(np.asarray(machine.network_bytes_per_s))


def every_second(size: Array) -> Array:
    """Return 1 for every second distinct size, to be judged; the smallest and the largest size are fitted."""
    unique, inverse = np.unique(np.round(size), return_inverse=True)
    fold = np.arange(unique.size) % 2
    fold[-1] = 0
    return np.asarray(fold[inverse.reshape(-1)], dtype=float)


def _collectives(table: Table, columns: Columns, form: str, framework: str) -> Iterator[Samples]:
    if not columns:
        return
    for (name, source, dtype), index in combinations(columns, ("op_name", "kernel_source", form)):
        if name not in _NCCL or source.endswith("_eager") or (source == "TRTLLM") != (framework == "trtllm"):
            continue
        rows = take(columns, index)
        for ranks in np.unique(rows["num_gpus"]):
            here = rows["num_gpus"] == ranks
            size = rows["message_size"][here].astype(float)
            # NCCL tables count elements, custom all-reduce tables too; bytes depend on the format.
            size = size * _ELEMENT_BYTES[dtype]
            wire = size * bus_factor(_NCCL[name], float(ranks))
            time = rows["latency"][here].astype(float) * 1e-3
            yield _group(table, _NCCL[name], framework, f"n{ranks}", time, bytes=size, wire=wire)


def _low_latency(table: Table, columns: Columns) -> Iterator[Samples]:
    for nodes in np.unique(columns.get("node_num", np.array([]))):
        rows = take(columns, np.flatnonzero(columns["node_num"] == nodes))
        for phase, width in (("dispatch", 1.0), ("combine", 2.0)):
            size = message_bytes(rows["num_token"], rows["hidden_size"], rows["num_topk"], width)
            time = rows[f"{phase}_avg_t_us"].astype(float) * 1e-6
            yield _group(
                table,
                f"expert_{phase}",
                "deepep_ll",
                f"nodes{nodes}",
                time,
                scale_out=bool(nodes > 1),
                bytes=size,
                wire=size,
            )


def _normal(table: Table, columns: Columns) -> Iterator[Samples]:
    for nodes in np.unique(columns.get("node_num", np.array([]))):
        rows = take(columns, np.flatnonzero(columns["node_num"] == nodes))
        for phase, width in (("dispatch", 1.0), ("combine", 2.0)):
            ranks = float(nodes * table.chip.node)
            copies = distinct_ranks(ranks, rows["num_experts"], rows["num_topk"])
            size = message_bytes(rows["num_token"], rows["hidden_size"], copies, width)
            time = (rows[f"{phase}_transmit_us"] + rows[f"{phase}_notify_us"]).astype(float) * 1e-6
            yield _group(
                table,
                f"expert_{phase}",
                "deepep_normal",
                f"nodes{nodes}",
                time,
                scale_out=bool(nodes > 1),
                bytes=size,
                wire=size,
                processors=rows[f"{phase}_sms"].astype(float),
            )


def _framework_exchange(table: Table, columns: Columns) -> Iterator[Samples]:
    if not columns:
        return
    for (backend, phase, dtype), index in combinations(columns, ("comm_backend", "phase", "comm_dtype")):
        rows = take(columns, index)
        ranks = float(rows["ep_size"][0])
        width = 2.0 if phase == "combine" else _width(dtype)
        copies = rows["topk"].astype(float)
        if not backend.endswith("_ll"):
            copies = distinct_ranks(ranks, rows["num_experts"], rows["topk"])
        size = message_bytes(rows["num_tokens"], rows["hidden_size"], copies, width)
        time = rows["latency"].astype(float) * 1e-6
        kernel = f"nodes1_{dtype}" if dtype != "default" else "nodes1"
        yield _group(
            table, f"expert_{phase}", _named(table.framework, backend), kernel, time, bytes=size, wire=size
        )


def _named(framework: str, backend: str) -> str:
    return backend if backend.startswith(framework) else f"{framework}_{backend}"


def _nvlink_exchange(table: Table, columns: Columns) -> Iterator[Samples]:
    if not columns:
        return
    operators = {
        "alltoall_dispatch": "expert_dispatch",
        "alltoall_combine": "expert_combine",
        "alltoall_combine_low_precision": "expert_combine",
        "alltoall_prepare": "expert_prepare",
    }
    for (name, source, dtype), index in combinations(columns, ("op_name", "kernel_source", "moe_dtype")):
        rows = take(columns, index)
        framework = "nvlink_one_sided" if source.endswith("OneSided") else "nvlink_two_sided"
        low = "_low_precision" if name.endswith("low_precision") else ""
        width = (1.0 if low else 2.0) if "combine" in name else _width(dtype)
        for ranks in np.unique(rows["moe_ep_size"]):
            here = rows["moe_ep_size"] == ranks
            copies = distinct_ranks(float(ranks), rows["num_experts"][here], rows["topk"][here])
            size = message_bytes(rows["num_tokens"][here], rows["hidden_size"][here], copies, width)
            if name == "alltoall_prepare":  # indices, not activations
                size = message_bytes(rows["num_tokens"][here], 1.0, rows["topk"][here], _INDEX_BYTES)
            time = rows["latency"][here].astype(float) * 1e-3
            yield _group(
                table, operators[name], framework + low, f"ep{ranks}_{dtype}", time, bytes=size, wire=size
            )


def _width(dtype: str) -> float:
    return 1.0 if dtype == "default" else number_format("nvfp4" if dtype == "fp4" else dtype).activation_bytes


def distinct_ranks(ranks: float, experts: NDArray[np.int64], topk: NDArray[np.int64]) -> Array:
    """Expected distinct ranks of a token's experts, row by row [1]."""
    found = np.empty(experts.size)
    for count in np.unique(topk):
        here = topk == count
        found[here] = expected_distinct_groups(np.minimum(ranks, experts[here]), experts[here], int(count))
    return found
