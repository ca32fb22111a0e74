"""Files of a simulation: requests, time series, latency curves, load over time, a Chrome trace."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.report.figures import alone
from suanli.serving.sim import STATUS_NAMES, Outcome

Array = NDArray[np.floating[Any]]

COLUMNS = (
    *(
        "request_id",
        "arrived_s",
        "scheduled_s",
        "first_token_s",
        "finished_s",
        "input_tokens",
        "output_tokens",
    ),
    *("cached_tokens", "replica", "preemptions", "status"),
)
_KINDS = {1: "prefill", 2: "mixed", 3: "decode"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 760, 320, 70, 46, 40, 110
_STROKES = ("#3b6ea5", "#1d9a7b", "#b0762c", "#8a4f9e")


def write_requests(outcome: Outcome, path: Path) -> None:
    """Write one line a request; empty where a time never came.

    Args:
        outcome: the simulation.
        path: CSV, or Parquet by its ending (needs the `parquet` extra).
    """
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table(dict(zip(COLUMNS, _columns(outcome), strict=True)))
        parquet.write_table(table, path)
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, outcome.status.size, 100_000):
            columns = [_texts(column[start : start + 100_000]) for column in _columns(outcome)]
            file.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def _columns(outcome: Outcome) -> list[NDArray[np.generic]]:
    return [
        np.arange(outcome.status.size),
        outcome.arrived_s,
        outcome.scheduled_s,
        outcome.first_token_s,
        outcome.finished_s,
        outcome.input_tokens,
        outcome.output_tokens,
        outcome.cached_tokens,
        outcome.replica,
        outcome.preemptions,
        np.array(STATUS_NAMES)[outcome.status],
    ]


def _texts(column: NDArray[np.generic]) -> list[str]:
    if column.dtype.kind == "f":
        return ["" if math.isnan(x) else f"{x:.9g}" for x in column.tolist()]
    return [str(x) for x in column.tolist()]


def write_series(outcome: Outcome, path: Path) -> None:
    """Write the time series, one line a bin.

    Args:
        outcome: the simulation.
        path: CSV.
    """
    series = outcome.series
    names = (
        "busy",
        "prompt_tokens_per_s",
        "output_tokens_per_s",
        "power_w",
        "running",
        "kv_share",
        "waiting",
    )
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(("start_s", *names)) + "\n")
        for k in range(series.busy.size):
            row = [k * series.width_s, *(float(getattr(series, name)[k]) for name in names)]
            file.write(",".join(f"{x:.9g}" for x in row) + "\n")


def latency_figure(outcome: Outcome) -> str:
    """Draw cumulative shares of TTFT, TPOT and time in queue, on a logarithmic axis of seconds.

    Args:
        outcome: the simulation.

    Returns:
        An <svg> file.
    """
    curves = []
    for name, values in (("TTFT", outcome.ttft_s), ("TPOT", outcome.tpot_s), ("queue", outcome.queue_s)):
        if values.size:
            shares = np.linspace(0.0, 1.0, 201)
            curves.append((name, np.maximum(np.quantile(values, shares), 1e-4), shares))
    return lines("Latency: share of requests at or below", "s", curves, log=True)


def load_figures(outcome: Outcome) -> dict[str, str]:
    """Draw requests running and waiting, KV in use, and power over time.

    Args:
        outcome: the simulation.

    Returns:
        {file name: <svg> file}.
    """
    series = outcome.series
    time = (np.arange(series.busy.size) + 0.5) * series.width_s
    return {
        "batch.svg": lines(
            "Requests running and waiting, all replicas",
            "s",
            [("running", time, series.running), ("waiting", time, series.waiting)],
        ),
        "kv.svg": lines("Share of KV blocks in use", "s", [("KV", time, series.kv_share)]),
        "power.svg": lines("Power of the accelerators, kW", "s", [("power", time, series.power_w / 1e3)]),
    }


def lines(title: str, unit: str, curves: Sequence[tuple[str, Array, Array]], *, log: bool = False) -> str:
    """Draw curves over one axis.

    Args:
        title: shown above.
        unit: of the horizontal axis.
        curves: (name, x, y).
        log: logarithmic horizontal axis.

    Returns:
        An <svg> file.
    """
    out = [
        f'<svg class="figure" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="title" x="0" y="16">{escape(title)}</text>',
    ]
    xs = np.concatenate([x for _, x, _ in curves]) if curves else np.array([1.0])
    ys = np.concatenate([y for _, _, y in curves]) if curves else np.array([1.0])
    low, high = (float(xs.min()), float(xs.max())) if log else (0.0, float(xs.max()))
    top = float(ys.max()) or 1.0
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(x: Array) -> Array:
        if log:
            return np.asarray(_LEFT + wide * np.log(x / low) / max(math.log(high / low), 1e-9))
        return np.asarray(_LEFT + wide * x / max(high, 1e-12))

    for at in _ticks(low, high, log):
        place = float(across(np.array(at)))
        out.append(
            f'<text class="label" x="{place:.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{at:g}</text>'
        )
        out.append(f'<path d="M{place:.1f} {_TOP}V{_TOP + tall}" stroke="#8884" fill="none"/>')
    out.append(
        f'<text class="label" x="{_LEFT + wide}" y="{_HEIGHT - 6}" text-anchor="end">{escape(unit)}</text>'
    )
    for at in _ticks(0.0, top, False):
        level = _TOP + tall * (1.0 - at / top)
        out.append(f'<text class="label" x="{_LEFT - 8}" y="{level + 4:.1f}" text-anchor="end">{at:g}</text>')
        out.append(f'<path d="M{_LEFT} {level:.1f}H{_LEFT + wide}" stroke="#8884" fill="none"/>')
    for k, (name, x, y) in enumerate(curves):
        stroke = _STROKES[k % len(_STROKES)]
        px, py = across(x), _TOP + tall * (1.0 - y / top)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
        out.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.8"/>')
        out.append(
            f'<text x="{_LEFT + wide + 12}" y="{_TOP + 14 + 20 * k}" style="fill:{stroke}">{escape(name)}</text>'
        )
    return alone("\n".join([*out, "</svg>"]))


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(max(high, low)) + 1e-9)
        return [10.0**k for k in range(first, last + 1)]
    if high <= 0.0:
        return [0.0]
    step = 10.0 ** math.floor(math.log10(high / 4.0))
    step *= next(m for m in (1, 2, 5, 10) if high / (step * m) <= 5)
    return [k * step for k in range(int(high / step + 1e-9) + 1)]


def write_chrome_trace(outcome: Outcome, path: Path) -> None:
    """Write the logged steps as a Chrome trace (chrome://tracing, Perfetto): one row a replica.

    Args:
        outcome: a simulation with a logged window.
        path: JSON.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        for k, event in enumerate(_events(outcome)):
            file.write((",\n" if k else "") + json.dumps(event, separators=(",", ":")))
        file.write("\n]}\n")


def _events(outcome: Outcome) -> Iterator[dict[str, object]]:
    for replica, start, end, kind, steps, batch, prompts, blocks in outcome.log.tolist():
        name = _KINDS[int(kind)]
        yield {
            "name": name if steps == 1 else f"{name} x {int(steps)}",
            "cat": name,
            "ph": "X",
            "ts": start * 1e6,
            "dur": (end - start) * 1e6,
            "pid": 0,
            "tid": int(replica),
            "args": {
                "steps": int(steps),
                "sequences decoding": int(batch),
                "prompt tokens": int(prompts),
                "KV blocks": round(blocks, 3),
            },
        }
