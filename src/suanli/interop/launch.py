"""Launch scripts: a recommended deployment as one shell script for vLLM or SGLang, each flag with its reason.

Servers that span nodes start as vLLM docs/serving/{parallelism_scaling,data_parallel_deployment}.md and SGLang
docs/advanced_features/server_arguments.md describe; routers as in vLLM docs/features/nixl_connector_usage.md and SGLang
docs/advanced_features/{pd_disaggregation,sgl_model_gateway}.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from suanli.errors import InputError
from suanli.interop.launch_flags import Launch, Server, sglang_flags, vllm_flags

ENGINES = ("vllm", "sglang")
_PORT = {"": 8000, "prefill": 8100, "decode": 8200}


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
        raise InputError(f"--export {engine}: no such engine. Choose {' or '.join(ENGINES)}")
    servers = sorted(launch.servers, key=lambda server: -server.chips)
    _check_placeable(servers, launch, engine)
    nodes = _nodes(servers, launch.chips_per_node)
    first, blocks = 0, []
    for server in servers:
        blocks.append(_block(launch, server, engine, first))
        first += server.count * server.chips
    body = [*_header(launch, servers, engine, nodes), ""]
    body += [*"\n\n".join(blocks).splitlines(), "", *_ending(servers, engine)]
    return "\n".join(line.rstrip() for line in body) + "\n"


def _check_placeable(servers: Sequence[Server], launch: Launch, engine: str) -> None:
    node = launch.chips_per_node
    for server in servers:
        small, large = sorted((server.chips, node))
        if large % small:
            raise InputError(
                f"--export {engine}: servers of {server.chips} chips do not fill nodes of {node}; choose another layout"
            )
        if engine == "vllm" and server.dp > 1 and server.tp * server.pp > node:
            raise InputError(
                f"--export vllm: with dp, an attention group of tp {server.tp} x pp {server.pp} must fit in a node of "
                f"{node} chips; choose --export sglang"
            )
        if engine == "vllm" and server.role and server.pp > 1:
            raise InputError(
                "--export vllm: its NIXL connector hands no KV over from pipeline stages; choose --export sglang, or "
                "search with --framework vllm"
            )


def _nodes(servers: Sequence[Server], chips_per_node: int) -> int:
    return -(-sum(server.count * server.chips for server in servers) // chips_per_node)


def _header(launch: Launch, servers: Sequence[Server], engine: str, nodes: int) -> list[str]:
    total = sum(server.count * server.chips for server in servers)
    name = {"vllm": "vLLM", "sglang": "SGLang"}[engine]
    hosts = " ".join(f"host{index}" for index in range(min(nodes, 3))) + (" ..." if nodes > 3 else "")
    return [
        "#!/usr/bin/env bash",
        f"# {launch.model} with {name} on {total // launch.ranks} x {launch.chip}:",
        *(f"#   {_many(server)} of {_shape(server)}" for server in servers),
        *_ranks(launch),
        *(f"# {line}" for line in launch.expected),
        *([f"# MODEL must be {launch.checkpoint}."] if launch.checkpoint else []),
        "#",
        f"# Run it on {_count(nodes, 'node')}, HOSTS in the same order everywhere and NODE counting from 0:",
        f'#   NODE=0 HOSTS="{hosts}" bash launch.sh [more flags for every server]',
        "set -euo pipefail",
        "",
        f"MODEL=${{MODEL:-{shlex.quote(launch.model)}}}  # Hugging Face name, or the folder that holds the checkpoint",
        'read -ra HOSTS <<< "${HOSTS:-localhost}"',
        "NODE=${NODE:-0}",
        f"CHIPS={launch.chips_per_node}  # {'accelerators' if launch.ranks == 1 else 'devices'} of a node",
        "",
        f"if ((${{#HOSTS[@]}} < {nodes})); then",
        f'  echo "HOSTS names ${{#HOSTS[@]}} of {_count(nodes, "node")}" >&2',
        "  exit 2",
        "fi",
        "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT",
    ]


def _ranks(launch: Launch) -> list[str]:
    if launch.ranks == 1:
        return []
    each = f"{launch.chip} is {launch.ranks} devices with memories of their own"
    return [f'# Each {each}: "chip" below means one of them.']


def _many(server: Server) -> str:
    return _count(server.count, f"{server.role} server".strip())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _shape(server: Server) -> str:
    parts = [("tp", server.tp), ("pp", server.pp), ("dp", server.dp), ("ep", server.ep)]
    shown = [f"{name} {size}" for name, size in parts if size > 1]
    return f"{_count(server.chips, 'chip')}" + (f" ({', '.join(shown)})" if shown else "")


def _block(launch: Launch, server: Server, engine: str, first: int) -> str:
    title = {
        "": "Servers",
        "prefill": "Prefill servers: prompts only",
        "decode": "Decode servers: output tokens only",
    }
    flags = (vllm_flags if engine == "vllm" else sglang_flags)(launch, server)
    name = (server.role or "serve").upper()
    lines = [f"# -- {title[server.role]} " + "-" * (74 - len(title[server.role])), f"{name}=("]
    for flag, value, reason in flags:
        lines += [f"  # {reason}", f"  {flag} {shlex.quote(value)}" if value else f"  {flag}"]
    lines.append(")")
    spread = server.chips > launch.chips_per_node
    start = (_spread if spread else _local)(launch, server, engine, first, name)
    return "\n".join([*lines, *start])


def _at(first: int, step: int) -> str:
    """Shell arithmetic of where server i begins."""
    return (f"{first} + " if first else "") + ("i" if step == 1 else f"{step} * i")


def _local(launch: Launch, server: Server, engine: str, first: int, name: str) -> list[str]:
    """Servers that share a node, or fill it: each takes the next chips."""
    size = server.chips
    lines = [
        f"# Server i takes {_count(size, 'chip')} from chip {_at(first, size)} on, counted over all nodes.",
        f"for ((i = 0; i < {server.count}; i++)); do",
        f"  at=$(({_at(first, size)}))",
        "  ((at / CHIPS == NODE)) || continue",
        "  chip=$((at % CHIPS))",
    ]
    return [*lines, *(f"  {line}" for line in _command(launch, server, engine, name, [])), "done"]


def _spread(launch: Launch, server: Server, engine: str, first: int, name: str) -> list[str]:
    """Servers over several nodes: one command on each of them, the first node answers requests."""
    nodes = server.chips // launch.chips_per_node
    begin = first // launch.chips_per_node
    lines = [
        f"# Server i fills {nodes} nodes from node {_at(begin, nodes)} on; its first node takes the requests.",
        f"for ((i = 0; i < {server.count}; i++)); do",
        f"  head=$(({_at(begin, nodes)}))",
        "  rank=$((NODE - head))",
        f"  ((rank >= 0 && rank < {nodes})) || continue",
        "  chip=0",
    ]
    if engine == "sglang":
        extra = ['--dist-init-addr "${HOSTS[head]}:5000"', f"--nnodes {nodes}", '--node-rank "$rank"']
        tail: list[str] = []
    elif server.dp > 1:
        local = server.dp // nodes
        extra = [
            f"--data-parallel-size-local {local}",
            f'--data-parallel-start-rank "$((rank * {local}))"',
            '--data-parallel-address "${HOSTS[head]}"',
            "--data-parallel-rpc-port 13345",
        ]
        tail = ["headless=()", "((rank == 0)) || headless=(--headless)"]
    else:
        extra = [f"--nnodes {nodes}", '--node-rank "$rank"', '--master-addr "${HOSTS[head]}"']
        tail = ["headless=()", "((rank == 0)) || headless=(--headless)"]
    extra += ['"${headless[@]}"'] if tail else []
    lines += [f"  {line}" for line in tail]
    return [*lines, *(f"  {line}" for line in _command(launch, server, engine, name, extra)), "done"]


def _command(launch: Launch, server: Server, engine: str, name: str, extra: Sequence[str]) -> list[str]:
    """The command of one server, in the background; `chip` is its first chip on the node."""
    settings = []
    if not extra:
        settings.append(f'{launch.visible}=$(seq -s, "$chip" "$((chip + {server.chips - 1}))")')
    if engine == "vllm":
        call = ['vllm serve "$MODEL"']
        if server.role:
            settings += [
                'VLLM_NIXL_SIDE_CHANNEL_HOST="${HOSTS[NODE]}"',
                "VLLM_NIXL_SIDE_CHANNEL_PORT=$((5600 + chip))",
            ]
    else:
        call = ['python -m sglang.launch_server --model-path "$MODEL" --host 0.0.0.0']
    options = [f'"${{{name}[@]}}" --port $(({_PORT[server.role]} + chip))']
    if engine == "sglang" and server.role == "prefill":
        options.append("--disaggregation-bootstrap-port $((8998 + chip))")
    options += [*extra, '"$@" &']
    head, *rest = [*settings, *call]
    return [f"{head} \\", *(f"  {part} \\" for part in rest), *_indented(options)]


def _indented(options: Sequence[str]) -> list[str]:
    return [*(f"  {part} \\" for part in options[:-1]), f"  {options[-1]}"]


def _ending(servers: Sequence[Server], engine: str) -> list[str]:
    """What binds the servers together, on the first node: a router, or the list of endpoints for the user's own."""
    lines = ["# -- One address for all of them, on the first node " + "-" * 26, "if ((NODE == 0)); then"]
    first = 0
    for server in servers:
        step = server.chips
        var = {"": "urls", "prefill": "prefill", "decode": "decode"}[server.role]
        lines.append(f"  {var}=()")
        lines.append(f"  for ((i = 0; i < {server.count}; i++)); do")
        lines.append(f"    at=$(({_at(first, step)}))")
        lines.append("    host=${HOSTS[at / CHIPS]}")
        lines.append(f"    port=$(({_PORT[server.role]} + at % CHIPS))")
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
        return (
            [f'{call} --worker-urls "${{urls[@]}}" &']
            if servers[0].count > 1
            else ['  echo "serving at ${urls[0]}"']
        )
    if not split:
        return ['  echo "serving at ${urls[*]}; give each request to the one with the fewest running"']
    return [
        "  # vLLM's example proxy sends a prompt to a prefill server, then the request to a decode server.",
        "  PROXY=${PROXY:-toy_proxy_server.py}  # tests/v1/kv_connector/nixl_integration in vLLM's repository",
        '  python "$PROXY" --host 0.0.0.0 --port 8192 \\',
        '    --prefiller-hosts "${prefill[@]%:*}" --prefiller-ports "${prefill[@]#*:}" \\',
        '    --decoder-hosts "${decode[@]%:*}" --decoder-ports "${decode[@]#*:}" &',
    ]
