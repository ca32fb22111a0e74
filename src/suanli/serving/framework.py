"""What a serving framework adds to its kernels: constants per framework, version and kind of model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from suanli.errors import InputError, NoDataError
from suanli.llm import Model

if TYPE_CHECKING:
    from suanli.serving.refinement import Refinement

ANY = "*"
KINDS = ("dense", "moe", "mla")
_NAMES = {
    "vllm": "vllm",
    "sglang": "sglang",
    "trtllm": "trtllm",
    "trt-llm": "trtllm",
    "tensorrt-llm": "trtllm",
    "tensorrt_llm": "trtllm",
}


@dataclass(frozen=True, slots=True)
class FrameworkRow:
    """One row of the framework table: one constant of one framework (version) and kind of model, with its fit."""

    framework: str
    version: str
    kind: str
    constant: str
    value: float
    standard_error: float | None = None
    rows_fit: int = 0
    rows_judged: int = 0
    median_error: float | None = None
    p90_error: float | None = None
    fitted_on: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """Constants of a framework for one kind of model.

    Attributes:
        kernel_factor: time of decode kernels in the engine over isolated ones: overlap and fusion below 1 [1].
        prefill_factor: the same for prefill kernels [1].
        step_s: host time of a step that kernels do not hide [s].
        sequence_s: host time of a step per running sequence (sampling, detokenising) [s].
        prefill_step_s: extra time of a step that computes prompt tokens [s].
        ttft_base_s: request handling before and after the first step (HTTP, tokenise, schedule, detokenise) [s].
        ttft_steps: steps that pass between the first token's step and its delivery (overlapped scheduling, streaming
            at intervals) [1].
        stream_interval: tokens between two messages of a stream [token].
        held_share: share of first tokens whose text waits for the next message, because it ends inside a word [1].
        recv_interval: decode steps between two looks at new requests [1].
        prompt_s: host time per prompt token (tokenise, transfer) [s].
        chunk_tokens: prompt tokens that a step takes beside its decodes; 0: a whole prompt at least [token].
        mixed: 1 where prompt chunks share steps with decodes, 0 where prefill steps stand alone [1].
        lockstep: 1 where requests of one length keep meeting in groups, 0 where they come apart [1].
        kv_reserve: share of the outputs' cache that must be free before a request is admitted [1].
        max_sequences: sequences that a replica runs at most [1].
        memory_share: share of device memory that the engine may fill [1].
        memory_of_free: 1 where that is a share of what weights leave free, 0 of the whole memory [1].
        host_layer_s: host time per layer without graphs; 0 with graphs [s].
        wire_factor: bytes over links in collectives over what the measured kernels need; above 1 where the engine's
            are slower than those [1].
        ubatch_tokens: prompt tokens that a static engine computes at a time; 0: whole batches [token].
        widens: 1 where prompts on CUDA widen quantised weights to 16 bits in memory before the products, once a
            batch [1].
        draft_tokens: draft tokens a step where the point does not say [token].
        prefill_overlap: share of exchange that hides behind computing in a prefill pool [1].
        decode_overlap: the same in a decode pool [1].
        tpot_band: 90 % band of TPOT as a factor, where the chip's kernels are known [1].
        ttft_band: 90 % band of TTFT as a factor, away from saturation [1].
        prompt_band: 90 % band of the time of a batch of prompts, where no run of the framework was fitted [1].
        prompt_band_fitted: the same where runs were fitted [1].
        tpot_band_large: 90 % band of TPOT of batches of `bands.LARGE` sequences and more in an attention group [1].
        tpot_band_version: 90 % band of TPOT where the framework was fitted in other versions only [1].
        ttft_band_version: the same of TTFT [1].
        tpot_band_model: 90 % band of TPOT where the framework was fitted on other models only [1].
        ttft_band_model: the same of TTFT [1].
    """

    kernel_factor: float = 0.9
    prefill_factor: float = 1.1
    step_s: float = 1e-3
    sequence_s: float = 10e-6
    prefill_step_s: float = 3e-3
    ttft_base_s: float = 60e-3
    ttft_steps: float = 1.0
    stream_interval: float = 1.0
    held_share: float = 0.0
    recv_interval: float = 1.0
    prompt_s: float = 0.0
    chunk_tokens: float = 8192.0
    mixed: float = 1.0
    lockstep: float = 1.0
    kv_reserve: float = 0.6
    max_sequences: float = 1024.0
    memory_share: float = 0.9
    memory_of_free: float = 0.0
    host_layer_s: float = 0.0
    wire_factor: float = 1.0
    ubatch_tokens: float = 0.0
    widens: float = 0.0
    draft_tokens: float = 0.0
    prefill_overlap: float = 0.0
    decode_overlap: float = 0.0
    tpot_band: float = 1.35
    ttft_band: float = 2.2
    prompt_band: float = 1.6
    prompt_band_fitted: float = 1.4
    tpot_band_large: float = 1.0
    tpot_band_version: float = 1.0
    ttft_band_version: float = 1.0
    tpot_band_model: float = 1.0
    ttft_band_model: float = 1.0


@dataclass(frozen=True, slots=True)
class ServingSet:
    """Serving constants as found: the values, whose they are, and how wrong they were on judged rows.

    Attributes:
        values: the constants.
        framework: the framework they are for, "*" for any.
        version: the version that was fitted among them, "*" for none.
        errors: {"tpot" or "ttft": (median, 90th percentile)} of judged rows; empty where none were judged.
        models: catalogue ids of the models that they were fitted on.
        refinement: the user's own runs that the values were corrected by; None where there are none.
    """

    values: Serving
    framework: str
    version: str
    errors: dict[str, tuple[float, float]]
    models: tuple[str, ...] = ()
    refinement: Refinement | None = None


class FrameworkTable:
    """Rows of the framework table by framework, version and kind."""

    def __init__(self, rows: Iterable[FrameworkRow | Sequence[str]]) -> None:
        """Index rows; texts are in the order of FrameworkRow's fields."""
        self._rows: dict[tuple[str, str, str], list[FrameworkRow]] = {}
        for row in rows:
            read = row if isinstance(row, FrameworkRow) else _row(row)
            self._rows.setdefault((read.framework, read.version, read.kind), []).append(read)
        self._cache: dict[tuple[str, str, str], ServingSet] = {}

    def serving(self, framework: str, version: str, kind: str) -> ServingSet:
        """Find the constants: what nothing is known of, overlaid with the framework's, then with the version's.

        A version's row of a factor multiplies, its row of a time replaces. Versions match exactly; rows of "<0.8" hold
        for all versions below.

        Args:
            framework: "vllm", "sglang", "trtllm" or "*".
            version: its version, "*" or "" where unknown.
            kind: "dense", "moe" or "mla".

        Raises:
            NoDataError: the table has no defaults.
        """
        key = (framework, version or ANY, kind)
        if key not in self._cache:
            self._cache[key] = self._find(*key)
        return self._cache[key]

    def _find(self, framework: str, version: str, kind: str) -> ServingSet:
        places = [(ANY, ANY, ANY), (ANY, ANY, kind), (framework, ANY, ANY), (framework, ANY, kind)]
        if not any(place in self._rows for place in places[:2]):
            raise NoDataError("The framework table has no defaults. Write them: suanli calibrate --data DIR")
        values: dict[str, float] = {}
        errors: dict[str, tuple[float, float]] = {}
        owner, of_version, models = ANY, ANY, ""
        for place in dict.fromkeys(places):
            for row in self._rows.get(place, []):
                values[row.constant] = row.value
                if place[0] != ANY and place[2] == kind:
                    owner, models = framework, row.fitted_on or models
                if row.median_error is not None and row.p90_error is not None:
                    target = "ttft" if row.constant == "ttft_base_s" else "tpot"
                    errors[target] = (row.median_error, row.p90_error)
        for row in self._older(framework, version, kind):
            values[row.constant] = row.value
        if version != ANY:
            for row in self._rows.get((framework, version, kind), []):
                drift = row.constant.endswith("_drift")
                of_version = version if drift or row.rows_fit else of_version
                name = row.constant.removesuffix("_drift")
                values[name] = values.get(name, 1.0) * row.value if drift else row.value
        known = {entry.name for entry in fields(Serving)}
        found = replace(Serving(), **{name: value for name, value in values.items() if name in known})
        return ServingSet(found, owner, of_version, errors, tuple(models.split(", ")) if models else ())

    def _older(self, framework: str, version: str, kind: str) -> list[FrameworkRow]:
        """Rows of versions below some version, "<0.8", that hold for this one; the closest limit last."""
        number = _number(version)
        limits = sorted(
            ((_number(place[1][1:]), place) for place in self._rows if _is_older(place, framework, kind)),
            key=lambda entry: (entry[0], entry[1][2] == ANY),
            reverse=True,
        )
        return [row for limit, place in limits if number and number < limit for row in self._rows[place]]


def _is_older(place: tuple[str, str, str], framework: str, kind: str) -> bool:
    return place[0] == framework and place[1].startswith("<") and place[2] in (ANY, kind)


def _number(version: str) -> tuple[int, ...]:
    """The numbers that a version starts with: (0, 6, 6) of "0.6.6.post1", (2700,) of "b2700", none of "nightly"."""
    match = re.match(r"b?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def split_framework(text: str) -> tuple[str, str]:
    """Split "vllm 0.19.0" into name and version; "*" and "" are any framework, an unknown name is kept.

    Args:
        text: as a user or a table writes it: "TRT-LLM 1.2.0rc6", "sglang", "*".

    Returns:
        Name as the calibration table has it, and version ("" where not given).
    """
    cleaned = text.strip().lower()
    if cleaned in ("", ANY, "any", "none", "unknown"):
        return ANY, ""
    match = re.match(r"([a-z][a-z_\-]*?)[\s:=@_\-]*v?(\d.*|nightly.*|[a-z0-9\-]*dev.*)?$", cleaned)
    name, version = (match[1], match[2] or "") if match else cleaned.partition(" ")[::2]
    return _NAMES.get(name.strip(" -_"), name.strip(" -_")), version.strip()


def model_kind(model: Model) -> str:
    """Kind of model that serving constants are kept by: "dense", "moe", or "mla" (experts with latent attention)."""
    if not model.experts_per_layer:
        return "dense"
    return "mla" if "mla" in model.attention_kinds else "moe"


def _row(texts: Sequence[str]) -> FrameworkRow:
    try:
        framework, version, kind, constant, value, error, fitted, judged, median, p90, on, source = texts
        return FrameworkRow(
            framework,
            version,
            kind,
            constant,
            float(value),
            float(error) if error else None,
            int(fitted or 0),
            int(judged or 0),
            float(median) if median else None,
            float(p90) if p90 else None,
            on,
            source,
        )
    except ValueError as problem:
        raise InputError(f"framework row {'/'.join(texts[:4])}: {problem}") from None
