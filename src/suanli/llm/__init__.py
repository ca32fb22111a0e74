"""What one token costs: parameters, FLOPs, bytes and operators of decoder LLMs, exact for their shapes.

`from_config` reads a Hugging Face config; everything else is arithmetic on the `Model` it returns.
"""

from suanli.llm.bytes import (
    KvBytes,
    WeightBytes,
    expected_distinct_experts,
    kv_bytes,
    kv_bytes_per_token,
    weight_bytes,
    weight_bytes_read,
)
from suanli.llm.config import from_config, supported_architectures
from suanli.llm.dtypes import DTYPES, Dtype, WeightDtypes, dtype
from suanli.llm.flops import (
    Flops,
    decode_flops_per_token,
    prefill_flops_per_token,
    training_flops_per_token,
)
from suanli.llm.model import LayerGroup, Model, Mtp
from suanli.llm.operators import (
    AttentionCore,
    Elementwise,
    Exchange,
    Gemm,
    GroupedGemm,
    Operator,
    Placed,
    Segment,
    StateScan,
    decode_segment,
    operator_flops,
    operator_weight_bytes,
    prefill_segment,
)
from suanli.llm.parameters import GroupParameters, Parameters, parameters
from suanli.llm.parts import Attention, Experts, FeedForward, Form, Linear, Mlp, StateMixer
from suanli.llm.sharding import Sharding, check_sharding
from suanli.llm.spans import Span
from suanli.llm.step import layer_operators, step_operators

__all__ = [
    "DTYPES",
    "Attention",
    "AttentionCore",
    "Dtype",
    "Elementwise",
    "Exchange",
    "Experts",
    "FeedForward",
    "Flops",
    "Form",
    "Gemm",
    "GroupParameters",
    "GroupedGemm",
    "KvBytes",
    "LayerGroup",
    "Linear",
    "Mlp",
    "Model",
    "Mtp",
    "Operator",
    "Parameters",
    "Placed",
    "Segment",
    "Sharding",
    "Span",
    "StateMixer",
    "StateScan",
    "WeightBytes",
    "WeightDtypes",
    "check_sharding",
    "decode_flops_per_token",
    "decode_segment",
    "dtype",
    "expected_distinct_experts",
    "from_config",
    "kv_bytes",
    "kv_bytes_per_token",
    "layer_operators",
    "operator_flops",
    "operator_weight_bytes",
    "parameters",
    "prefill_flops_per_token",
    "prefill_segment",
    "step_operators",
    "supported_architectures",
    "training_flops_per_token",
    "weight_bytes",
    "weight_bytes_read",
]
