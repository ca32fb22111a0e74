"""Launch scripts: a recommended deployment as one shell script for vLLM or SGLang, each flag with its reason.

Flag names follow the engines' own documentation: vLLM docs/serving/{data_parallel,expert_parallel}_deployment.md,
parallelism_scaling.md and docs/features/nixl_connector_usage.md; SGLang docs/advanced_features/server_arguments.md,
pd_disaggregation.md and sgl_model_gateway.md.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from suanli.errors import InputError

Engine = Literal["vllm", "sglang"]
ENGINES: tuple[Engine, ...] = ("vllm", "sglang")
Role = Literal["", "prefill", "decode"]
# Flag, value ("" for none) and the reason printed above it.
Flag = tuple[str, str, str]

_FP8_FLAG = {"vllm": "fp8", "sglang": "fp8_e4m3"}
_PORT = {"": 8000, "prefill": 8100, "decode": 8200}
_PORT_STEP = 100


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
        chips_per_node: accelerators of one host [1].
        memory_bytes: memory of a chip [byte].
        experts: routed experts of a layer, 0 for a dense model [1].
        weights: weight format to quantise to when loading; "" for the checkpoint as it is.
        kv: format of the cache.
        context_tokens: longest prompt and output together [token].
        prefix_share: share of a prompt expected in the prefix cache [1].
        expected: lines that say what this deployment should reach.
        servers: servers by role.
    """

    model: str
    chip: str
    chips_per_node: int
    memory_bytes: float
    experts: int
    weights: str
    kv: str
    context_tokens: int
    prefix_share: float
    expected: tuple[str, ...]
    servers: tuple[Server, ...]


def launch_script(launch: Launch, engine: str) -> str:
    """Write the script that starts a deployment, to be run once on every node.

    Args:
        launch: the deployment.
        engine: "vllm" or "sglang".

    Returns:
        A bash script; every flag stands below a comment that says why it is there.

    Raises:
        InputError: no such engine, or a layout that the engine cannot start.
    """
    if engine not in ENGINES:
        raise InputError(f'--export {engine}: no such engine. Choose {" or ".join(ENGINES)}')
    servers = sorted(launch.servers, key=lambda server: -server.chips)
    _check_placeable(servers, launch, engine)
    nodes = _nodes(servers, launch.chips_per_node)
    first, blocks = 0, []
    for server in servers:
        blocks.append(_block(launch, server, engine, first))
        first += server.count * server.chips
    body = [*_header(launch, servers, engine, nodes), "", *"\n\n".join(blocks).splitlines(), "", *_ending(launch, servers, engine)]
    return "\n".join(line.rstrip() for line in body) + "\n"


def _check_placeable(servers: Sequence[Server], launch: Launch, engine: str) -> None:
    node = launch.chips_per_node
    for server in servers:
        small, large = server.chips, node
        if (large % small if small < large else small % large) != 0:
            raise InputError(f"--export {engine}: servers of {small} chips do not fill nodes of {node} chips")
        if engine == "vllm" and server.dp > 1 and server.tp * server.pp > node:
            raise InputError(
                f"--export vllm: an attention group of tp {server.tp} x pp {server.pp} must fit in a node of {node} chips "
                "beside dp; choose --export sglang"
            )


def _nodes(servers: Sequence[Server], chips_per_node: int) -> int:
    return -(-sum(server.count * server.chips for server in servers) // chips_per_node)


def _header(launch: Launch, servers: Sequence[Server], engine: str, nodes: int) -> list[str]:
    total = sum(server.count * server.chips for server in servers)
    parts = " and ".join(f"{_many(server)} of {_shape(server)}" for server in servers)
    name = {"vllm": "vLLM", "sglang": "SGLang"}[engine]
    hosts = " ".join(f"host{index}" for index in range(min(nodes, 3))) + (" ..." if nodes > 3 else "")
    return [
        "#!/usr/bin/env bash",
        f"# {launch.model} with {name} on {total} x {launch.chip}: {parts}.",
        *(f"# {line}" for line in launch.expected),
        "#",
        f'# Run it on {_count(nodes, "node")}, HOSTS in the same order everywhere and NODE counting from 0:',
        f'#   NODE=0 HOSTS="{hosts}" bash launch.sh [more flags for every server]',
        "set -euo pipefail",
        "",
        f"MODEL=${{MODEL:-{shlex.quote(launch.model)}}}  # Hugging Face name, or the folder that holds the checkpoint",
        'read -ra HOSTS <<< "${HOSTS:-localhost}"',
        "NODE=${NODE:-0}",
        f"CHIPS={launch.chips_per_node}  # accelerators of a node",
        "",
        f"if ((${{#HOSTS[@]}} < {nodes})); then",
        f'  echo "HOSTS names ${{#HOSTS[@]}} of {_count(nodes, "node")}" >&2',
        "  exit 2",
        "fi",
        'trap \'kill $(jobs -p) 2> "/dev/null" || true\' EXIT',
    ]


def _many(server: Server) -> str:
    return _count(server.count, f"{server.role} server".strip())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _shape(server: Server) -> str:
    parts = [("tp", server.tp), ("pp", server.pp), ("dp", server.dp), ("ep", server.ep)]
    shown = [f"{name} {size}" for name, size in parts if size > 1]
    return f"{_count(server.chips, 'chip')}" + (f" ({', '.join(shown)})" if shown else "")


def _block(launch: Launch, server: Server, engine: str, first: int) -> str:
    title = {"": "Servers", "prefill": "Prefill servers: prompts only", "decode": "Decode servers: output tokens only"}
    flags = (_vllm_flags if engine == "vllm" else _sglang_flags)(launch, server)
    name = (server.role or "serve").upper()
    lines = [f"# -- {title[server.role]} " + "-" * max(98 - len(title[server.role]), 3), f"{name}=("]
    for flag, value, reason in flags:
        lines += [f"  # {reason}", f"  {flag} {_quoted(value)}".rstrip()]
    lines.append(")")
    spread = server.chips > launch.chips_per_node
    start = (_spread if spread else _local)(launch, server, engine, first, name)
    return "\n".join([*lines, *start])


def _quoted(value: str) -> str:
    return value if not value or value.startswith('"$') else shlex.quote(value)


def _common_reasons(launch: Launch, server: Server) -> dict[str, str]:
    gigabytes = 1e-9
    groups = f"{server.dp} attention groups with KV of their own"
    per_chip = launch.experts // server.ep if server.ep > 1 else 0
    return {
        "tp": (
            f"{server.tp} chips share every layer: {server.weights_bytes * gigabytes:.0f} GB of weights a chip "
            f"leave {server.kv_bytes * gigabytes:.0f} GB for KV."
            if server.chips > 1
            else f"The model fits on one chip: {server.weights_bytes * gigabytes:.0f} GB of weights leave "
            f"{server.kv_bytes * gigabytes:.0f} GB for KV."
        ),
        "pp": f"{server.pp} stages of layers, one after the other: weights and KV are divided without all-reduces.",
        "dp": f"{groups} share the experts: no chip repeats another's KV.",
        "ep": f"Experts lie on {server.ep} chips, {per_chip} of {launch.experts} each: a step reads each expert once.",
        "context": f"Longest request: {launch.context_tokens:,} tokens; a longer limit would only reserve more.",
        "memory": f"{server.memory_share:.0%} of {launch.memory_bytes * gigabytes:.0f} GB; "
        "the rest is left to graphs and communication buffers.",
        "chunk": f"Prompt tokens of a step; more delays running requests, less delays prompts.",
        "kv": f"KV in {launch.kv}: half the bytes of BF16, twice the sequences in memory.",
        "weights": f"Weights are quantised to {launch.weights} when loaded; the checkpoint holds more.",
        "prefix": f"{launch.prefix_share:.0%} of a prompt is expected in the prefix cache.",
        "no_prefix": "No shared prefixes are expected; hashing blocks would cost and return nothing.",
    }


def _sequences_reason(server: Server) -> str:
    if server.role == "prefill":
        return "Prompts that a server holds at a time; more would only queue inside it."
    return f"{server.sequences} requests a server: above that an objective or the memory is exceeded."


def _vllm_flags(launch: Launch, server: Server) -> list[Flag]:
    why = _common_reasons(launch, server)
    flags: list[Flag] = [("--tensor-parallel-size", str(server.tp), why["tp"])]
    if server.pp > 1:
        flags.append(("--pipeline-parallel-size", str(server.pp), why["pp"]))
    if server.dp > 1:
        flags.append(("--data-parallel-size", str(server.dp), why["dp"]))
    if server.ep > 1:
        flags.append(("--enable-expert-parallel", "", why["ep"]))
    if server.ep > 1 and server.dp > 1 and server.chips > launch.chips_per_node:
        kind = "deepep_high_throughput" if server.role == "prefill" else "deepep_low_latency"
        reason = "Exchange between nodes: kernels for large prompt batches." if server.role == "prefill" else (
            "Exchange between nodes: kernels for the small batches of decode."
        )
        flags.append(("--all2all-backend", kind, reason))
    per_group = math.ceil(server.sequences / server.dp)
    counted = " vLLM counts them per attention group." if server.dp > 1 else ""
    flags.append(("--max-num-seqs", str(per_group), _sequences_reason(server) + counted))
    flags.append(("--max-num-batched-tokens", str(max(server.chunk_tokens, per_group)), why["chunk"]))
    flags.append(("--max-model-len", str(launch.context_tokens), why["context"]))
    flags.append(("--gpu-memory-utilization", f"{server.memory_share:.2f}", why["memory"]))
    flags += _format_flags(launch, why, "vllm")
    flags.append(
        ("--enable-prefix-caching", "", why["prefix"])
        if launch.prefix_share > 0.0
        else ("--no-enable-prefix-caching", "", why["no_prefix"])
    )
    if server.role:
        kind = "kv_producer" if server.role == "prefill" else "kv_consumer"
        config = f'{{"kv_connector":"NixlConnector","kv_role":"{kind}"}}'
        reason = "KV goes to the decode servers over NIXL." if server.role == "prefill" else "KV comes over NIXL."
        flags.append(("--kv-transfer-config", config, reason))
    return flags


def _sglang_flags(launch: Launch, server: Server) -> list[Flag]:
    why = _common_reasons(launch, server)
    stage = server.tp * server.dp
    counted = f" SGLang counts all {stage} chips of the {server.dp} groups." if server.dp > 1 else ""
    flags: list[Flag] = [("--tp-size", str(stage), why["tp"] + counted)]
    if server.pp > 1:
        flags.append(("--pp-size", str(server.pp), why["pp"]))
    if server.dp > 1:
        flags.append(("--dp-size", str(server.dp), why["dp"]))
        flags.append(("--enable-dp-attention", "", "The groups attend to other sequences but serve as one."))
    if server.ep > 1:
        flags.append(("--ep-size", str(server.ep), why["ep"]))
    if server.ep > 1 and server.dp > 1 and server.chips > launch.chips_per_node:
        mode = {"": "auto", "prefill": "normal", "decode": "low_latency"}[server.role]
        flags.append(("--moe-a2a-backend", "deepep", "Exchange of tokens between nodes by DeepEP's kernels."))
        flags.append(("--deepep-mode", mode, "Its kernels for this phase."))
    flags.append(("--max-running-requests", str(server.sequences), _sequences_reason(server)))
    flags.append(("--chunked-prefill-size", str(server.chunk_tokens), why["chunk"]))
    flags.append(("--context-length", str(launch.context_tokens), why["context"]))
    static = (server.weights_bytes + server.kv_bytes) / launch.memory_bytes
    reason = f"Weights and KV take {static:.0%} of {launch.memory_bytes * 1e-9:.0f} GB; the rest is activations and graphs."
    flags.append(("--mem-fraction-static", f"{static:.2f}", reason))
    flags += _format_flags(launch, why, "sglang")
    if launch.prefix_share <= 0.0:
        flags.append(("--disable-radix-cache", "", why["no_prefix"]))
    if server.role:
        flags.append(("--disaggregation-mode", server.role, "This server does one phase only."))
        flags.append(("--disaggregation-transfer-backend", "nixl", "KV travels from prefill to decode servers over NIXL."))
    return flags


def _format_flags(launch: Launch, why: dict[str, str], engine: str) -> list[Flag]:
    flags: list[Flag] = []
    if launch.weights:
        flags.append(("--quantization", launch.weights, why["weights"]))
    if launch.kv.startswith("fp8"):
        flags.append(("--kv-cache-dtype", _FP8_FLAG[engine], why["kv"]))
    return flags


def _local(launch: Launch, server: Server, engine: str, first: int, name: str) -> list[str]:
    """Servers that share a node, or fill it: each takes the next chips."""
    size = server.chips
    lines = [
        f"# Server i takes {_count(size, 'chip')} from chip {first} + {size} i on, counted over all nodes.",
        f"for ((i = 0; i < {server.count}; i++)); do",
        f"  ((({first} + {size} * i) / CHIPS == NODE)) || continue",
        f"  chip=$((({first} + {size} * i) % CHIPS))",
    ]
    return [*lines, *(f"  {line}" for line in _command(server, engine, name, [])), "done"]


def _spread(launch: Launch, server: Server, engine: str, first: int, name: str) -> list[str]:
    """Servers over several nodes: one command on each of them, the first node answers requests."""
    nodes = server.chips // launch.chips_per_node
    begin = first // launch.chips_per_node
    lines = [
        f"# Server i fills {nodes} nodes from node {begin} + {nodes} i on; its first node takes the requests.",
        f"for ((i = 0; i < {server.count}; i++)); do",
        f"  rank=$((NODE - {begin} - {nodes} * i))",
        f"  ((rank >= 0 && rank < {nodes})) || continue",
        f"  head=${{HOSTS[{begin} + {nodes} * i]}}",
        "  chip=0",
    ]
    if engine == "sglang":
        extra = ['--dist-init-addr "$head:5000"', f"--nnodes {nodes}", '--node-rank "$rank"']
        tail: list[str] = []
    elif server.dp > 1:
        local = server.dp // nodes
        extra = [
            f"--data-parallel-size-local {local}",
            f'--data-parallel-start-rank "$((rank * {local}))"',
            '--data-parallel-address "$head"',
            "--data-parallel-rpc-port 13345",
        ]
        tail = ["headless=()", "((rank == 0)) || headless=(--headless)"]
    else:
        extra = [f"--nnodes {nodes}", '--node-rank "$rank"', '--master-addr "$head"']
        tail = ["headless=()", "((rank == 0)) || headless=(--headless)"]
    extra += ['"${headless[@]}"'] if tail else []
    lines += [f"  {line}" for line in tail]
    return [*lines, *(f"  {line}" for line in _command(server, engine, name, extra)), "done"]


def _command(server: Server, engine: str, name: str, extra: Sequence[str]) -> list[str]:
    devices = f'CUDA_VISIBLE_DEVICES=$(seq -s, "$chip" "$((chip + {server.chips} - 1))")'
    setting = [] if extra else [f"{devices} \\"]
    if engine == "vllm":
        side = [] if not server.role else ['VLLM_NIXL_SIDE_CHANNEL_HOST="${HOSTS[NODE]}" \\', "VLLM_NIXL_SIDE_CHANNEL_PORT=$((5600 + chip)) \\"]
        call = ['vllm serve "$MODEL"', f'"${{{name}[@]}}"', f"--port $(({_PORT[server.role]} + chip))"]
    else:
        side = []
        call = [
            'python -m sglang.launch_server --model-path "$MODEL" --host 0.0.0.0',
            f'"${{{name}[@]}}"',
            f"--port $(({_PORT[server.role]} + chip))",
        ]
        if server.role == "prefill":
            call.append("--disaggregation-bootstrap-port $((8998 + chip))")
    parts = [*call, *extra, '"$@"']
    return [*setting, *side, " ".join(parts[:2]) + " \\", "  " + " ".join(parts[2:]) + " &"]


def _ending(launch: Launch, servers: Sequence[Server], engine: str) -> list[str]:
    """What binds the servers together, on the first node: a router, or the list of endpoints for the user's own."""
    lines = ["# -- One address for all of them, on the first node " + "-" * 49, "if ((NODE == 0)); then"]
    first = 0
    for server in servers:
        step = server.chips
        var = {"": "urls", "prefill": "prefill", "decode": "decode"}[server.role]
        lines.append(f"  {var}=()")
        lines.append(f"  for ((i = 0; i < {server.count}; i++)); do")
        lines.append(f"    at=$(({first} + {step} * i)); host=${{HOSTS[at / CHIPS]}}; port=$(({_PORT[server.role]} + at % CHIPS))")
        lines.append(f"    {var}+=({_endpoint(server, engine)})")
        lines.append("  done")
        first += server.count * step
    return [*lines, *_router(servers, engine), "fi", "wait"]


def _endpoint(server: Server, engine: str) -> str:
    if engine == "sglang" and server.role:
        boot = ' "$((8998 + at % CHIPS))"' if server.role == "prefill" else ""
        return f'--{server.role} "http://$host:$port"{boot}'
    return '"http://$host:$port"' if not server.role else '"$host:$port"'


def _router(servers: Sequence[Server], engine: str) -> list[str]:
    split = any(server.role for server in servers)
    if engine == "sglang":
        call = "  python -m sglang_router.launch_router --host 0.0.0.0 --port 30000"
        if split:
            return [f'{call} --pd-disaggregation "${{prefill[@]}}" "${{decode[@]}}" &']
        return [f'{call} --worker-urls "${{urls[@]}}" &'] if servers[0].count > 1 else ['  echo "serving at ${urls[0]}"']
    if not split:
        return ['  echo "serving at ${urls[*]}; give each request to the one with the fewest running"']
    return [
        "  # vLLM's example proxy sends a prompt to a prefill server, then the request to a decode server.",
        "  PROXY=${PROXY:-toy_proxy_server.py}  # tests/v1/kv_connector/nixl_integration in vLLM's repository",
        '  python "$PROXY" --host 0.0.0.0 --port 8192 \\',
        '    --prefiller-hosts "${prefill[@]%:*}" --prefiller-ports "${prefill[@]#*:}" \\',
        '    --decoder-hosts "${decode[@]%:*}" --decoder-ports "${decode[@]#*:}" &',
    ]
