"""Did predictions change? A fixed grid of questions, its answers, and the comparison with those on record."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suanli.study.deployment.request import Answer, Request

GRID_COLUMNS = (
    "question",
    "status",
    "basis",
    "ttft_s",
    "tpot_s",
    "output_tokens_per_s",
    "input_tokens_per_s",
    "power_w",
)
_NUMBERS = GRID_COLUMNS[3:]
# A change below this is rounding; the file holds six digits.
TOLERANCE = 2e-5

_MODELS = (
    ("llama-3.1-8b", "native", ((1, 1, 1, 1),)),
    ("llama-3.1-70b", "fp8", ((4, 1, 1, 1), (8, 1, 1, 1))),
    ("qwen3-32b", "native", ((2, 1, 1, 1), (4, 2, 1, 1))),
    ("qwen3-30b-a3b", "native", ((1, 1, 1, 1), (4, 1, 1, 4))),
    ("gpt-oss-120b", "native", ((2, 1, 1, 1),)),
    ("deepseek-v3", "native", ((8, 1, 1, 8), (1, 1, 32, 32))),
)
_CHIPS = (
    "nvidia-a100-sxm-80gb",
    "nvidia-h100-sxm",
    "nvidia-h200-sxm",
    "nvidia-h20-96gb",
    "nvidia-b200-sxm",
    "nvidia-gb200",
    "nvidia-l40s",
    "amd-mi300x",
    "google-tpu-v6e",
    "aws-trainium2",
    "huawei-ascend-910c",
)
_LOADS = (
    ("mixed", 1024, 1024, 4),
    ("mixed", 8192, 1024, 64),
    ("prefill", 4096, 1, 1),
    ("decode", 4096, 256, 128),
)
_FRAMEWORKS = ("*", "vllm", "sglang", "trtllm")


@dataclass(frozen=True, slots=True)
class Change:
    """A question whose answer differs from the one on record."""

    question: str
    field: str
    was: str
    now: str


def questions() -> Iterator[tuple[str, Request]]:
    """Yield every question of the grid with its name; frameworks take turns over models and loads."""
    at = 0
    for model, weights, layouts in _MODELS:
        for tp, pp, dp, ep in layouts:
            for chip in _CHIPS:
                for phase, isl, osl, concurrency in _LOADS:
                    framework = _FRAMEWORKS[at % len(_FRAMEWORKS)]
                    at += 1
                    layout = f"tp{tp} pp{pp} dp{dp} ep{ep}"
                    name = f"{model} {weights} {chip} {layout} {framework} {phase} {isl}/{osl} c{concurrency}"
                    yield (
                        name,
                        Request(
                            model=model,
                            chip=chip,
                            n_chips=tp * pp * dp,
                            tp=tp,
                            pp=pp,
                            dp=dp,
                            ep=ep,
                            weights_dtype=weights,
                            framework=framework,
                            phase=phase,
                            isl=float(isl),
                            osl=float(osl),
                            concurrency=float(concurrency),
                        ),
                    )


def answers(
    answer: Callable[[Request], Answer], tick: Callable[[int], None] | None = None
) -> list[dict[str, str]]:
    """Answer the grid; one row of texts a question, in the order of GRID_COLUMNS.

    Args:
        answer: the model.
        tick: called with the number of questions done.
    """
    rows = []
    for done, (name, request) in enumerate(questions(), start=1):
        found = answer(request)
        numbers = {field: found.quantities.get(field) for field in _NUMBERS}
        texts = {field: "" if band is None else f"{band.value:.6g}" for field, band in numbers.items()}
        rows.append({"question": name, "status": found.status, "basis": found.basis, **texts})
        if tick is not None:
            tick(done)
    return rows


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, GRID_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def changes(was: str, now: Sequence[Mapping[str, str]]) -> list[Change]:
    """Return what differs from a table on record; numbers that agree to six digits do not.

    Args:
        was: the table on record, as CSV.
        now: rows of `answers`.
    """
    before = {row["question"]: row for row in csv.DictReader(io.StringIO(was))}
    found = [
        Change(name, "question", "on record", "gone")
        for name in before.keys() - {row["question"] for row in now}
    ]
    for row in now:
        old = before.get(row["question"])
        if old is None:
            found.append(Change(row["question"], "question", "", "new"))
            continue
        found += [
            Change(row["question"], field, old.get(field) or "", row[field])
            for field in GRID_COLUMNS[1:]
            if not _same(old.get(field) or "", row[field])
        ]
    return sorted(found, key=lambda change: change.question)


def _same(was: str, now: str) -> bool:
    if was == now:
        return True
    try:
        return abs(float(now) / float(was) - 1.0) <= TOLERANCE
    except (ValueError, ZeroDivisionError):
        return False
