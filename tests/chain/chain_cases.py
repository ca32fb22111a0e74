"""Scenarios that the tests of the chain run: the shipped ones, and corners that none of them reaches."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from suanli.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"
DAY, LLAMA = "deepseek-day.toml", "llama70b-on-hgx-h100.toml"

# name: (scenario file, {field: value; None takes the field out})
CORNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "multi-token-prediction": (DAY, {"llm.mtp": True}),
    "given-batch": (DAY, {"serving.batch_per_chip": 30}),
    "no-objective": (DAY, {"serving.slo": {}}),
    "owned": (DAY, {"economics.rent": None}),
    "given-network": (
        DAY,
        {"network.switch": "nvidia-qm9700", "network.link": "optic-400g-dr4", "network.oversubscription": 2},
    ),
    "given-lengths": (DAY, {"demand.mean_input_tokens": 4000, "demand.mean_context_tokens": 5500}),
    "given-site": (DAY, {"site.electricity_price": "0.05 USD/kWh", "site.grid_carbon": "0.3 kg/kWh"}),
    "given-money": (
        LLAMA,
        {
            "economics.server_price": "250000 USD",
            "economics.discount_rate": 0.08,
            "economics.server_life": "4 year",
            "economics.horizon": "4 year",
        },
    ),
    "given-operation": (
        DAY,
        {
            "serving.prefill_load_factor": 0.5,
            "serving.decode_load_factor": 0.8,
            "serving.expert_imbalance": 1.3,
            "demand.peak_to_mean": 1.9,
        },
    ),
    "simulated": (
        LLAMA,
        {"serving.method": "simulate", "serving.slo.ttft": "2 s", "demand.cache_hit_share": 0.0},
    ),
    "two-feeds": (DAY, {"power.redundancy": "2N"}),
    "direct-current": (DAY, {"power.chain": "hvdc-800v", "cooling.system": "immersion-single-phase"}),
    "price-unknown": (
        LLAMA,
        {
            "serving.chip": "google-tpu-v6e",
            "serving.system": "google-tpu-v6e-shelf",
            "llm.weights_dtype": "int8",
        },
    ),
    "price-and-power-estimated": (
        LLAMA,
        {"serving.chip": "nvidia-b300-sxm", "serving.system": "asus-xa-nb3i-e12"},
    ),
}


def with_changes(file: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The resolved data of a scenario file with fields set or (None) taken out; no draws unless asked for."""
    data = copy.deepcopy(load(SCENARIOS / file).model_dump(mode="json", exclude_none=True))
    for path, value in {"uncertainty.draws": 0, **changes}.items():
        *sections, field = path.split(".")
        table = data
        for section in sections:
            table = table[section]
        if value is None:
            del table[field]
        else:
            table[field] = value
    return data
