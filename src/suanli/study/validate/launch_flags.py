"""Launch flags of published benchmark recipes that decide when a prompt is taken up and its first token seen."""

from __future__ import annotations

from suanli.study.validate.measured import Measurement

# From this many clients on the recipes look for new requests less often.
_MANY = 16.0


def launch_flags(one: Measurement, blackwell: bool) -> dict[str, float]:
    """Options of a run of InferenceX, as its launch scripts state them; none where the script sets none.

    SGLang streams by intervals and, on Blackwell, looks for new requests every 10 or 30 steps. DeepSeek on TensorRT-LLM
    with attention data parallelism has enable_balance with timeout_iters 60: a prompt waits up to 60 steps until every
    rank has one.

    Args:
        one: the measurement.
        blackwell: whether the chip is of that family.

    Reference:
        github.com/SemiAnalysisAI/InferenceX, benchmarks/single_node (read 2026-11): dsr1_fp8_h200.sh, dsr1_fp8_b200.sh,
        dsr1_fp4_b200.sh, qwen3.5_fp8_h200.sh, qwen3.5_fp8_b200.sh, qwen3.5_fp8_b300.sh, glm5_fp8_h200.sh,
        glm5_fp8_b200.sh, dsr1_fp4_b200_trt_mtp.sh.
    """
    deepseek = one.model.startswith("deepseek")
    if one.framework.startswith("trtllm"):
        return {"recv_interval": 60.0} if one.dp > 1 and deepseek else {}
    if not one.framework.startswith("sglang"):
        return {}
    if one.model.startswith("glm"):
        return {"stream_interval": 30.0, "chunk_tokens": 32768.0} if blackwell else {}
    if not blackwell:
        sent, chunk = (10.0, 32768.0) if deepseek else (50.0, 16384.0)
        return {"stream_interval": sent, "chunk_tokens": chunk}
    if one.chip == "nvidia-b300-sxm" and not deepseek:
        return {"stream_interval": 50.0, "recv_interval": 10.0, "chunk_tokens": 16384.0}
    narrow = deepseek and one.weights_dtype == "nvfp4"
    return {
        "stream_interval": 10.0 if narrow else 30.0,
        "recv_interval": 30.0 if (one.concurrency or 1.0) >= _MANY else 10.0,
        "chunk_tokens": 16384.0 if narrow else 32768.0,
    }
