"""The event simulator: requests per CPU second, cold and warm starts, memory. Needs traces (see SUANLI_DATA)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from benchmarks.spec import Spec

_DATA = Path(os.environ.get("SUANLI_DATA", Path(__file__).parents[2] / "shared" / "data")) / "traces"
AZURE, MOONCAKE = _DATA / "azure_llm_2023_conv.csv", _DATA / "mooncake_fast25_synthetic.jsonl"
_SCENARIO = "scenarios/sim-llama2-7b-a100.toml"
_ONE = f"""
    from suanli.catalog import Catalog
    from suanli.demand import arrivals, traces
    from suanli.interop.traces import read_trace
    from suanli.scenario import load
    from suanli.serving.sim import simulate
    from suanli.study import simulation
    made = simulation.deployment(load("{_SCENARIO}"), Catalog())
"""
_LOADED = (
    _ONE
    + f"""
    trace = arrivals.poisson(traces.resized(read_trace("{AZURE}").trace, REQUESTS), 2.0, 0)
    options = dict(max_batched_tokens=512, max_num_seqs=128)
    cluster, size = simulation.cluster_of(made, dict(replica=1), options, {{}})
"""
)
_PREFIX = (
    _ONE
    + f"""
    trace = read_trace("{MOONCAKE}").trace
    options = dict(max_batched_tokens=8192, max_num_seqs=128)
    common = dict(prefix_cache=True, router="prefix-aware")
    cluster, size = simulation.cluster_of(made, dict(replica=64), options, common)
"""
)


def _per_request(setup: str, requests: int) -> float:
    """CPU seconds of one warm simulation in a fresh process, over its requests."""
    code = textwrap.dedent(setup.replace("REQUESTS", str(requests))) + textwrap.dedent("""
        import time
        simulate(traces.first(trace, 200), cluster, kv_bytes_per_token=size)
        simulate(trace, cluster, kv_bytes_per_token=size)
        start = time.process_time()
        simulate(trace, cluster, kv_bytes_per_token=size)
        print((time.process_time() - start) / len(trace))
    """)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _million(memory: bool) -> float:
    """CPU seconds, or peak memory in GB, of a process that simulates a million requests."""
    code = textwrap.dedent(_LOADED.replace("REQUESTS", "1_000_000")) + textwrap.dedent("""
        import resource, time
        outcome = simulate(trace, cluster)
        assert outcome.status.size == 1_000_000
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, time.process_time())
    """)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    peak_gb, seconds = map(float, done.stdout.split())
    return peak_gb if memory else seconds


def _command(cold: bool) -> float:
    """CPU seconds of the command for 19,000 requests; cold has nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | ({"SUANLI_CACHE": folder} if cold else {})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        options = [
            "--qps",
            "2",
            "--requests",
            "19000",
            "--max-model-len",
            "16384",
            "--chunk",
            "512",
            "--max-num-seqs",
            "128",
        ]
        command = [
            sys.executable,
            "-m",
            "suanli.cli.main",
            "simulate",
            _SCENARIO,
            "--trace",
            str(AZURE),
            *options,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


SPECS = (
    [
        Spec(
            "simulate",
            1e-5,
            "CPU s a request: Azure lengths, one A100, operator times, warm",
            lambda: _per_request(_LOADED, 19_000),
        ),
        Spec(
            "simulate-cold", 6.0, "suanli simulate, 19,000 requests, nothing compiled", lambda: _command(True)
        ),
        Spec(
            "simulate-again",
            1.5,
            "suanli simulate, 19,000 requests, compiled before",
            lambda: _command(False),
        ),
        Spec("simulate-million", 20.0, "1,000,000 requests, whole process", lambda: _million(False)),
        Spec("simulate-memory", 1.0, "GB of memory for 1,000,000 requests", lambda: _million(True)),
        Spec(
            "simulate-prefix",
            5e-5,
            "CPU s a request: Mooncake, 64 replicas, prefixes",
            lambda: _per_request(_PREFIX, 0),
        ),
    ]
    if AZURE.is_file() and MOONCAKE.is_file()
    else []
)
if not SPECS and __name__ != "__main__":
    sys.stderr.write("benchmarks of the simulator are left out: no traces (set SUANLI_DATA)\n")
