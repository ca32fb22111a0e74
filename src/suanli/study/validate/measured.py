"""Published measurements as typed records: one a configuration, merged over spellings and reruns."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from suanli.errors import InputError, NoDataError

METRICS = (
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "output_tokens_per_s",
    "input_tokens_per_s",
    "requests_per_s",
    "power_w",
    "energy_j_per_token",
    "power_tdp_share",
)
TABLE = "measured_inference.csv"
# Flags that tell how a row was read, not that its value is in doubt.
REMARKS = ("layout", "wip", "rounded", "mtp", "unchecked", "simulated-mtp")
# Options that make another configuration; the others describe the client or repeat the layout.
_DISTINCT_OPTIONS = ("overlap", "expert_imbalance")
# Catalogue models of one shape: published under several names with the same figures.
_SHAPES = {"deepseek-r1": "deepseek-v3", "deepseek-v3.1": "deepseek-v3"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A doubt about a measurement: the metric it concerns ("" for all), a short code, and why."""

    metric: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One configuration as measured.

    Attributes:
        family: table it comes from ("INFX"); of a merged one the first.
        ids: rows of the table.
        model: catalogue id. chip: catalogue id.
        n_chips: accelerators of the deployment [1].
        tp, pp, dp, ep: layout [1].
        weights_dtype: format of `suanli.llm.DTYPES` or "native".
        kv_dtype: as stated or inferred; None where neither.
        framework: "vllm 0.19.0", "*" unknown.
        phase: "mixed", "prefill" or "decode".
        isl, osl: prompt and output length [token]; None where not stated.
        concurrency: clients, or the static batch, of the whole deployment; None for "as many as fit".
        protocol: "closed_loop" (N clients, burst at the start), "static" (one batch at a time), "offline" (infinite
            rate), "production" (a day of traffic).
        mtp: draft tokens of speculative decoding; 0 for none.
        values: {metric of METRICS: value} [SI], rates of the whole deployment.
        spread: {metric: largest over smallest distinct rerun} [1]; the noise floor.
        options: what `serving.Point.options` takes to describe the run.
        power_limit_w: limit set on each accelerator; None for none [W].
        flags: doubts; a flagged value stays in, and is judged apart.
        source, date, grade: where it comes from.
    """

    family: str
    ids: tuple[str, ...]
    model: str
    chip: str
    n_chips: int
    tp: int
    pp: int
    dp: int
    ep: int
    weights_dtype: str
    kv_dtype: str | None
    framework: str
    phase: str
    isl: float | None
    osl: float | None
    concurrency: float | None
    protocol: str
    values: Mapping[str, float]
    mtp: int = 0
    spread: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)
    power_limit_w: float | None = None
    flags: tuple[Flag, ...] = ()
    source: str = ""
    date: str = ""
    grade: str = ""

    @property
    def key(self) -> str:
        """The configuration in one canonical line; equal lines are one configuration."""
        lengths = (self.isl, self.osl, self.concurrency)
        words = [
            _SHAPES.get(self.model, self.model),
            self.chip,
            f"n{self.n_chips}",
            f"tp{self.tp} pp{self.pp} dp{self.dp} ep{self.ep}",
            self.weights_dtype,
            self.framework,
            self.protocol,
            self.phase,
            *("-" if value is None else f"{value:g}" for value in lengths),
            f"mtp{self.mtp}",
            *(f"{name}{self.options[name]:g}" for name in _DISTINCT_OPTIONS if name in self.options),
        ]
        return "|".join(words)

    @property
    def half(self) -> str:
        """ "fit" or "judge", by a hash of the configuration."""
        return "fit" if blake2b(self.key.encode(), digest_size=8).digest()[0] % 2 == 0 else "judge"

    def doubts(self, metric: str) -> tuple[Flag, ...]:
        """Return the flags that speak against judging a metric by this row; remarks on labels do not."""
        return tuple(flag for flag in self.flags if flag.metric in ("", metric) and flag.code not in REMARKS)


def data_folder(given: str | None = None) -> Path | None:
    """Return the folder of data that lies outside the repository: as given, else $SUANLI_DATA, else ../shared/data.

    Raises:
        InputError: the folder that was given does not exist.
    """
    named = given or os.environ.get("SUANLI_DATA")
    if named:
        folder = Path(named)
        if not folder.is_dir():
            raise InputError(f"{'--data' if given else 'SUANLI_DATA'} {named}: no such folder")
        return folder
    beside = Path(__file__).parents[5] / "shared" / "data"
    return beside if beside.is_dir() else None


def read_rows(data: Path) -> list[dict[str, str]]:
    """Read the rows of the measured table, as text.

    Raises:
        NoDataError: the folder has no such table.
    """
    for path in (data / "measured" / TABLE, data / TABLE):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
    raise NoDataError(f"{data}: no measured/{TABLE}. Give the data folder: --data DIR")


def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Merge measurements of one configuration: geometric mean of distinct values, their ratio kept as spread.

    Equal values are copies of one run under another spelling, not reruns, and count once.
    """
    groups: dict[str, list[Measurement]] = {}
    for one in measurements:
        groups.setdefault(one.key, []).append(one)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[Measurement]) -> Measurement:
    first = group[0]
    values: dict[str, float] = {}
    spread: dict[str, float] = {}
    for metric in METRICS:
        found = _distinct([one.values[metric] for one in group if metric in one.values])
        if found:
            values[metric] = math.exp(sum(map(math.log, found)) / len(found))
        if len(found) > 1:
            spread[metric] = max(found) / min(found)
    return replace(
        first,
        ids=tuple(row for one in group for row in one.ids),
        values=values,
        spread=spread or dict(first.spread),
        flags=tuple(dict.fromkeys(flag for one in group for flag in one.flags)),
    )


def _distinct(values: Sequence[float]) -> list[float]:
    """Values that differ by more than rounding to three digits."""
    kept: list[float] = []
    for value in values:
        if value > 0 and all(abs(value / other - 1) > 6e-4 for other in kept):
            kept.append(value)
    return kept
