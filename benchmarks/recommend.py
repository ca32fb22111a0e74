"""Deployment searches: 32 H200, aggregated and disaggregated, with costs and power; in process and from nothing."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.spec import Spec, command_cpu_s

ARGUMENTS = ("--chip", "h200_sxm", "--chips", "32", "--isl", "4000", "--osl", "1000")
DENSE = ("--model", "qwen3-32b", "--ttft-slo", "2 s", "--tpot-slo", "30 ms")
SPARSE = ("--model", "deepseek-v3", "--ttft-slo", "3 s", "--tpot-slo", "50 ms")


def _search(
    model: str, ttft_slo_s: float, tpot_slo_s: float, chip: str = "h200_sxm", chips: int = 32
) -> float:
    """CPU seconds of one search in process; another search has loaded code and catalogue, no step table is kept."""
    from suanli.study.deployment.solve import Deployments
    from suanli.study.recommend import Question, read_limit, recommend

    question = Question(model, (chip,), 4000, 1000, read_limit(chips, None, None), ttft_slo_s, tpot_slo_s)
    recommend(replace(question, model="qwen3-8b", limit=read_limit(1, None, None)), Deployments())
    fresh = Deployments()
    start = time.process_time()
    recommend(question, fresh)
    return time.process_time() - start


SPECS = [
    Spec(
        "recommend-dense",
        1.0,
        "recommend, Qwen3-32B on 32 H200, in process",
        lambda: _search("qwen3-32b", 2.0, 0.03),
    ),
    Spec(
        "recommend-sparse",
        3.0,
        "recommend, DeepSeek-V3 on 32 H200, in process",
        lambda: _search("deepseek-v3", 3.0, 0.05),
    ),
    Spec(
        "recommend-supernode",
        5.0,
        "recommend, DeepSeek-V3 on 384 Ascend 910C (768 ranks), in process",
        lambda: _search("deepseek-v3", 5.0, 0.05, "huawei-ascend-910c", 384),
    ),
    Spec(
        "recommend-cold",
        2.5,
        "suanli recommend, Qwen3-32B on 32 H200",
        lambda: command_cpu_s("recommend", *DENSE, *ARGUMENTS),
    ),
    Spec(
        "recommend-cold-sparse",
        4.5,
        "suanli recommend, DeepSeek-V3 on 32 H200",
        lambda: command_cpu_s("recommend", *SPARSE, *ARGUMENTS),
    ),
]
