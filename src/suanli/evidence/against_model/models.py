"""What the reports say about models, against the LLM layer: cache, parameters, training, drafting, memory on phones."""

from __future__ import annotations

from suanli.catalog import Catalog
from suanli.evidence.against_model.row import Comparison, Computed, claimed
from suanli.evidence.claims import Registry

_SEQUENCE = 4096.0
_V3_TRAINING_TOKENS = 14.8e12  # DeepSeek-V3 technical report, arXiv 2412.19437, abstract
_INT4_BYTES = 0.5
_HOUR_S = 3600.0
_DAY_H = 24.0
_NODE_CHIPS = 8.0
_CONTEXT = 4989.0


def _kv_elements(catalog: Catalog, name: str) -> tuple[float, dict[str, float]]:
    from suanli.llm import from_config, kv_bytes_per_token

    config = catalog.model(name)
    return float(kv_bytes_per_token(from_config(config), "bf16")) / 2.0, config


def _kv(name: str, kind: str) -> Comparison:
    def compute(catalog: Catalog, claims: Registry) -> Computed:
        elements, config = _kv_elements(catalog, name)
        layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] / heads
        groups = 1 if kind == "mqa" else config.get("num_key_value_heads", heads)
        printed = 2.0 * (heads if kind == "mha" else groups) * width * layers
        return Computed(elements, f"kv_bytes_per_token of {name} in bf16 over 2 bytes", printed)

    formula = {"mha": "2 n_h d_h l", "gqa": "2 n_g d_h l", "mqa": "2 d_h l"}[kind]
    return Comparison(
        f"kv-{kind}",
        (f"s001-kv-{kind}",),
        f"KV elements per token, {formula}, {name}",
        "1",
        compute,
        tolerance=0.0,
    )


def _kv_mla(catalog: Catalog, claims: Registry) -> Computed:
    elements, config = _kv_elements(catalog, "deepseek-v3")
    printed = (config["kv_lora_rank"] + config["qk_rope_head_dim"]) * config["num_hidden_layers"]
    return Computed(elements, "kv_bytes_per_token of deepseek-v3 in bf16 over 2 bytes", float(printed))


def _total(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.llm import from_config, parameters

    return Computed(
        parameters(from_config(catalog.model("deepseek-v3"))).total,
        "parameters of deepseek-v3, summed by shape",
    )


def _active(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.llm import from_config, parameters

    return Computed(
        parameters(from_config(catalog.model("deepseek-v3"))).active, "active parameters of deepseek-v3"
    )


def _training_hours(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.llm import from_config, training_flops_per_token

    flops = float(
        training_flops_per_token(from_config(catalog.model("deepseek-v3")), _SEQUENCE, mtp=True).total
    )
    peak = catalog.fact("chips", "nvidia-h800-sxm", "peak_fp8").si
    hours = flops * _V3_TRAINING_TOKENS / peak / _HOUR_S
    return Computed(
        hours / 1e3, "model FLOPs x 14.8 T tokens at the FP8 peak of an H800: no machine can be faster"
    )


def _margin(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.economics import TokenPrices, margin_on_cost, token_revenue

    figures = [claimed(claims, f"s001-ds-daily-revenue/{index}") for index in range(1, 7)]
    hit, price_hit, tokens_in, price_miss, tokens_out, price_out = figures
    revenue = token_revenue(
        TokenPrices(price_hit / 1e6, price_miss / 1e6, price_out / 1e6),
        input_tokens=tokens_in,
        cache_hit_share=hit / tokens_in,
        output_tokens=tokens_out,
    )
    cost = claimed(claims, "s000-v3r1-daily-cost")
    return Computed(
        100.0 * float(margin_on_cost(revenue.total, cost)),
        "token_revenue at list prices over the printed cost",
    )


def _revenue(catalog: Catalog, claims: Registry) -> Computed:
    margin = _margin(catalog, claims).value
    cost = claimed(claims, "s000-v3r1-daily-cost")
    return Computed(cost * (1.0 + margin / 100.0), "token_revenue of the published day at list prices")


def _speculation(catalog: Catalog, claims: Registry) -> Computed:
    from suanli.llm import decode_flops_per_token, from_config

    model = from_config(catalog.model("deepseek-v3"))
    with_draft = decode_flops_per_token(model, _CONTEXT, mtp=True)
    plain = decode_flops_per_token(model, _CONTEXT)
    low, high = claimed(claims, "s001-mtp-acceptance.low"), claimed(claims, "s001-mtp-acceptance.high")
    overhead = float(with_draft.total) / float(plain.total)
    speed = (1.0 + 0.5 * (low + high)) / overhead
    return Computed(
        speed, f"accepted tokens a step over the cost of the draft module (x{overhead:.3f} FLOPs)"
    )


def _phone(size: int, index: int) -> Comparison:
    def compute(catalog: Catalog, claims: Registry) -> Computed:
        need = claimed(claims, f"s003-phone-llm-memory:params_b[{index}]") * _INT4_BYTES
        return Computed(need, "weights alone at 4 bits; cache and runtime come on top")

    return Comparison(
        f"phone-memory-{size}b",
        ("s003-phone-llm-memory",),
        f"memory of a {size} B model on a phone",
        "GB",
        compute,
        reference=f"s003-phone-llm-memory:memory_gb[{index}]",
        bound="at most",
        tolerance=0.0,
    )


ROWS = (
    _kv("llama-2-7b", "mha"),
    _kv("qwen3-32b", "gqa"),
    _kv("falcon-7b", "mqa"),
    Comparison(
        "kv-mla",
        ("s001-kv-mla",),
        "KV elements per token, (d_c + d_R) l, deepseek-v3",
        "1",
        _kv_mla,
        tolerance=0.0,
    ),
    Comparison(
        "v3-parameters",
        ("s001-v3-total-params",),
        "DeepSeek-V3 parameters",
        "1",
        _total,
        reference="s001-v3-total-params",
        tolerance=0.0,
    ),
    Comparison(
        "v3-active",
        ("s001-v3-active-params",),
        "DeepSeek-V3 active parameters",
        "1",
        _active,
        reference="s001-v3-active-params",
    ),
    Comparison(
        "v3-training-hours",
        ("s002-dsv3-hours-pretrain",),
        "DeepSeek-V3 pre-training hours, least possible",
        "1e3 GPU-hour",
        _training_hours,
        reference="s002-dsv3-hours-pretrain",
        bound="at most",
        tolerance=0.0,
    ),
    Comparison(
        "service-revenue",
        ("s001-ds-daily-revenue", "s000-v3r1-daily-revenue"),
        "DeepSeek service revenue of the published day",
        "USD/day",
        _revenue,
        reference="s000-v3r1-daily-revenue",
    ),
    Comparison(
        "service-margin",
        ("s000-v3r1-margin", "s001-ds-cost-margin"),
        "DeepSeek service margin on cost",
        "%",
        _margin,
        reference="s000-v3r1-margin",
    ),
    Comparison(
        "mtp-speedup",
        ("s001-mtp-speedup", "s001-mtp-acceptance"),
        "decode speed-up of multi-token prediction",
        "x",
        _speculation,
        reference="s001-mtp-speedup",
        tolerance=0.05,
    ),
    _phone(1, 0),
    _phone(7, 1),
    _phone(13, 2),
)
