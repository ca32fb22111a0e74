"""`suanli import hf`: a model from its config.json into an overlay that every verb can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_case import PLAN, Cli, files

from suanli.catalog import Catalog

# Llama-2-7B as its config.json on the hub has it; the paper's 6.74 B parameters (arXiv 2307.09288, table 1: 7B).
LLAMA = {
    "_name_or_path": "meta-llama/Llama-2-7b-hf",
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-05,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "vocab_size": 32000,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write(tmp_path, LLAMA)


def write(folder: Path, config: Any) -> Path:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1), encoding="utf-8")
    return path


def test_an_imported_model_can_be_used(suanli: Cli, config: Path, tmp_path: Path) -> None:
    done = suanli("import", "hf", config, "-o", "mine", "--id", "my-llama", "--json")
    document = done.json()
    assert document["id"] == "my-llama" and document["path"] == "mine/models/my-llama.json"
    assert document["parameters_total"] == 6_738_415_616  # the checkpoint's own count
    assert document["kv_bytes_per_token"] == 2 * 32 * 4096 * 2
    assert files(tmp_path) == {"config.json", "mine", "mine/models", "mine/models/my-llama.json"}
    card = suanli("catalog", "models", "my-llama", "--catalog", "mine", "--json").json()
    assert card["computed"]["parameters_total"] == 6_738_415_616
    (tmp_path / "plan.toml").write_text(PLAN.replace("llama-3.1-70b", "my-llama"), encoding="utf-8")
    result = suanli("run", "plan.toml", "--no-folder", "--json", "--catalog", "mine").json()
    assert result["metrics"]["llm.parameters_total"]["value"] == 6_738_415_616
    assert suanli("run", "plan.toml", "--no-folder").code == 2, "without the overlay there is no such model"


def test_the_id_comes_from_the_file(suanli: Cli, config: Path, tmp_path: Path) -> None:
    done = suanli("import", "hf", tmp_path, "-o", "mine")
    assert done.code == 0 and "llama-2-7b-hf" in done.out and "6.74 bn parameters" in done.out
    assert Catalog([tmp_path / "mine"]).model("meta-llama/Llama-2-7b-hf")["hidden_size"] == 4096


def test_fields_that_were_not_read_are_named(suanli: Cli, tmp_path: Path) -> None:
    write(tmp_path, {**LLAMA, "frobnication_level": 3})
    done = suanli("import", "hf", "config.json", "-o", "mine", "--json")
    assert done.json()["unknown_fields"] == ["frobnication_level"]
    assert "frobnication_level" in suanli("import", "hf", "config.json", "-o", "mine").err


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {**LLAMA, "architectures": ["RwkvForCausalLM"], "model_type": "rwkv"},
            ['"rwkv" is not supported', "llama"],
        ),
        (
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
            ["hidden_size: missing", "vocab_size: missing"],
        ),
        ({**LLAMA, "num_hidden_layers": -1}, ["num_hidden_layers"]),
        ({**LLAMA, "num_key_value_heads": 5}, ["num_key_value_heads"]),
        ({**LLAMA, "hidden_size": "wide"}, ["hidden_size"]),
        ('{"model_type": "llama",}', ["config.json:1 not valid JSON"]),
        ("[1, 2]", ["config.json: expected a JSON object"]),
        ("", ["config.json:1 not valid JSON"]),
        ('{"hidden_size": NaN}', ["NaN is not valid JSON"]),
    ],
)
def test_configs_that_are_refused(suanli: Cli, tmp_path: Path, config: Any, words: list[str]) -> None:
    write(tmp_path, config)
    done = suanli("import", "hf", "config.json", "-o", "mine")
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err and "internal error" not in done.err
    for word in words:
        assert word in done.err
    assert files(tmp_path) == {"config.json"}, "nothing is written"


def test_a_missing_config(suanli: Cli, tmp_path: Path) -> None:
    done = suanli("import", "hf", "nowhere.json", "-o", "mine")
    assert (done.code, done.out) == (2, "")
    assert "nowhere.json: no such file; give a Hugging Face config.json" in done.err
    assert files(tmp_path) == set()


def test_importing_twice_says_the_same(suanli: Cli, config: Path, tmp_path: Path) -> None:
    suanli("import", "hf", config, "-o", "mine")
    first = (tmp_path / "mine" / "models" / "llama-2-7b-hf.json").read_bytes()
    assert suanli("import", "hf", config, "-o", "mine").code == 0
    assert (tmp_path / "mine" / "models" / "llama-2-7b-hf.json").read_bytes() == first
