"""Shapes for the tests: shipped models by id, and small synthetic ones."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from suanli.catalog import Catalog
from suanli.llm import Model, from_config

VALIDATION = Path(__file__).parents[1] / "validation"
CATALOG = Catalog()
IDS = CATALOG.ids("models")
PARTIAL = [name for name in IDS if CATALOG.model(name)["_suanli"].get("partial")]
WHOLE = [name for name in IDS if name not in PARTIAL]


@cache
def shipped(name: str) -> Model:
    return from_config(CATALOG.model(name))


def about(name: str) -> dict[str, Any]:
    return CATALOG.model(name)["_suanli"]


def rows(table: str) -> list[dict[str, str]]:
    with (VALIDATION / table).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def llama(**fields: Any) -> dict[str, Any]:
    """A small Llama config; fields override."""
    return {
        "model_type": "llama",
        "hidden_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "intermediate_size": 1024,
        "vocab_size": 1000,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        **fields,
    }


def deepseek(**fields: Any) -> dict[str, Any]:
    """A small DeepSeek-V3 config; fields override."""
    return {
        "model_type": "deepseek_v3",
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "intermediate_size": 512,
        "moe_intermediate_size": 64,
        "n_routed_experts": 16,
        "n_shared_experts": 1,
        "num_experts_per_tok": 4,
        "first_k_dense_replace": 1,
        "q_lora_rank": 96,
        "kv_lora_rank": 64,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "vocab_size": 1000,
        "num_nextn_predict_layers": 1,
        "tie_word_embeddings": False,
        **fields,
    }
