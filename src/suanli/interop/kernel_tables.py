"""Tables of kernel timings: a plain CSV, or the tables of NVIDIA's aiconfigurator (CSV or Parquet).

Plain: `operator,chip,dtype,framework,kernel,<shape>,time_s`, with a shape of m,n,k for gemm; batch, context, heads,
kv_heads, head_dim (and window) for attention_decode and attention_prefill; batch, context, heads for mla_decode and
mla_prefill; tokens, hidden, inter, topk, experts (and ranks, alpha) for moe. Operator, chip, framework and kernel may
be left to the command line. aiconfigurator: `latency` in ms, the operator told by its columns or the file's name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suanli.catalog import Catalog
from suanli.errors import InputError, SuanliError, close_matches
from suanli.hardware.formats import number_format
from suanli.serving.framework import split_framework
from suanli.study.calibrate.attention import KERNELS
from suanli.study.calibrate.moe import kernel_family
from suanli.study.deployment.solve import Deployments
from suanli.study.refine.kernelrows import SHAPES, KernelRow, shape_problem
from suanli.study.refine.possible import impossible
from suanli.study.validate.names import chip_named

_TIMES = {
    "time_s": 1.0,
    "time_ms": 1e-3,
    "time_us": 1e-6,
    "latency_ms": 1e-3,
    "latency_us": 1e-6,
    "latency": 1e-3,
}
# aiconfigurator's columns for our shapes.
_TOKENS = {"num_tokens": "tokens", "hidden_size": "hidden", "num_experts": "experts", "moe_ep_size": "ranks"}
_HEADS = {
    "batch_size": "batch",
    "num_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "window_size": "window",
}
_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class StatedKernels:
    """What the command line says of kernels; it stands in where the file has no such column.

    Attributes:
        chip: id, alias or a name in use.
        framework: "vllm", "*" for any.
        operator: of SHAPES.
        kernel: name of the kernel, "*" for the framework's main one.
        dtype: number format.
    """

    chip: str | None = None
    framework: str | None = None
    operator: str | None = None
    kernel: str | None = None
    dtype: str | None = None


def read_kernels(paths: Sequence[Path], stated: StatedKernels, catalog: Catalog) -> list[KernelRow]:
    """Read tables of kernels.

    Args:
        paths: CSV or Parquet files.
        stated: what the files do not say.
        catalog: resolves chips.

    Raises:
        InputError: every problem of all files, each with its first line (the first twenty); a timing beyond the peak
            or the bandwidth of the chip is one.
    """
    found: list[KernelRow] = []
    problems: list[str] = []
    deployments = Deployments(catalog)
    for path in paths:
        try:
            rows = _read(path)
        except InputError as error:
            problems += str(error).splitlines()
            continue
        alike: dict[str, list[int]] = {}
        for line, fields in rows:
            try:
                row = _row(path, fields, stated, catalog)
                problem = impossible(row, deployments.chip(row.chip).operators)
                if problem:
                    raise InputError(problem)
                found.append(row)
            except SuanliError as error:
                alike.setdefault(str(error), []).append(line)
        problems += [_told(path.name, lines, problem) for problem, lines in alike.items()]
    if problems:
        rest = len(problems) - _PROBLEMS
        raise InputError("\n".join([*problems[:_PROBLEMS], *([f"and {rest} more"] if rest > 0 else [])]))
    return found


def _told(name: str, lines: Sequence[int], problem: str) -> str:
    """A problem with its line; once for all lines that have it."""
    more = f" (and {len(lines) - 1:,} more rows)" if len(lines) > 1 else ""
    return f"{name}:{lines[0]} {problem}{more}"


def _read(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    if path.suffix == ".parquet":
        return _parquet(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    reader = csv.DictReader(text.splitlines())
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    if not set(header) & set(_TIMES):
        near = next((close for name in header if (close := close_matches(name, _TIMES, 1))), [])
        hint = f'; is "{near[0]}" meant?' if near else ""
        raise InputError(f"{path.name}:1 no column of times ({', '.join(_TIMES)}){hint}")
    rows: list[tuple[int, Mapping[str, str]]] = []
    for fields in reader:
        if None in fields or None in fields.values():
            raise InputError(f"{path.name}:{reader.line_num} has another number of fields than the header")
        rows.append((reader.line_num, {name: str(value).strip() for name, value in fields.items()}))
    if not rows:
        raise InputError(f"{path.name}: holds no kernels")
    return rows


def _parquet(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(f"{path.name}: Parquet needs pyarrow: pip install 'suanli[parquet]'") from None
    try:
        entries: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be read ({error})") from None
    texts = (
        {name: "" if value is None else str(value) for name, value in entry.items()} for entry in entries
    )
    return list(enumerate(texts, start=1))


def _row(path: Path, fields: Mapping[str, str], stated: StatedKernels, catalog: Catalog) -> KernelRow:
    operator = fields.get("operator") or stated.operator or _operator(path, fields)
    if operator not in SHAPES:
        raise InputError(f'operator "{operator}" is none of {", ".join(SHAPES)}; give --operator')
    chip = fields.get("chip") or stated.chip
    if not chip:
        raise InputError("no chip; give --chip")
    dtype = _dtype(operator, fields, stated)
    shape = _shape(operator, fields)
    problem = shape_problem(operator, shape)
    if problem:
        raise InputError(problem)
    framework = split_framework(fields.get("framework") or stated.framework or "*")[0]
    return KernelRow(
        operator=operator,
        chip=chip_named(catalog, chip),
        dtype=dtype,
        framework=framework,
        kernel=fields.get("kernel") or stated.kernel or _kernel(operator, fields, dtype),
        shape=shape,
        time_s=_time(fields),
        file=path.name,
    )


def _operator(path: Path, fields: Mapping[str, str]) -> str:
    """The operator of one of aiconfigurator's tables."""
    if "gemm_dtype" in fields or {"m", "n", "k"} <= set(fields):
        return "gemm"
    if "moe_dtype" in fields:
        return "moe"
    told = f"{fields.get('op_name', '')} {path.name}".lower()
    kind = "mla" if "mla" in told else "attention"
    if "generation" in told or "decode" in told:
        return f"{kind}_decode"
    return f"{kind}_prefill" if "context" in told or "prefill" in told else ""


def _dtype(operator: str, fields: Mapping[str, str], stated: StatedKernels) -> str:
    own = {
        "gemm": ("gemm_dtype",),
        "moe": ("moe_dtype",),
        "attention_prefill": ("attn_dtype",),
    }.get(operator, ("kv_cache_dtype",))
    label = next((fields[name] for name in ("dtype", *own) if fields.get(name)), stated.dtype)
    if not label:
        raise InputError("no number format; add a column dtype or give --dtype")
    return number_format(label).name


def _kernel(operator: str, fields: Mapping[str, str], dtype: str) -> str:
    source = fields.get("kernel_source")
    if not source or operator in ("gemm", "mla_decode", "mla_prefill"):
        return "*"
    return kernel_family(source, dtype) if operator == "moe" else KERNELS.get(source, source)


def _shape(operator: str, fields: Mapping[str, str]) -> dict[str, float]:
    needed, optional = SHAPES[operator]
    numbers = {name: _number(name, fields[name]) for name in _numeric(operator, fields)}
    numbers |= {ours: numbers[theirs] for theirs, ours in (_TOKENS | _HEADS).items() if theirs in numbers}
    if "context" not in numbers and "isl" in numbers:
        numbers["context"] = numbers["isl"] + numbers.get("step", 0.0)
    if "inter_size" in numbers:
        numbers["inter"] = numbers["inter_size"] / numbers.get("moe_tp_size", 1.0)
    if fields.get("distribution", "").startswith("power_law_"):
        numbers["alpha"] = _number("distribution", fields["distribution"].removeprefix("power_law_"))
    return {name: numbers[name] for name in (*needed, *optional) if name in numbers}


def _numeric(operator: str, fields: Mapping[str, str]) -> Iterable[str]:
    needed, optional = SHAPES[operator]
    known = (*needed, *optional, *_TOKENS, *_HEADS, "isl", "step", "inter_size", "moe_tp_size")
    return [name for name in known if fields.get(name)]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f'{name} "{text}" is not a number') from None


def _time(fields: Mapping[str, str]) -> float:
    for name, size in _TIMES.items():
        if fields.get(name):
            value = _number(name, fields[name]) * size
            if not 0.0 < value < float("inf"):
                raise InputError(f"{name} must be above 0, got {fields[name]}")
            return value
    raise InputError("no time")
