"""Import of Hugging Face configs: what is written, what is refused, and that nothing is written then."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from suanli.catalog import Catalog
from suanli.errors import InputError
from suanli.interop import import_hf
from suanli.llm import from_config, parameters

# The config.json of Qwen/Qwen3-8B as published, fields that do not matter included.
QWEN3_8B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "max_window_layers": 36,
    "model_type": "qwen3",
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
# The config.json of deepseek-ai/DeepSeek-V3 as published.
DEEPSEEK_V3: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
    "aux_loss_alpha": 0.001,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "ep_size": 1,
    "first_k_dense_replace": 3,
    "hidden_act": "silu",
    "hidden_size": 7168,
    "initializer_range": 0.02,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "pretraining_tp": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "type": "yarn"},
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "seq_aux": True,
    "tie_word_embeddings": False,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "transformers_version": "4.33.1",
    "use_cache": True,
    "v_head_dim": 128,
    "vocab_size": 129280,
}


def _put(folder: Path, config: object, name: str = "config.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return path


def _files(overlay: Path) -> list[Path]:
    return [path for path in overlay.rglob("*") if path.is_file()]


def test_a_published_config_is_read_whole(tmp_path: Path) -> None:
    report = import_hf(_put(tmp_path / "Qwen3-8B", QWEN3_8B), tmp_path / "mine")
    assert report.id == "qwen3-8b"
    assert report.unknown_fields == ()
    assert report.parameters.total == 8_190_735_360
    assert report.weights_bytes == 16_381_470_720
    assert report.kv_bytes_per_token == 147_456
    assert report.weights == "bf16"
    assert not report.replaced
    assert _files(tmp_path / "mine") == [tmp_path / "mine" / "models" / "qwen3-8b.json"]


def test_it_equals_the_shipped_model(tmp_path: Path) -> None:
    report = import_hf(_put(tmp_path / "x", DEEPSEEK_V3), tmp_path / "mine", "my-v3")
    shipped = from_config(Catalog().model("deepseek-v3"))
    assert report.unknown_fields == ()
    assert report.parameters == parameters(shipped)
    assert report.model.dtypes == shipped.dtypes


def test_the_catalogue_finds_it(tmp_path: Path) -> None:
    config = {**QWEN3_8B, "_name_or_path": "acme/Acme_Chat-9B"}
    report = import_hf(_put(tmp_path / "x", config), tmp_path / "mine")
    assert report.id == "acme-chat-9b"
    catalog = Catalog([tmp_path / "mine"])
    for name in ("acme-chat-9b", "acme/Acme_Chat-9B", "ACME-CHAT-9B"):
        assert from_config(catalog.model(name)).hidden == 4096
    assert "acme-chat-9b" in catalog.ids("models")


def test_a_folder_will_do(tmp_path: Path) -> None:
    _put(tmp_path / "Some Model!", QWEN3_8B)
    assert import_hf(tmp_path / "Some Model!", tmp_path / "mine").id == "some-model"


def test_again_replaces(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    import_hf(source, tmp_path / "mine")
    _put(tmp_path / "m", {**QWEN3_8B, "num_hidden_layers": 2})
    report = import_hf(source, tmp_path / "mine")
    assert report.replaced
    assert from_config(Catalog([tmp_path / "mine"]).model("m")).layer_count == 2
    assert len(_files(tmp_path / "mine")) == 1


def test_modelopt_file_beside(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    quantisation = {
        "producer": {"name": "modelopt", "version": "0.23"},
        "quantization": {
            "quant_algo": "NVFP4",
            "kv_cache_quant_algo": "FP8",
            "group_size": 16,
            "exclude_modules": ["lm_head"],
        },
    }
    _put(tmp_path / "m", quantisation, "hf_quant_config.json")
    report = import_hf(source, tmp_path / "mine")
    assert report.weights == "nvfp4"
    again = from_config(Catalog([tmp_path / "mine"]).model("m"))
    assert again.dtypes == report.model.dtypes


def test_unknown_fields_are_listed(tmp_path: Path) -> None:
    report = import_hf(_put(tmp_path / "m", {**QWEN3_8B, "swirl": 1, "a_field": []}), tmp_path / "mine")
    assert report.unknown_fields == ("a_field", "swirl")


def test_an_unsupported_architecture_is_refused_by_name(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", {**QWEN3_8B, "model_type": "whisper"})
    with pytest.raises(InputError, match=r'config\.json model_type: architecture "whisper" is not supported'):
        import_hf(source, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_missing_fields_all_at_once(tmp_path: Path) -> None:
    kept = {k: v for k, v in QWEN3_8B.items() if k not in ("hidden_size", "vocab_size", "num_hidden_layers")}
    with pytest.raises(InputError) as caught:
        import_hf(_put(tmp_path / "m", kept), tmp_path / "mine")
    assert len(str(caught.value).splitlines()) == 3
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "model_type": "llama",\n "hidden_size": 4096,,\n}', r"config\.json:3 not valid JSON"),
        ("", r"config\.json:1 not valid JSON"),
        ("[1, 2]", r"config\.json: expected a JSON object"),
        ('{"hidden_size": NaN}', r"config\.json: NaN is not valid JSON"),
        ('{"hidden_size": Infinity}', r"Infinity is not valid JSON"),
        ("[" * 100_000, r"config\.json"),
    ],
)
def test_malformed_json(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_hf(_put(tmp_path / "m", text), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_not_text(tmp_path: Path) -> None:
    source = tmp_path / "config.json"
    source.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not a JSON text in UTF-8"):
        import_hf(source, tmp_path / "mine")


def test_a_broken_quantisation_file(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    _put(tmp_path / "m", {"producer": {}}, "hf_quant_config.json")
    with pytest.raises(InputError, match=r"hf_quant_config\.json quantization: missing"):
        import_hf(source, tmp_path / "mine")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; give a Hugging Face config\.json"):
        import_hf(tmp_path / "nothing", tmp_path / "mine")


def test_an_id_cannot_leave_the_overlay(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    assert import_hf(source, tmp_path / "mine", "../../etc/Evil Name").id == "evil-name"
    assert all(path.parent == tmp_path / "mine" / "models" for path in _files(tmp_path / "mine"))
    with pytest.raises(InputError, match="no id can be made"):
        import_hf(source, tmp_path / "mine", "../..")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        import_hf(source, locked)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)
    (tmp_path / "mine").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        import_hf(source, tmp_path / "mine")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _put(tmp_path / "m", QWEN3_8B)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match="cannot be written: No space left"):
        import_hf(source, tmp_path / "mine")
    assert _files(tmp_path / "mine") == []
