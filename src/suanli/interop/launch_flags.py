"""A deployment to start, and the flags with which vLLM and SGLang start its servers, each with its reason.

Flag names follow the engines' own documentation: vLLM docs/serving/{data_parallel,expert_parallel}_deployment.md and
docs/features/{nixl_connector_usage,speculative_decoding/mtp}.md; SGLang docs/advanced_features/{server_arguments,
pd_disaggregation,speculative_decoding}.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Role = Literal["", "prefill", "decode"]
# Flag, value ("" for none) and the reason printed above it.
Flag = tuple[str, str, str]

_FP8_FLAG = {"vllm": "fp8", "sglang": "fp8_e4m3"}


@dataclass(frozen=True, slots=True)
class Server:
    """Servers of one role, all alike.

    Attributes:
        role: "" for servers that do both phases, "prefill" or "decode".
        count: servers [1].
        tp: tensor parallelism [1].
        pp: pipeline stages [1].
        dp: attention groups that share the experts [1].
        ep: expert parallelism [1].
        sequences: requests that one server runs at a time [1].
        chunk_tokens: prompt tokens that a step takes [token].
        memory_share: share of a chip's memory that the engine may fill [1].
        weights_bytes: weights on a chip [byte].
        kv_bytes: room for KV on a chip [byte].
        copies: of experts, which let all chips hold equally many [1].
    """

    role: Role
    count: int
    tp: int
    pp: int
    dp: int
    ep: int
    sequences: int
    chunk_tokens: int
    memory_share: float
    weights_bytes: float
    kv_bytes: float
    copies: int = 0

    @property
    def chips(self) -> int:
        """Chips of one server [1]."""
        return self.tp * self.pp * self.dp


@dataclass(frozen=True, slots=True)
class Launch:
    """A deployment to start.

    Attributes:
        model: Hugging Face name or folder of the checkpoint.
        chip: catalogue id.
        chips_per_node: devices of one host: accelerators, or their ranks where dies are devices of their own [1].
        memory_bytes: memory of a device [byte].
        experts: routed experts of a layer, 0 for a dense model [1].
        weights: weight format to quantise to when loading; "" for the checkpoint as it is.
        checkpoint: what the checkpoint must be where MODEL's own is not meant; "" for its own.
        kv: format of the cache.
        context_tokens: longest prompt and output together [token].
        prefix_share: share of a prompt expected in the prefix cache [1].
        expected: lines that say what this deployment should reach.
        servers: servers by role.
        ranks: devices that software sees in an accelerator [1].
        visible: variable that says which devices of a host a server may use.
        drafts: tokens that the model's own MTP layers draft a step, 0 for none [token].
    """

    model: str
    chip: str
    chips_per_node: int
    memory_bytes: float
    experts: int
    weights: str
    checkpoint: str
    kv: str
    context_tokens: int
    prefix_share: float
    expected: tuple[str, ...]
    servers: tuple[Server, ...]
    ranks: int = 1
    visible: str = "CUDA_VISIBLE_DEVICES"
    drafts: int = 0


def _memory_reason(server: Server, gigabyte: float = 1e9) -> str:
    weights, room = server.weights_bytes / gigabyte, server.kv_bytes / gigabyte
    if server.chips == 1:
        return f"The model fits on one chip: {weights:.0f} GB of weights leave {room:.0f} GB for KV."
    shared = f"{server.tp} chips share every layer" if server.tp > 1 else "No layer is cut over chips"
    return f"{shared}: {weights:.0f} GB of weights a chip leave {room:.0f} GB for KV."


def _sequences_reason(server: Server) -> str:
    if server.role == "prefill":
        stages = f", {server.pp} stages at work on others" if server.pp > 1 else ""
        return f"Prompts that a server computes at a time{stages}; further ones wait in its queue."
    return f"{server.sequences} requests a server: with more, an objective is missed or the memory is full."


def _expert_reason(launch: Launch, server: Server) -> str:
    each = (launch.experts + server.copies) // server.ep
    return f"Experts lie whole on {server.ep} chips, {each} of {launch.experts} on each, and are read once a step."


def _copy_flags(server: Server, engine: str) -> list[Flag]:
    """Flags for copies of experts; vLLM docs/serving/expert_parallel_deployment.md, SGLang's server arguments."""
    if not server.copies:
        return []
    reason = f"Copies of {server.copies} busy experts let all {server.ep} chips hold equally many."
    if engine == "vllm":
        config = f'{{"num_redundant_experts":{server.copies}}}'
        return [("--enable-eplb", "", reason), ("--eplb-config", config, "How many copies.")]
    return [
        ("--enable-eplb", "", reason),
        ("--ep-num-redundant-experts", str(server.copies), "How many copies."),
    ]


def _draft_flags(launch: Launch, server: Server, engine: str) -> list[Flag]:
    """Flags for drafts by the model's MTP layers; prefill servers need them too, for the KV of those layers."""
    if not launch.drafts:
        return []
    tokens = f"{launch.drafts} token{'' if launch.drafts == 1 else 's'}"
    reason = f"The model's own MTP layer drafts {tokens} a step."
    if server.role == "prefill":
        reason = (
            "The decode servers draft with the model's MTP layer, whose KV of the prompt comes from here."
        )
    if engine == "vllm":
        config = f'{{"method":"mtp","num_speculative_tokens":{launch.drafts}}}'
        return [("--speculative-config", config, reason)]
    return [
        ("--speculative-algorithm", "EAGLE", reason + " SGLang runs MTP under this name."),
        ("--speculative-num-steps", str(launch.drafts), "One draft after the other."),
        ("--speculative-eagle-topk", "1", "One candidate for each: a chain, no tree."),
        (
            "--speculative-num-draft-tokens",
            str(launch.drafts + 1),
            "Tokens to verify: the drafts and one before.",
        ),
    ]


def _step_reason(launch: Launch, server: Server) -> str:
    if server.role == "prefill":
        return "Prompt tokens of a step: enough to fill the chip."
    return "Prompt tokens of a step: more delay running requests, fewer delay prompts."


def vllm_flags(launch: Launch, server: Server) -> list[Flag]:
    """Return the flags of `vllm serve`, in the order of layout, batch, memory, formats, hand-over.

    Args:
        launch: the deployment.
        server: one of its kinds of server.
    """
    flags: list[Flag] = [("--tensor-parallel-size", str(server.tp), _memory_reason(server))]
    if server.pp > 1:
        flags.append(("--pipeline-parallel-size", str(server.pp), _stage_reason(server)))
    if server.dp > 1:
        flags.append(("--data-parallel-size", str(server.dp), _group_reason(server)))
    if server.ep > 1:
        flags.append(("--enable-expert-parallel", "", _expert_reason(launch, server)))
        flags += _copy_flags(server, "vllm")
    if _exchanges_over_network(launch, server):
        large = server.role == "prefill"
        kind = "deepep_high_throughput" if large else "deepep_low_latency"
        reason = (
            f"Tokens travel between nodes: kernels for {'large prompt' if large else 'small decode'} batches."
        )
        flags.append(("--all2all-backend", kind, reason))
    group = math.ceil(server.sequences / server.dp)
    counted = f" vLLM counts each of the {server.dp} groups." if server.dp > 1 else ""
    tokens = max(server.chunk_tokens, group)
    flags += [
        ("--max-num-seqs", str(group), _sequences_reason(server) + counted),
        ("--max-num-batched-tokens", str(tokens), _step_reason(launch, server)),
        ("--max-model-len", str(launch.context_tokens), _context_reason(launch)),
        ("--gpu-memory-utilization", f"{server.memory_share:.2f}", _share_reason(launch, server)),
        *_format_flags(launch, "vllm"),
        *_draft_flags(launch, server, "vllm"),
    ]
    if launch.prefix_share > 0.0:
        flags.append(("--enable-prefix-caching", "", _prefix_reason(launch)))
    else:
        flags.append(("--no-enable-prefix-caching", "", _NO_PREFIX))
    if server.role:
        kind = "kv_producer" if server.role == "prefill" else "kv_consumer"
        config = f'{{"kv_connector":"NixlConnector","kv_role":"{kind}"}}'
        flags.append(("--kv-transfer-config", config, _HAND_OVER[server.role]))
    return flags


def sglang_flags(launch: Launch, server: Server) -> list[Flag]:
    """Return the flags of `sglang.launch_server`, in the order of layout, batch, memory, formats, hand-over.

    Args:
        launch: the deployment.
        server: one of its kinds of server.
    """
    stage = server.tp * server.dp
    counted = f" SGLang counts the chips of all {server.dp} groups." if server.dp > 1 else ""
    flags: list[Flag] = [("--tp-size", str(stage), _memory_reason(server) + counted)]
    if server.pp > 1:
        flags.append(("--pp-size", str(server.pp), _stage_reason(server)))
    if server.dp > 1:
        flags.append(("--dp-size", str(server.dp), _group_reason(server)))
        flags.append(
            ("--enable-dp-attention", "", "The groups attend to requests of their own inside one server.")
        )
    if server.ep > 1:
        flags.append(("--ep-size", str(server.ep), _expert_reason(launch, server)))
        flags += _copy_flags(server, "sglang")
    if _exchanges_over_network(launch, server):
        mode = {"": "auto", "prefill": "normal", "decode": "low_latency"}[server.role]
        flags.append(("--moe-a2a-backend", "deepep", "Tokens travel between nodes by DeepEP's kernels."))
        flags.append(("--deepep-mode", mode, "DeepEP's kernels for this phase."))
    per_group = " SGLang divides it by the groups." if server.dp > 1 else ""
    static = min((server.weights_bytes + server.kv_bytes) / launch.memory_bytes, server.memory_share)
    requests = math.ceil(server.sequences / server.dp) * server.dp
    kept = f"Weights and KV take {static:.0%} of {launch.memory_bytes / 1e9:.0f} GB; activations and graphs the rest."
    flags += [
        ("--max-running-requests", str(requests), _sequences_reason(server) + per_group),
        (
            "--chunked-prefill-size",
            str(server.chunk_tokens * server.dp),
            _step_reason(launch, server) + per_group,
        ),
        ("--context-length", str(launch.context_tokens), _context_reason(launch)),
        ("--mem-fraction-static", f"{static:.2f}", kept),
        *_format_flags(launch, "sglang"),
        *_draft_flags(launch, server, "sglang"),
    ]
    if launch.prefix_share <= 0.0:
        flags.append(("--disable-radix-cache", "", _NO_PREFIX))
    if server.role:
        flags.append(("--disaggregation-mode", server.role, "This server does one phase only."))
        flags.append(("--disaggregation-transfer-backend", "nixl", _HAND_OVER[server.role]))
    return flags


_NO_PREFIX = "No shared prefixes are expected: keeping track of them costs and returns nothing."
_HAND_OVER = {
    "prefill": "KV goes on to the decode servers over NIXL.",
    "decode": "KV comes from the prefill servers over NIXL.",
}


def _exchanges_over_network(launch: Launch, server: Server) -> bool:
    return server.ep > 1 and server.dp > 1 and server.tp * server.dp > launch.chips_per_node


def _stage_reason(server: Server) -> str:
    return f"{server.pp} stages of layers, one after the other: weights and KV are divided without an all-reduce."


def _group_reason(server: Server) -> str:
    return (
        f"{server.dp} attention groups with KV of their own share the experts: no chip repeats another's KV."
    )


def _context_reason(launch: Launch) -> str:
    return f"Longest request: {launch.context_tokens:,} tokens, prompt and output together."


def _share_reason(launch: Launch, server: Server) -> str:
    size = launch.memory_bytes / 1e9
    return f"{server.memory_share:.0%} of {size:.0f} GB; the rest is left to other processes on the chip."


def _prefix_reason(launch: Launch) -> str:
    return f"{launch.prefix_share:.0%} of a prompt is expected in the prefix cache."


def _format_flags(launch: Launch, engine: str) -> list[Flag]:
    flags: list[Flag] = []
    if launch.weights:
        reason = f"Weights are quantised to {launch.weights} when loaded; the checkpoint holds wider ones."
        flags.append(("--quantization", launch.weights, reason))
    if launch.kv.startswith("fp8"):
        flags.append(
            ("--kv-cache-dtype", _FP8_FLAG[engine], "KV in 8 bits: twice the sequences of BF16 in memory.")
        )
    return flags
