"""Read request traces of other tools. The format is recognised by content; every bad row is counted and named."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from suanli.demand.traces import Trace, from_rows
from suanli.errors import InputError, NoDataError

OnBadRows = Literal["reject", "skip"]

_SHOWN = 5  # bad rows named one by one
_MOONCAKE_BLOCK = 512


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be a request: its line in the file and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held.

    Attributes:
        trace: its requests.
        kind: the format that was recognised.
        bad: rows that were left out.
        notes: what was changed on the way (unsorted rows put in order, timestamps moved to start at 0).
        timed: whether the file has arrivals; without, all of them are 0 and a rate must be given.
    """

    trace: Trace
    kind: str
    bad: tuple[BadRow, ...]
    notes: tuple[str, ...]
    timed: bool


@dataclass(slots=True)
class _Row:
    arrival_s: float
    inputs: int
    outputs: int
    blocks: tuple[int, ...] | None = None
    session: str | None = None
    delay_s: float = 0.0
    priority: int = 0


def read_trace(
    path: str | Path, *, on_bad_rows: OnBadRows = "reject", context_tokens: int | None = None
) -> Read:
    """Read a trace: Azure, Vidur, BurstGPT or length-pair CSV, Mooncake or LLMServingSim JSONL, ShareGPT pairs.

    Args:
        path: the file.
        on_bad_rows: "reject" the file with a list of its bad rows, or "skip" them (they are in `Read.bad`).
        context_tokens: longest prompt plus answer of the model; longer rows are bad.

    Raises:
        NoDataError: no such file.
        InputError: an empty file, an unknown format, missing columns, or bad rows that are not to be skipped.
    """
    file = Path(path)
    if not file.is_file():
        raise NoDataError(f"{path}: no such trace file")
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"{file.name}: empty; a trace needs at least one request")
    kind, rows = _open(file.name, lines)
    good: list[tuple[int, _Row]] = []
    bad: list[BadRow] = []
    for line, row in rows:
        reason = row if isinstance(row, str) else _check(row, context_tokens)
        if reason:
            bad.append(BadRow(line, reason))
        elif isinstance(row, _Row):
            good.append((line, row))
    if bad and on_bad_rows == "reject":
        raise InputError(_named(file.name, bad) + "\nMend them, or leave them out with --on-bad-rows skip")
    if not good:
        raise InputError(_named(file.name, bad) if bad else f"{file.name}: no requests")
    trace, notes = _trace(file.name, [row for _, row in good])
    if bad:
        notes = [f"{len(bad)} of {len(bad) + len(good)} rows were left out: {_named(file.name, bad)}", *notes]
    return Read(trace, kind, tuple(bad), tuple(notes), timed=kind not in ("ShareGPT length pairs",))


def _named(name: str, bad: list[BadRow]) -> str:
    shown = [f"{name}:{row.line} {row.reason}" for row in bad[:_SHOWN]]
    more = [f"... and {len(bad) - _SHOWN} more bad rows"] if len(bad) > _SHOWN else []
    return "\n".join([*shown, *more])


def _check(row: _Row, context_tokens: int | None) -> str:
    if not math.isfinite(row.arrival_s):
        return "the arrival is not a finite time"
    if row.arrival_s < 0.0:
        return f"negative arrival ({row.arrival_s:g} s)"
    if row.inputs < 1:
        return f"a prompt of {row.inputs} tokens"
    if row.outputs < 1:
        return f"an answer of {row.outputs} tokens"
    if context_tokens is not None and row.inputs + row.outputs > context_tokens:
        return f"{row.inputs} + {row.outputs} tokens are more than the model's context of {context_tokens}"
    return ""


def _trace(name: str, rows: list[_Row]) -> tuple[Trace, list[str]]:
    arrival = np.array([row.arrival_s for row in rows])
    notes = []
    if np.any(np.diff(arrival) < 0.0):
        notes.append(f"{name}: rows were not in order of arrival; sorted")
    if arrival.min() > 0.0:
        notes.append(f"{name}: the first arrival, at {arrival.min():.6g} s, is now 0")
    more: dict[str, Any] = {}
    if any(row.blocks is not None for row in rows):
        more = {"blocks": [row.blocks or () for row in rows], "block_tokens": _MOONCAKE_BLOCK}
    if any(row.priority for row in rows):
        more["priority"] = [row.priority for row in rows]
    trace = from_rows(
        arrival, np.array([row.inputs for row in rows]), np.array([row.outputs for row in rows]), name, **more
    )
    sessions = [rows[k].session for k in np.argsort(arrival, kind="stable")]
    if any(sessions):
        delays = [rows[k].delay_s for k in np.argsort(arrival, kind="stable")]
        trace = _follow(trace, sessions, np.array(delays))
    return trace, notes


def _follow(trace: Trace, sessions: list[str | None], delays: Any) -> Trace:
    """Let the later requests of a session follow the earlier ones."""
    from dataclasses import replace

    last: dict[str, int] = {}
    follows = np.full(len(trace), -1, dtype=np.int64)
    for k, session in enumerate(sessions):
        if session is not None:
            follows[k] = last.get(session, -1)
            last[session] = k
    arrivals = np.where(follows >= 0, np.nan, trace.arrival_s)
    return replace(trace, arrival_s=arrivals, follows=follows, delay_s=delays)


# -- formats -------------------------------------------------------------------------------------------------------
_Rows = Iterator[tuple[int, "_Row | str"]]


def _open(name: str, lines: list[str]) -> tuple[str, _Rows]:
    start = next(k for k, line in enumerate(lines) if line.strip())
    head = lines[start].strip()
    if head.startswith("{"):
        return _jsonl(name, lines, head, start)
    if head.startswith("["):
        return "ShareGPT length pairs", _pairs(name, "\n".join(lines))
    columns = [cell.strip() for cell in next(csv.reader([head]))]
    for kind, wanted, make in _CSV:
        if set(wanted) <= set(columns):
            return kind, _csv(lines, start, columns, make)
    close = [
        (kind, [w for w in wanted if w not in columns])
        for kind, wanted, _ in _CSV
        if set(wanted) & set(columns)
    ]
    if close:
        kind, missing = min(close, key=lambda item: len(item[1]))
        raise InputError(f"{name}:{start + 1} looks like {kind} CSV, but has no column {', '.join(missing)}")
    raise InputError(
        f"{name}:{start + 1} no known trace format. Known: Azure, Vidur, BurstGPT and arrival_s,input_tokens,"
        "output_tokens CSV; Mooncake and LLMServingSim JSONL; ShareGPT length pairs"
    )


def _csv(lines: list[str], start: int, columns: list[str], make: Callable[[dict[str, str]], _Row]) -> _Rows:
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            yield number, "JSON in a CSV file: two formats are mixed"
            continue
        cells = next(csv.reader([line]))
        if len(cells) != len(columns):
            yield number, f"{len(cells)} fields instead of {len(columns)}; is the file cut off?"
            continue
        try:
            yield number, make({k: v.strip() for k, v in zip(columns, cells, strict=True)})
        except ValueError as error:
            yield number, str(error)


def _number(text: Any, what: str) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is not a number: {str(text)[:40]!r}") from None


def _whole(text: Any, what: str) -> int:
    value = _number(text, what)
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f"{what} is not a whole number: {str(text)[:40]!r}")
    return int(value)


def _azure(row: dict[str, str]) -> _Row:
    text = row["TIMESTAMP"]
    try:
        when = datetime.fromisoformat(text[:26])  # seven decimals in the file, six in Python
    except ValueError:
        raise ValueError(f"TIMESTAMP is not a date and time: {text[:40]!r}") from None
    day = datetime(1970, 1, 1, tzinfo=when.tzinfo)
    seconds = (when - day).total_seconds()
    return _Row(
        seconds,
        _whole(row["ContextTokens"], "ContextTokens"),
        _whole(row["GeneratedTokens"], "GeneratedTokens"),
    )


def _vidur(row: dict[str, str]) -> _Row:
    return _Row(
        _number(row["arrived_at"], "arrived_at"),
        _whole(row["num_prefill_tokens"], "num_prefill_tokens"),
        _whole(row["num_decode_tokens"], "num_decode_tokens"),
    )


def _burst(row: dict[str, str]) -> _Row:
    return _Row(
        _number(row["Timestamp"], "Timestamp"),
        _whole(row["Request tokens"], "Request tokens"),
        _whole(row["Response tokens"], "Response tokens"),
        session=row.get("Session ID") or None,
    )


def _plain(row: dict[str, str]) -> _Row:
    return _Row(
        _number(row.get("arrival_s", 0.0), "arrival_s"),
        _whole(row["input_tokens"], "input_tokens"),
        _whole(row["output_tokens"], "output_tokens"),
        priority=_whole(row.get("priority", 0), "priority"),
    )


_CSV: tuple[tuple[str, tuple[str, ...], Callable[[dict[str, str]], _Row]], ...] = (
    ("Azure", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _azure),
    ("Vidur", ("arrived_at", "num_prefill_tokens", "num_decode_tokens"), _vidur),
    ("BurstGPT", ("Timestamp", "Request tokens", "Response tokens"), _burst),
    ("arrival and length", ("arrival_s", "input_tokens", "output_tokens"), _plain),
    ("ShareGPT length pairs", ("input_tokens", "output_tokens"), _plain),
)


def _jsonl(name: str, lines: list[str], head: str, start: int) -> tuple[str, _Rows]:
    try:
        first = json.loads(head)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{start + 1} not valid JSON: {error.msg}") from None
    if {"input_length", "output_length"} <= set(first):
        return "Mooncake", _json_rows(lines, _mooncake)
    if {"input_toks", "output_toks"} <= set(first):
        return "LLMServingSim", _json_rows(lines, _llmservingsim)
    raise InputError(
        f"{name}:{start + 1} no known JSONL trace: has {', '.join(list(first)[:6])}; Mooncake has timestamp, "
        "input_length, output_length, hash_ids; LLMServingSim has input_toks, output_toks, arrival_time_ns"
    )


def _json_rows(lines: list[str], make: Callable[[dict[str, Any]], _Row]) -> _Rows:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            yield number, "not valid JSON; is the file cut off, or are two formats mixed?"
            continue
        if not isinstance(found, dict):
            yield number, "not a JSON object"
            continue
        try:
            yield number, make(found)
        except KeyError as error:
            yield number, f"no field {error.args[0]}"
        except ValueError as error:
            yield number, str(error)


def _mooncake(row: dict[str, Any]) -> _Row:
    inputs = _whole(row["input_length"], "input_length")
    ids = row.get("hash_ids")
    if ids is not None and (not isinstance(ids, list) or not all(type(k) is int and k >= 0 for k in ids)):
        raise ValueError("hash_ids is not a list of whole numbers")
    if ids is not None and len(ids) > -(-inputs // _MOONCAKE_BLOCK):
        raise ValueError(f"{len(ids)} hash_ids for {inputs} tokens; a block has {_MOONCAKE_BLOCK}")
    session = row.get("session_id")
    waits = _number(row.get("delay", row.get("tool_wait_ms", 0.0)) or 0.0, "delay")
    return _Row(
        _number(row.get("timestamp", 0.0), "timestamp") / 1e3,
        inputs,
        _whole(row["output_length"], "output_length"),
        blocks=None if ids is None else tuple(ids),
        session=None if session is None else str(session),
        delay_s=waits / 1e3,
        priority=_whole(row.get("priority", 0), "priority"),
    )


def _llmservingsim(row: dict[str, Any]) -> _Row:
    return _Row(
        _number(row["arrival_time_ns"], "arrival_time_ns") / 1e9,
        _whole(row["input_toks"], "input_toks"),
        _whole(row["output_toks"], "output_toks"),
    )


def _pairs(name: str, text: str) -> _Rows:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{error.lineno} not valid JSON: {error.msg}") from None
    for number, pair in enumerate(found, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            yield number, f"entry {number} is not a pair of lengths"
            continue
        try:
            yield number, _Row(0.0, _whole(pair[0], "prompt"), _whole(pair[1], "answer"))
        except ValueError as error:
            yield number, str(error)
