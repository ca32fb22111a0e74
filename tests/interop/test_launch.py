"""Launch scripts: the text as a reader sees it, and the commands that it starts, run with stand-ins for the engines."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from suanli.errors import InputError
from suanli.interop.launch import ENGINES, launch_script
from suanli.interop.launch_flags import Launch, Role, Server
from suanli.interop.launch_plan import launch_plan, model_name
from suanli.study.deployment.solve import Deployments
from suanli.study.recommend import Question, read_limit, recommend


def server(
    role: Role,
    count: int,
    tp: int = 1,
    pp: int = 1,
    dp: int = 1,
    ep: int = 1,
    sequences: int = 64,
    chunk: int = 8192,
) -> Server:
    return Server(role, count, tp, pp, dp, ep, sequences, chunk, 0.9, 33e9, 90e9)


def launch(*servers: Server, experts: int = 0, **change: object) -> Launch:
    base = Launch(
        model="Qwen/Qwen3-32B",
        chip="nvidia-h200-sxm",
        chips_per_node=8,
        memory_bytes=141e9,
        experts=experts,
        weights="",
        checkpoint="",
        kv="bf16",
        context_tokens=5000,
        prefix_share=0.0,
        expected=("Expected: TPOT 29 ms.",),
        servers=servers,
    )
    return replace(base, **change)  # type: ignore[arg-type]


# -- the text ----------------------------------------
VLLM = r"""#!/usr/bin/env bash
# Qwen/Qwen3-32B with vLLM on 32 x nvidia-h200-sxm:
#   16 servers of 2 chips (tp 2)
# Expected: TPOT 29 ms.
#
# Run it on 4 nodes, HOSTS in the same order everywhere and NODE counting from 0:
#   NODE=0 HOSTS="host0 host1 host2 ..." bash launch.sh [more flags for every server]
set -euo pipefail

MODEL=${MODEL:-Qwen/Qwen3-32B}  # Hugging Face name, or the folder that holds the checkpoint
read -ra HOSTS <<< "${HOSTS:-localhost}"
NODE=${NODE:-0}
CHIPS=8  # accelerators of a node

if ((${#HOSTS[@]} < 4)); then
  echo "HOSTS names ${#HOSTS[@]} of 4 nodes" >&2
  exit 2
fi
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# -- Servers -------------------------------------------------------------------
SERVE=(
  # 2 chips share every layer: 33 GB of weights a chip leave 90 GB for KV.
  --tensor-parallel-size 2
  # 50 requests a server: with more, an objective is missed or the memory is full.
  --max-num-seqs 50
  # Prompt tokens of a step: more delay running requests, fewer delay prompts.
  --max-num-batched-tokens 2048
  # Longest request: 5,000 tokens, prompt and output together.
  --max-model-len 5000
  # 90% of 141 GB; the rest is left to other processes on the chip.
  --gpu-memory-utilization 0.90
  # No shared prefixes are expected: keeping track of them costs and returns nothing.
  --no-enable-prefix-caching
)
# Server i takes 2 chips from chip 2 * i on, counted over all nodes.
for ((i = 0; i < 16; i++)); do
  at=$((2 * i))
  ((at / CHIPS == NODE)) || continue
  chip=$((at % CHIPS))
  CUDA_VISIBLE_DEVICES=$(seq -s, "$chip" "$((chip + 1))") \
    vllm serve "$MODEL" \
    "${SERVE[@]}" --port $((8000 + chip)) \
    "$@" &
done

# -- One address for all of them, on the first node --------------------------
if ((NODE == 0)); then
  urls=()
  for ((i = 0; i < 16; i++)); do
    at=$((2 * i))
    host=${HOSTS[at / CHIPS]}
    port=$((8000 + at % CHIPS))
    urls+=("http://$host:$port")
  done
  echo "serving at ${urls[*]}; give each request to the one with the fewest running"
fi
wait
"""

SGLANG_DECODE = r"""# -- Decode servers: output tokens only ----------------------------------------
DECODE=(
  # No layer is cut over chips: 33 GB of weights a chip leave 90 GB for KV. SGLang counts the chips of all 16 groups.
  --tp-size 16
  # 16 attention groups with KV of their own share the experts: no chip repeats another's KV.
  --dp-size 16
  # The groups attend to requests of their own inside one server.
  --enable-dp-attention
  # Experts lie whole on 16 chips, 16 of 256 on each, and are read once a step.
  --ep-size 16
  # Tokens travel between nodes by DeepEP's kernels.
  --moe-a2a-backend deepep
  # DeepEP's kernels for this phase.
  --deepep-mode low_latency
  # 500 requests a server: with more, an objective is missed or the memory is full. SGLang divides it by the groups.
  --max-running-requests 512
  # Prompt tokens of a step: more delay running requests, fewer delay prompts. SGLang divides it by the groups.
  --chunked-prefill-size 131072
  # Longest request: 5,000 tokens, prompt and output together.
  --context-length 5000
  # Weights and KV take 87% of 141 GB; activations and graphs the rest.
  --mem-fraction-static 0.87
  # KV in 8 bits: twice the sequences of BF16 in memory.
  --kv-cache-dtype fp8_e4m3
  # No shared prefixes are expected: keeping track of them costs and returns nothing.
  --disable-radix-cache
  # This server does one phase only.
  --disaggregation-mode decode
  # KV comes from the prefill servers over NIXL.
  --disaggregation-transfer-backend nixl
)
# Server i fills 2 nodes from node 2 * i on; its first node takes the requests.
for ((i = 0; i < 1; i++)); do
  head=$((2 * i))
  rank=$((NODE - head))
  ((rank >= 0 && rank < 2)) || continue
  chip=0
  python -m sglang.launch_server --model-path "$MODEL" --host 0.0.0.0 \
    "${DECODE[@]}" --port $((8200 + chip)) \
    --dist-init-addr "${HOSTS[head]}:5000" \
    --nnodes 2 \
    --node-rank "$rank" \
    "$@" &
done
"""


def test_a_vllm_script_reads_like_this() -> None:
    assert launch_script(launch(server("", 16, tp=2, sequences=50, chunk=2048)), "vllm") == VLLM


def test_the_servers_of_an_sglang_script_read_like_this() -> None:
    pools = (server("prefill", 2, tp=8, sequences=1), server("decode", 1, dp=16, ep=16, sequences=500))
    assert SGLANG_DECODE in launch_script(launch(*pools, experts=256, kv="fp8"), "sglang")


CASES = {
    "small servers": (server("", 16, tp=2),),
    "one chip": (server("", 3),),
    "two pools": (server("prefill", 14), server("decode", 9, tp=2)),
    "experts in a node": (server("", 4, dp=8, ep=8),),
    "experts over nodes": (server("prefill", 2, tp=8, ep=8), server("decode", 1, dp=16, ep=16)),
    "stages over nodes": (server("", 2, tp=8, pp=2),),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_every_flag_has_its_reason_above_it(case: str, engine: str) -> None:
    text = launch_script(launch(*CASES[case], experts=256), engine)
    lines = text.splitlines()
    flags = [at for at, line in enumerate(lines) if line.startswith("  --")]
    assert len(flags) >= 6
    for at in flags:
        assert lines[at - 1].startswith("  # ") and lines[at - 1].endswith("."), lines[at]
    assert max(len(line) for line in lines) <= 120


@pytest.mark.parametrize(
    ("engine", "flags"),
    [
        ("vllm", ("--enable-eplb", "--eplb-config '{\"num_redundant_experts\":32}'")),
        ("sglang", ("--enable-eplb", "--ep-num-redundant-experts 32")),
    ],
)
def test_copies_of_experts_are_asked_for(engine: str, flags: tuple[str, str]) -> None:
    """DeepSeek's decode unit: 256 experts and 32 copies on 144 chips, two on each."""
    text = launch_script(launch(replace(server("", 1, dp=144, ep=144), copies=32), experts=256), engine)
    assert "Experts lie whole on 144 chips, 2 of 256 on each" in text
    assert all(f"\n  {flag}\n" in text for flag in flags)
    plain = launch_script(launch(server("", 1, dp=128, ep=128), experts=256), engine)
    assert "eplb" not in plain and "redundant" not in plain


# -- the commands -------------------------------------
def started(tmp_path: Path, script: str, hosts: int, *more: str) -> list[list[str]]:
    """Run a script on each node, `vllm` and `python` replaced; returns node, chips and arguments of each call."""
    stand_in = '#!/bin/sh\nprintf "%s\\n" "$TEST_NODE|${CUDA_VISIBLE_DEVICES:-all}|$*" >> "$TEST_LOG"\n'
    for name in ("vllm", "python"):
        path = tmp_path / name
        path.write_text(stand_in, encoding="utf-8")
        path.chmod(0o755)
    (tmp_path / "launch.sh").write_text(script, encoding="utf-8")
    log = tmp_path / "log"
    for node in range(hosts):
        env = {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "NODE": str(node),
            "TEST_NODE": str(node),
            "TEST_LOG": str(log),
            "HOSTS": " ".join(f"host{index}" for index in range(hosts)),
        }
        subprocess.run(["bash", str(tmp_path / "launch.sh"), *more], env=env, check=True, capture_output=True)
    return [line.split("|", 2) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_every_chip_gets_exactly_one_server(tmp_path: Path, case: str, engine: str) -> None:
    servers = CASES[case]
    total = sum(one.count * one.chips for one in servers)
    hosts = -(-total // 8)
    calls = started(tmp_path, launch_script(launch(*servers, experts=256), engine), hosts)
    serving = [call for call in calls if "serve" in call[2].split() or "sglang.launch_server" in call[2]]
    held = [
        (int(node), int(chip))
        for node, chips, _ in serving
        for chip in (range(8) if chips == "all" else chips.split(","))
    ]
    assert len(held) == len(set(held)) == total
    ports = [(node, arguments.split("--port ")[1].split()[0]) for node, _, arguments in serving]
    assert len(set(ports)) == len(ports)
    routed = [
        arguments for node, _, arguments in calls if (node, _, arguments) not in [tuple(c) for c in serving]
    ]
    assert all(int(call[0]) == 0 for call in calls if call not in serving)
    assert len(routed) <= len(serving) + 1


def test_a_server_over_nodes_has_one_head(tmp_path: Path) -> None:
    script = launch_script(launch(server("", 2, dp=16, ep=16), experts=256), "vllm")
    calls = started(tmp_path, script, 4, "--trust-remote-code")
    assert [(node, "--headless" in text) for node, _, text in sorted(calls)] == [
        ("0", False),
        ("1", True),
        ("2", False),
        ("3", True),
    ]
    for node, _, text in calls:
        rank = int(node) % 2
        assert f"--data-parallel-size-local 8 --data-parallel-start-rank {8 * rank} " in text
        assert f"--data-parallel-address host{int(node) - rank} " in text
        assert "--all2all-backend deepep_low_latency --max-num-seqs 4 " in text
        assert text.endswith("--trust-remote-code")


def test_stages_over_nodes_meet_at_the_head(tmp_path: Path) -> None:
    calls = started(tmp_path, launch_script(launch(server("", 2, tp=8, pp=2)), "vllm"), 4)
    seen = {node: text for node, _, text in calls}
    assert "--nnodes 2 --node-rank 0 --master-addr host2" in seen["2"] and "--headless" not in seen["2"]
    assert "--nnodes 2 --node-rank 1 --master-addr host2 --headless" in seen["3"]


def test_the_proxy_knows_every_server_of_both_pools(tmp_path: Path) -> None:
    calls = started(tmp_path, launch_script(launch(*CASES["two pools"]), "vllm"), 4)
    (proxy,) = [text for _, _, text in calls if "toy_proxy_server.py" in text]
    words = proxy.split()
    hosts = words[words.index("--decoder-hosts") + 1 : words.index("--decoder-ports")]
    ports = words[words.index("--decoder-ports") + 1 :]
    served = {
        (f"host{node}", text.split("--port ")[1].split()[0])
        for node, _, text in calls
        if "kv_consumer" in text
    }
    assert set(zip(hosts, ports, strict=True)) == served and len(hosts) == 9
    assert proxy.count("host") - proxy.count("-host") == 9 + 14


def test_the_router_knows_bootstrap_ports(tmp_path: Path) -> None:
    calls = started(tmp_path, launch_script(launch(*CASES["two pools"]), "sglang"), 4)
    (router,) = [text for _, _, text in calls if "sglang_router" in text]
    for node, _, text in calls:
        if "--disaggregation-mode prefill" in text:
            port = text.split("--port ")[1].split()[0]
            boot = text.split("--disaggregation-bootstrap-port ")[1].split()[0]
            assert f"--prefill http://host{node}:{port} {boot}" in router
    assert router.count("--prefill ") == 14 and router.count("--decode ") == 9


def test_too_few_hosts_stop_the_script(tmp_path: Path) -> None:
    path = tmp_path / "launch.sh"
    path.write_text(launch_script(launch(server("", 16, tp=2)), "vllm"), encoding="utf-8")
    done = subprocess.run(
        ["bash", str(path)], env={**os.environ, "HOSTS": "a b"}, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "HOSTS names 2 of 4 nodes\n")


# -- what cannot be started ----------------------------
@pytest.mark.parametrize(
    ("engine", "servers", "line"),
    [
        ("trtllm", (server("", 1),), "no such engine. Choose vllm or sglang"),
        ("vllm", (server("", 1, tp=1, dp=6, ep=6),), "servers of 6 chips do not fill nodes of 8"),
        ("sglang", (server("", 1, dp=12, ep=12),), "servers of 12 chips do not fill nodes of 8"),
        ("vllm", (server("", 1, tp=16, dp=2, ep=32),), "tp 16 x pp 1 must fit in a node of 8 chips"),
        ("vllm", (server("prefill", 1, pp=2), server("decode", 1)), "hands no KV over from pipeline stages"),
    ],
)
def test_what_an_engine_cannot_start_is_refused(engine: str, servers: tuple[Server, ...], line: str) -> None:
    with pytest.raises(InputError, match=line):
        launch_script(launch(*servers), engine)


def test_sglang_takes_stages_in_a_prefill_pool() -> None:
    text = launch_script(launch(server("prefill", 1, pp=2), server("decode", 1)), "sglang")
    assert "\n  --pp-size 2\n" in text


# -- from a search -------------------------------------
def test_a_found_deployment_becomes_a_plan() -> None:
    known = Deployments()
    question = Question(
        "gpt-oss-120b",
        ("h200",),
        2000,
        500,
        read_limit(8, None, None),
        2.0,
        0.02,
        prefix_share=0.5,
        framework="vllm",
    )
    found = recommend(question, known)
    plan = launch_plan(found.search, found.best, known.catalog.model("gpt-oss-120b"))
    assert plan.model == "openai/gpt-oss-120b"
    assert plan.context_tokens == 2500 and plan.prefix_share == 0.5
    assert sum(one.count * one.chips for one in plan.servers) == found.best.chips
    for one, pool in zip(plan.servers, found.best.pools, strict=True):
        assert one.sequences >= pool.requests
        assert 0.0 < one.weights_bytes + one.kv_bytes < plan.memory_bytes
    text = launch_script(plan, "vllm")
    assert "# 50% of a prompt is expected in the prefix cache.\n  --enable-prefix-caching\n" in text
    assert "--quantization" not in text


def test_formats_that_were_asked_for_reach_the_engine() -> None:
    known = Deployments()
    question = Question(
        "qwen3-8b", ("h200",), 500, 100, read_limit(1, None, None), weights_dtype="fp8", kv_dtype="fp8"
    )
    best = recommend(question, known)
    text = launch_script(launch_plan(best.search, best.best, {}), "vllm")
    assert "\n  --quantization fp8\n" in text and "\n  --kv-cache-dtype fp8\n" in text
    narrow = recommend(replace(question, weights_dtype="int4"), known)
    other = launch_script(launch_plan(narrow.search, narrow.best, {}), "vllm")
    assert "--quantization" not in other
    assert "# MODEL must be a checkpoint with weights in int4.\n" in other


def test_the_model_goes_by_its_name() -> None:
    assert model_name("nvidia/DeepSeek-R1-NVFP4", {"_suanli": {"aliases": ["deepseek-ai/DeepSeek-R1"]}}) == (
        "nvidia/DeepSeek-R1-NVFP4"
    )
    assert model_name("deepseek-r1", {"_suanli": {"aliases": ["r1", "deepseek-ai/DeepSeek-R1"]}}) == (
        "deepseek-ai/DeepSeek-R1"
    )
    assert model_name("my-model.json", {}) == "my-model.json"


# -- drafts ----------------------------------------
def flags_of(text: str, name: str) -> str:
    """The lines of one array of flags, comments left out."""
    block = text.split(f"{name}=(\n", 1)[1].split("\n)", 1)[0]
    return " ".join(line.strip() for line in block.splitlines() if not line.strip().startswith("#"))


def test_drafts_of_the_models_own_layers_are_switched_on() -> None:
    # vLLM docs/features/speculative_decoding/mtp.md; SGLang docs/advanced_features/speculative_decoding.md.
    plan = launch(server("prefill", 1, tp=8), server("decode", 1, tp=8), drafts=2)
    vllm, sglang = (launch_script(plan, engine) for engine in ENGINES)
    for name in ("PREFILL", "DECODE"):
        assert """--speculative-config '{"method":"mtp","num_speculative_tokens":2}'""" in flags_of(
            vllm, name
        )
        assert (
            "--speculative-algorithm EAGLE --speculative-num-steps 2 --speculative-eagle-topk 1 "
            "--speculative-num-draft-tokens 3"
        ) in flags_of(sglang, name)
    assert "speculative" not in launch_script(launch(server("", 1)), "vllm")


def drafting(model: str, **change: object) -> tuple[int, str]:
    question = Question(
        model, ("nvidia-h200-sxm",), 4000, 1000, read_limit(16, None, None), 5.0, 0.05, framework="sglang"
    )
    question = replace(question, modes=("aggregated",), options={"mtp_draft": 1.0}, **change)  # type: ignore[arg-type]
    found = recommend(question, Deployments())
    plan = launch_plan(found.search, found.best, {})
    return plan.drafts, launch_script(plan, "sglang")


def test_only_a_model_with_such_layers_gets_the_flags() -> None:
    drafts, text = drafting("deepseek-v3")
    assert drafts == 1 and "--speculative-num-draft-tokens 2" in text and "has no flags" not in text
    drafts, text = drafting("qwen3-32b")
    assert drafts == 0 and "--speculative" not in text and "this script has no flags" in text
