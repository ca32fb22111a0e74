"""Benchmark files of serving tools as runs: what each file says, completed by what the user states, names resolved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from suanli.catalog import Catalog
from suanli.errors import InputError, SuanliError
from suanli.serving.engine_names import framework_named
from suanli.study.refine.ownrun import OwnRun
from suanli.study.validate.names import chip_named, model_named, weights_named

# What a command line states where the file does not.
LAYOUT = ("tp", "pp", "dp", "ep")
_SQRT3 = math.sqrt(3.0)
# Lengths that scatter less than this are one length.
_ALIKE = 0.995
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean length of prompts or outputs, and shortest over longest of the uniform distribution with that scatter.

    Attributes:
        mean: [token].
        low_share: shortest over longest, 1 where all are alike [1].
    """

    mean: float
    low_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One run as its file has it.

    Attributes:
        place: file and, of several runs in it, the line.
        tool: what wrote it.
        date: "2026-11-20", "" where the file has none.
        model: name as served, "" where the file has none.
        framework: "vllm", "" where the file does not say.
        layout: what the file says of tp, pp, dp and ep.
        prompt, output: lengths.
        concurrency: clients at most, None for no limit [1].
        rate: requests a second, infinite where all are sent at once [1/s].
        asked, completed: requests [1].
        values: {"ttft_s", "tpot_s", "itl_s": mean, "..._error_s": standard error of a mean} [s], and
            "output_tokens_per_s".
        options: further conditions.
    """

    place: str
    tool: str
    date: str
    model: str
    framework: str
    layout: Mapping[str, int]
    prompt: Lengths
    output: Lengths
    concurrency: float | None
    rate: float
    asked: int
    completed: int
    values: Mapping[str, float]
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stated:
    """What the command line says of the machine; it wins over the file.

    Attributes:
        chip: id, alias or a name in use.
        n_chips: accelerators [1]; None: what the layout needs.
        layout: of tp, pp, dp and ep, those that were given.
        framework: "vllm 0.19.0".
        weights_dtype, kv_dtype: formats, None for the checkpoint's and the framework's own.
        model: instead of the file's.
        options: further conditions, as `serving.OPTIONS`.
    """

    chip: str
    n_chips: int | None = None
    layout: Mapping[str, int] = field(default_factory=dict)
    framework: str | None = None
    weights_dtype: str | None = None
    kv_dtype: str | None = None
    model: str | None = None
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """Runs with names resolved, and remarks on them for the user."""

    runs: tuple[OwnRun, ...]
    remarks: tuple[str, ...]


def read_benchmarks(
    paths: Sequence[Path], reader: Callable[[Path], list[Benchmark]], stated: Stated, catalog: Catalog
) -> Imported:
    """Read benchmark files.

    Args:
        paths: the files.
        reader: reads one of them.
        stated: what the files do not say.
        catalog: resolves names.

    Raises:
        InputError: every problem of all files, each with its place.
    """
    problems: list[str] = []
    runs: list[OwnRun] = []
    remarks: list[str] = []
    for path in paths:
        try:
            for one in reader(path):
                runs.append(_resolved(one, stated, catalog))
                remarks += _remarks(one)
        except SuanliError as error:
            problems += str(error).splitlines()
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    return Imported(tuple(runs), tuple(remarks))


def _remarks(one: Benchmark) -> list[str]:
    if one.completed >= one.asked:
        return []
    return [f"{one.place}: {one.asked - one.completed} of {one.asked} requests failed; the rest is used"]


def _resolved(one: Benchmark, stated: Stated, catalog: Catalog) -> OwnRun:
    label, framework = stated.model or one.model, stated.framework or one.framework
    missing = [] if label else ["no model in the file; give --model"]
    missing += [] if framework else ['no framework in the file; give --framework "vllm 0.19.0"']
    if missing:
        raise InputError("\n".join(f"{one.place}: {problem}" for problem in missing))
    try:
        named, chip = model_named(catalog, label), chip_named(catalog, stated.chip)
    except SuanliError as error:
        raise InputError(f"{one.place}: {error}") from None
    native = str(catalog.model(named.id).get("_suanli", {}).get("weights_dtype_native", ""))
    layout = {**one.layout, **stated.layout}
    needed = math.prod(layout.get(name, 1) for name in ("tp", "pp", "dp"))
    options = {**_lengths(one), **one.options, **stated.options}
    concurrency, rate, options = _load(one, options)
    low = options.get("length_low_share", 1.0)
    values: dict[str, Any] = {name: one.values.get(name) for name in _VALUES}
    return OwnRun(
        tool=one.tool,
        date=one.date,
        model=named.id,
        chip=chip,
        n_chips=stated.n_chips or needed,
        **{name: layout.get(name) for name in LAYOUT},
        weights_dtype=weights_named(stated.weights_dtype or "", named.id, named.weights_dtype, native),
        kv_dtype=stated.kv_dtype or "",
        framework=framework_named(framework),
        isl=2.0 * one.prompt.mean / (1.0 + low),
        osl=2.0 * one.output.mean / (1.0 + low),
        concurrency=concurrency,
        arrival_rate_per_s=rate,
        options=options,
        requests=one.completed,
        **values,
        file=Path(one.place.partition(":")[0]).name,
    )


_VALUES = ("ttft_s", "ttft_error_s", "tpot_s", "tpot_error_s", "itl_s", "output_tokens_per_s")


def _lengths(one: Benchmark) -> dict[str, float]:
    low = min(one.prompt.low_share, one.output.low_share)
    return {} if low > _ALIKE else {"length_low_share": low}


def _load(one: Benchmark, options: dict[str, float]) -> tuple[float | None, float | None, dict[str, float]]:
    """Clients or arrivals. All requests at once without a limit are as many clients that send one each."""
    if math.isfinite(one.rate):
        return None, one.rate, options
    clients = float(min(one.concurrency or one.asked, one.asked))
    return clients, None, {"burst_prompts_per_client": one.asked / clients, **options}


# -- what the readers share -------------------------------------------------------------------------------------------
def documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the JSON objects of a file, with their places: one, a list of them, or one a line.

    Raises:
        InputError: no such file, not JSON, or not objects.
    """

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{path.name}: {constant} is not valid JSON")

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        found = json.loads(text, parse_constant=lambda name: math.inf if name == "Infinity" else refuse(name))
        whole = found if isinstance(found, list) else [found]
        places = [path.name if len(whole) == 1 else f"{path.name}:#{at}" for at in range(1, len(whole) + 1)]
    except json.JSONDecodeError as error:
        whole, places = _by_line(path, text, error)
    for place, one in zip(places, whole, strict=True):
        if not isinstance(one, dict):
            raise InputError(f"{place}: expected a JSON object with the results of a benchmark")
    if not whole:
        raise InputError(f"{path.name}: holds no results")
    return list(zip(places, whole, strict=True))


def _by_line(path: Path, text: str, whole: json.JSONDecodeError) -> tuple[list[Any], list[str]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    found, places = [], []
    for number, line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            at = whole.lineno if len(lines) == 1 or number == 1 else number
            raise InputError(f"{path.name}:{at} not valid JSON: {error.msg}") from None
        places.append(f"{path.name}:{number}")
    return found, places


def number(place: str, fields: Mapping[str, Any], *names: str) -> float:
    """Return the first of the named fields that is a number.

    Raises:
        InputError: none of them is there, or it is no number above 0.
    """
    found = optional(place, fields, *names)
    if found is None:
        raise InputError(f"{place}: no {' or '.join(names)}; is this the result of a streaming benchmark?")
    return found


def optional(place: str, fields: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of the named fields that is there, None where none is.

    Raises:
        InputError: it is no number, or not above 0.
    """
    for name in names:
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f'{place}: {name} "{value}" is not a number')
        if not value > 0.0 or math.isinf(value):
            raise InputError(f"{place}: {name} must be above 0, got {value:g}")
        return float(value)
    return None


def lengths_of(values: Iterable[float]) -> Lengths | None:
    """Return the lengths of a list of them; None where it is empty."""
    kept = [float(value) for value in values if value]
    if not kept:
        return None
    mean = sum(kept) / len(kept)
    spread = math.sqrt(sum((value - mean) ** 2 for value in kept) / len(kept))
    return Lengths(mean, low_share(mean, spread))


def low_share(mean: float, spread: float) -> float:
    """Shortest over longest length of the uniform distribution with a mean and standard deviation [1].

    Args:
        mean: [token].
        spread: standard deviation [token].
    """
    half = _SQRT3 * spread
    return max((mean - half) / (mean + half), _LEAST_SHARE)


def with_options(run: Benchmark, options: Mapping[str, float]) -> Benchmark:
    """Return a run with further conditions."""
    return replace(run, options={**run.options, **options})
