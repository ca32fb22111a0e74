"""Elementwise operators: what is read from Vidur's compute profiles and what is fitted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suanli.hardware.elementwise import ElementwiseCoefficients, elementwise_time_s
from suanli.study.calibrate.chips import operator_chip
from suanli.study.calibrate.fit import Model, Parameter
from suanli.study.calibrate.samples import Samples
from suanli.study.calibrate.tables import part

Array = NDArray[np.float64]

_CHIPS = {"a100": ("nvidia-a100-sxm-80gb", "ampere"), "h100": ("nvidia-h100-sxm", "hopper")}
# Vidur's operator names and ours.
_OPERATORS = {
    "input_layernorm": "norm",
    "attn_rope": "rope",
    "mlp_act": "activation",
    "add": "residual",
    "emb": "embedding",
}

MODEL = Model(
    "elementwise",
    (
        Parameter("elementwise.launch_s", 2e-6, 0.2e-6, 30e-6),
        Parameter("elementwise.memory_efficiency", 0.6, 0.05, 1.0),
    ),
    lambda samples, values: elementwise_time_s(
        samples.shape["bytes"], samples.machine, ElementwiseCoefficients(**part(values, "elementwise"))
    ),
)


def samples(folder: Path) -> Iterator[Samples]:
    """Yield groups per operator; `folder` is the kernels folder that holds vidur/compute."""
    for name, (chip, family) in _CHIPS.items():
        found: dict[str, list[tuple[float, float]]] = {}
        for path in sorted((folder / "vidur" / "compute" / name).glob("*/*/mlp.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    for theirs, ours in _OPERATORS.items():
                        time = float(row.get(f"time_stats.{theirs}.median") or 0.0) * 1e-3
                        if time > 0.0:
                            found.setdefault(ours, []).append((moved_bytes(ours, row), time))
        for operator, pairs in found.items():
            moved, times = np.array(pairs).T
            yield Samples(
                operator="elementwise",
                chip=chip,
                family=family,
                dtype="*",
                framework="*",
                kernel=operator,
                shape={"bytes": moved},
                time_s=times,
                machine=operator_chip(chip),
                source=f"vidur compute/{name}",
                fixed={},
                weight=float(times.size),
            )


def moved_bytes(operator: str, row: Mapping[str, str]) -> float:
    """Bytes that an operator of a profile row reads and writes, BF16 [byte]."""
    tokens, width = float(row["num_tokens"]), float(row["n_embd"])
    ranks = float(row["num_tensor_parallel_workers"])
    heads, kv_heads = float(row["n_head"]), float(row["n_kv_head"])
    values = {
        "norm": 2.0 * width,
        "rope": 2.0 * width * (1.0 + kv_heads / heads) / ranks,
        "activation": (3.0 if row["use_gated_mlp"] == "True" else 2.0)
        * float(row["n_expanded_embd"])
        / ranks,
        "residual": 3.0 * width,
        "embedding": 2.0 * width,
    }
    return 2.0 * tokens * values[operator]
