"""Families that only judge: measurements of other teams, on other chips and engines, seen by no fit of ours.

Their rows are tests/validation/serving_strangers.csv. No constant may be fitted, and no form chosen, on them; what they
show is reported and cured by a general cause with a source of its own.
"""

from __future__ import annotations

JUDGED_ONLY: dict[str, str] = {
    "AMD": "vLLM on 8 x MI300X: tables of AMD and Oracle",
    "GPTFAST": "gpt-fast, batch 1: A100 and a die of an MI250X",
    "GAUDI": "optimum-habana, static batch: Gaudi 2 and 3",
    "TPU": "JetStream and vLLM: TPU v5e and v7",
    "TENST": "tt-metal, batch 32: Wormhole and Blackhole",
    "ASCEND": "vLLM-Ascend and MindIE: Ascend 910B",
    "A100LAB": "GPUStack's laboratory: vLLM, SGLang, TensorRT-LLM on one A100",
    "MLPERF": "MLPerf inference 4.0 and 4.1, offline",
    "LMDEPLOY": "LMDeploy TurboMind, static batch: A100",
    "LLAMACPP": "llama.cpp since 2023: GB10, Apple, Radeon, Arc, GeForce, Ryzen AI Max",
    "W4GPU": "4-bit engines on cards: AutoAWQ, ExLlama, MLC, TinyChat",
    "EDGE": "Jetson Thor (vLLM) and Orin (TinyChat)",
    "LMSYS": "SGLang prefill: H20 and GB200",
}
