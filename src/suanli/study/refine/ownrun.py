"""A user's own benchmark run: what was served, how it was asked, what came out; and the table that keeps such runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from suanli.catalog.own import MEASUREMENT_COLUMNS, MEASUREMENTS, own_records
from suanli.errors import InputError
from suanli.study.deployment.request import Request

# What names a file or its reader, and is no part of the run itself.
_LABELS = ("id", "tool", "file")


@dataclass(frozen=True, slots=True)
class OwnRun:
    """One benchmark run of a deployment.

    Attributes:
        tool: "vllm-bench", "sglang-bench", "aiperf" or "genai-perf".
        date: of the run, as the file has it, "" where it has none.
        model: catalogue id. chip: catalogue id.
        n_chips: accelerators of the deployment [1].
        tp, pp, dp, ep: layout, None where not stated [1].
        weights_dtype: format, "" for the checkpoint's own. kv_dtype: of the cache, "" for the framework's.
        framework: "vllm 0.19.0".
        isl, osl: longest prompt and output of the distribution, or the only ones [token].
        concurrency: clients of a closed loop, None where requests arrive at a rate [1].
        arrival_rate_per_s: arrivals, None in a closed loop [1/s].
        options: further conditions, as `serving.OPTIONS`.
        requests: that were completed [1].
        ttft_s, tpot_s, itl_s: means, None where not measured [s].
        ttft_error_s, tpot_error_s: standard errors of the means, None where unknown [s].
        output_tokens_per_s: of the whole deployment [token/s].
        file: name of the file, without its folder.
    """

    tool: str
    date: str
    model: str
    chip: str
    n_chips: int
    tp: int | None
    pp: int | None
    dp: int | None
    ep: int | None
    weights_dtype: str
    kv_dtype: str
    framework: str
    isl: float
    osl: float
    concurrency: float | None
    arrival_rate_per_s: float | None
    options: Mapping[str, float] = field(default_factory=dict)
    requests: int | None = None
    ttft_s: float | None = None
    ttft_error_s: float | None = None
    tpot_s: float | None = None
    tpot_error_s: float | None = None
    itl_s: float | None = None
    output_tokens_per_s: float | None = None
    file: str = ""

    @property
    def id(self) -> str:
        """Hash of everything but the file's name and the reader: the same run has the same id wherever it lies."""
        content = [
            text
            for name, text in zip(MEASUREMENT_COLUMNS, self._texts(""), strict=True)
            if name not in _LABELS
        ]
        return blake2b("\x1f".join(content).encode(), digest_size=6).hexdigest()

    @property
    def request(self) -> Request:
        """The question that the run answers."""
        rate = {} if self.arrival_rate_per_s is None else {"arrival_rate_per_s": self.arrival_rate_per_s}
        return Request(
            self.model,
            self.chip,
            n_chips=self.n_chips,
            tp=self.tp,
            pp=self.pp,
            dp=self.dp,
            ep=self.ep,
            weights_dtype=self.weights_dtype or None,
            kv_dtype=self.kv_dtype or None,
            framework=self.framework,
            isl=self.isl,
            osl=self.osl,
            concurrency=1.0 if self.concurrency is None else self.concurrency,
            options={**self.options, **rate},
        )

    def relative_error(self, name: str) -> float:
        """Standard error of `ttft_s` or `tpot_s` over its value; 0 where unknown [1]."""
        value, error = getattr(self, name), getattr(self, name.replace("_s", "_error_s"))
        return error / value if value and error else 0.0

    @property
    def texts(self) -> tuple[str, ...]:
        """The run as a row of measurements.csv."""
        return self._texts(self.id)

    def _texts(self, own_id: str) -> tuple[str, ...]:
        options = ";".join(f"{name}={value:.6g}" for name, value in sorted(self.options.items()))
        values = {
            name: getattr(self, name)
            for name in MEASUREMENT_COLUMNS
            if name not in ("id", "phase", "options")
        }
        values |= {"id": own_id, "phase": "mixed", "options": options}
        return tuple(_text(values[name]) for name in MEASUREMENT_COLUMNS)


def _text(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def read_own_runs(folder: Path) -> list[OwnRun]:
    """Return the runs that an overlay keeps.

    Args:
        folder: the overlay.

    Raises:
        InputError: the table has other columns or bad values.
    """
    return [_run(row) for row in own_records(folder, MEASUREMENTS)]


def _run(row: Sequence[str]) -> OwnRun:
    texts = dict(zip(MEASUREMENT_COLUMNS, row, strict=True))

    def number(name: str) -> Any:
        return float(texts[name]) if texts[name] else None

    def whole(name: str) -> Any:
        return int(float(texts[name])) if texts[name] else None

    try:
        options = {
            name: float(value)
            for name, _, value in (part.partition("=") for part in texts["options"].split(";") if part)
        }
    except ValueError:
        raise InputError(
            f'{MEASUREMENTS} {texts["id"]}: options "{texts["options"]}" must be name=number;...'
        ) from None
    words: dict[str, Any] = {
        name: texts[name] for name in ("tool", "date", "model", "chip", "weights_dtype", "kv_dtype")
    }
    return OwnRun(
        **words,
        n_chips=int(float(texts["n_chips"])),
        **{name: whole(name) for name in ("tp", "pp", "dp", "ep", "requests")},
        framework=texts["framework"],
        isl=float(texts["isl"]),
        osl=float(texts["osl"]),
        **{name: number(name) for name in _NUMBERS},
        options=options,
        file=texts["file"],
    )


_NUMBERS = (
    "concurrency",
    "arrival_rate_per_s",
    "ttft_s",
    "ttft_error_s",
    "tpot_s",
    "tpot_error_s",
    "itl_s",
    "output_tokens_per_s",
)


def joined_runs(kept: Iterable[OwnRun], new: Iterable[OwnRun]) -> list[OwnRun]:
    """Return all runs, those that are there twice once, in the order of model, framework, load and id."""
    by_id = {run.id: run for run in (*kept, *new)}

    def order(run: OwnRun) -> tuple[object, ...]:
        load = run.concurrency if run.concurrency is not None else run.arrival_rate_per_s or math.inf
        return run.chip, run.framework, run.model, run.n_chips, run.isl, run.osl, load, run.id

    return sorted(by_id.values(), key=order)
