"""Chips that nobody measured for us still answer from their datasheets, or say which fact they lack."""

from __future__ import annotations

import re

import pytest

from suanli.catalog import Catalog
from suanli.study.deployment.request import Request
from suanli.study.deployment.solve import Deployments

CATALOG = Catalog()
DEPLOYMENTS = Deployments(CATALOG)
# Chips of benchmark tables without kernels of their own; small memories take a small model.
FAMILY = [
    "A10", "A10G", "A30", "A40", "A800", "L4", "L20", "L40", "H800", "H20", "H100 NVL", "H200 NVL", "GH200", "B300",
    "GB300", "RTX 3090", "RTX 4090", "RTX 5080", "RTX 5090", "RTX 6000 Pro", "RTX A6000",
]  # fmt: skip
DATASHEET = [
    "V100", "T4", "MI50", "MI210", "MI250", "MI250X", "MI300X", "MI308X", "MI325X", "MI355X", "Gaudi2", "Gaudi3",
    "Max 1100", "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e", "TPU v7", "Inferentia2", "Trainium1", "Trainium2",
    "Ascend 910B", "Ascend 910C", "Ascend 310P", "MLU370-X8", "MLU590", "K100 AI", "MTT S4000", "MTT S5000",
    "MetaX C500", "P800", "BI-V150", "BR100", "SN40L", "RX 7900 XTX", "R9700", "Arc A770", "RNGD", "AI 100 Ultra",
    "M1 Pro", "M2 Ultra", "M4 Max", "DGX Spark", "Jetson AGX Orin", "Orin Nano", "Jetson Thor", "Strix Halo",
]  # fmt: skip


@pytest.mark.parametrize(
    ("chip", "basis"), [(c, "family") for c in FAMILY] + [(c, "datasheet") for c in DATASHEET]
)
def test_a_chip_of_a_datasheet_answers(chip: str, basis: str) -> None:
    request = Request(model="llama-3.2-1b", chip=chip, isl=512, osl=128, concurrency=4)
    answer = DEPLOYMENTS.answer(request)
    assert (answer.status, answer.basis) == ("ok", basis), answer.reason
    tpot = answer.quantities["tpot_s"]
    assert tpot.high / tpot.value > 1.25
    # Weights are read once a step: no faster than the memory, no slower than a hundredth of it.
    accelerator = DEPLOYMENTS.chip(chip)
    weights = 2.0 * 1.236e9 / accelerator.operators.memory_bandwidth_bytes_per_s
    assert weights < tpot.value < 100.0 * weights + 0.05


@pytest.mark.parametrize("chip", [*CATALOG.ids("chips"), *CATALOG.ids("devices")])
def test_a_chip_without_an_answer_says_what_it_lacks(chip: str) -> None:
    answer = DEPLOYMENTS.answer(Request(model="llama-3.2-1b", chip=chip, isl=128, osl=16))
    if answer.status == "ok":
        assert answer.basis in ("calibrated", "family", "datasheet")
        return
    lacks = r"lacks (memory_capacity|memory_bandwidth|peak_bf16)(, \w+)*; add them"
    assert re.search(rf"{lacks}|on-chip memory|does not fit", answer.reason), answer.reason
