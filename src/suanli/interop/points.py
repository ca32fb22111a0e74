"""Batches of deployment points: a CSV file in, the same file with answers out."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suanli.errors import InputError, close_matches
from suanli.llm.dtypes import stated
from suanli.serving.point import OPTIONS
from suanli.study.deployment.request import PHASES, QUANTITIES, Answer, Request

COLUMNS = (
    "id",
    "model",
    "chip",
    "n_chips",
    "tp",
    "pp",
    "dp",
    "ep",
    "weights_dtype",
    "kv_dtype",
    "framework",
    "phase",
    "isl",
    "osl",
    "concurrency",
)
REQUIRED = ("model", "chip")
ANSWER_COLUMNS = (
    "status",
    "reason",
    *(f"{name}{end}" for name in QUANTITIES for end in ("", "_low", "_high")),
    "basis",
)
# After the columns of the answer: the layout that was chosen, and what limits, prices and qualifies it.
EXTRA_COLUMNS = (
    *(f"layout_{name}" for name in ("tp", "pp", "dp", "ep")),
    "replicas",
    "bottleneck",
    "largest_batch",
    "price_basis",
    "notes",
)
# Rows asked at once: enough to share work, few enough for a progress line that moves.
CHUNK = 500
# Other words for the phases.
_PHASES = {
    "prefill": ("prompt", "context", "ctx", "prefill only", "prefill-only"),
    "decode": ("generation", "gen", "decoding", "token", "decode only", "decode-only"),
    "mixed": (
        "both",
        "e2e",
        "end-to-end",
        "serving",
        "online",
        "aggregated",
        "agg",
        "full",
        "prefill+decode",
    ),
}
_PHASE_OF = {word: phase for phase, words in _PHASES.items() for word in words}
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_WHOLE = ("n_chips", "tp", "pp", "dp", "ep")
_LENGTHS = ("isl", "osl", "concurrency")


@dataclass(frozen=True, slots=True)
class PointRow:
    """One row of a points file: its line, its fields as text, and either the question or what is wrong with it."""

    line: int
    fields: tuple[str, ...]
    request: Request | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A points file: header, rows, and remarks on the header for the user."""

    header: tuple[str, ...]
    rows: tuple[PointRow, ...]
    remarks: tuple[str, ...] = ()


def read_points(path: str | Path) -> Points:
    """Read a points file. Columns may stand in any order and case; those that are not ours pass through to the output.

    A field that is empty means choose or default. A row that cannot be read becomes a row with a problem; only a file
    that cannot be read at all raises.

    Args:
        path: the CSV file, UTF-8.

    Raises:
        InputError: no such file, not UTF-8 text, no header, `model` or `chip` missing, a column twice; all at once.
    """
    name = str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = tuple(field.strip() for field in next(reader, ()))
        problems, remarks = _check_header(header, name)
        if problems:
            raise InputError("\n".join(problems))
        rows = tuple(
            _row(fields, header, reader.line_num, name) for fields in reader if any(map(str.strip, fields))
        )
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num} not CSV: {error}") from None
    return Points(header, rows, tuple(remarks))


def _check_header(header: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    if not header:
        return [f"{name}: empty; the first line must name the columns: {','.join(COLUMNS)}"], []
    read = [_ours(column) for column in header]
    missing = [column for column in REQUIRED if column not in read]
    problems = [f"{name}:1 column {column} is missing{_near(column, header)}" for column in missing]
    if len(missing) == len(REQUIRED):
        problems.append(f"{name}:1 the columns are {','.join(COLUMNS)}, separated by commas")
    twice = sorted({column for column in read if column and read.count(column) > 1})
    problems += [f"{name}:1 column {column} is there twice" for column in twice]
    remarks = []
    for column in read:
        close = close_matches(column, COLUMNS, 1) if column not in COLUMNS and column not in OPTIONS else []
        if close and close[0] not in read:
            remarks.append(f'{name}:1 column {column} is passed through unread. Did you mean "{close[0]}"?')
        if column in EXTRA_COLUMNS and not _answered_before(header):
            remarks.append(f"{name}:1 column {column} passes through; ours of that name is left out")
    old = [column for column in read if column in ANSWER_COLUMNS]
    if old:
        remarks.append(f"{name}:1 replaced by ours: {', '.join(old)}")
    return problems, remarks


def _ours(column: str) -> str:
    """The column that a heading means, whatever its case; the heading itself where it is none of ours."""
    low = column.lower()
    return (
        low if low in COLUMNS or low in OPTIONS or low in ANSWER_COLUMNS or low in EXTRA_COLUMNS else column
    )


def _answered_before(header: Sequence[str]) -> bool:
    """Whether a file is an answer of ours, whose columns are then replaced."""
    return {*ANSWER_COLUMNS, *EXTRA_COLUMNS} <= set(map(_ours, header))


def _near(column: str, header: Sequence[str]) -> str:
    close = close_matches(column, [name for name in header if name], 1)
    return f'; is "{close[0]}" meant?' if close else ""


def _row(fields: Sequence[str], header: Sequence[str], line: int, name: str) -> PointRow:
    padded = tuple(fields[: len(header)]) + ("",) * (len(header) - len(fields))
    if len(fields) != len(header):
        return PointRow(
            line, padded, None, f"line {line}: {len(fields)} fields, the header has {len(header)}"
        )
    request, problems = request_of(dict(zip(map(_ours, header), padded, strict=True)))
    return PointRow(line, padded, request, f"line {line}: {'; '.join(problems)}" if problems else "")


def request_of(fields: Mapping[str, str]) -> tuple[Request | None, list[str]]:
    """Read the fields of one point. Returns the question, or None and every problem with it.

    A format that a table leaves open ("auto", "native", "not stated") is the one that the model's name states, else the
    checkpoint's own. Columns beside ours that have the name of an option of `serving.Point` state that option.

    Args:
        fields: {column: text}; columns that are absent count as empty.
    """
    texts = {column: fields.get(column, "").strip() for column in COLUMNS}
    problems = [f"{column} is empty" for column in REQUIRED if not texts[column]]
    numbers: dict[str, float] = {}
    for column in (*_WHOLE, *_LENGTHS):
        if texts[column]:
            value, problem = _number(column, texts[column])
            if problem:
                problems.append(problem)
            else:
                numbers[column] = value
    options: dict[str, float] = {}
    for name in OPTIONS:
        text = fields.get(name, "").strip()
        if text:
            value, problem = _number(name, text)
            if problem:
                problems.append(problem)
            else:
                options[name] = value
    phase = texts["phase"].lower() or "mixed"
    phase = _PHASE_OF.get(phase, phase)
    if phase not in PHASES:
        problems.append(f'phase "{texts["phase"]}" is none of {", ".join(PHASES)}')
    if problems:
        return None, problems
    return Request(
        model=texts["model"],
        chip=texts["chip"],
        **{column: int(numbers[column]) for column in _WHOLE if column in numbers},
        **{column: numbers[column] for column in _LENGTHS if column in numbers},  # type: ignore[arg-type]
        weights_dtype=texts["weights_dtype"] if stated(texts["weights_dtype"]) else None,
        kv_dtype=texts["kv_dtype"] if stated(texts["kv_dtype"]) else None,
        framework=texts["framework"] or "*",
        phase=phase,
        options=options,
    ), []


def _number(column: str, text: str) -> tuple[float, str]:
    try:
        value = float(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return 0.0, f'{column} "{text}" is not a number'
    if not math.isfinite(value):
        return 0.0, f"{column} {text} is not finite"
    if column in _WHOLE and (value != int(value) or value < 1):
        return 0.0, f"{column} must be a whole number of at least 1, got {text}"
    wrong = _length_problem(column, value)
    return (0.0, f"{column} must be {wrong}, got {text}") if wrong else (value, "")


def _length_problem(column: str, value: float) -> str:
    """What a length or load must be, "" where it is."""
    if column in ("isl", "osl") and value < 1:
        return "at least 1 token"
    # A mean of longer outputs may be broken; below 2, TPOT would be of a part of a token.
    if column == "osl" and 1 < value < 2:
        return "1 or at least 2 tokens"
    return "above 0" if column == "concurrency" and value <= 0 else ""


def answer_rows(
    points: Points,
    answers: Callable[[Sequence[Request]], Sequence[Answer]],
    tick: Callable[[int], None] | None = None,
) -> list[tuple[PointRow, Answer]]:
    """Return every row with its answer, in order; a row that could not be read is "unsupported" with the reason.

    Rows of one deployment are asked together, whatever their place in the file: they share the work.

    Args:
        points: the rows.
        answers: solves questions, one answer each, and never raises for a bad one.
        tick: called with the number of rows done, after each part.
    """
    found = {row.line: Answer("unsupported", row.problem) for row in points.rows if row.request is None}
    asked = sorted((row for row in points.rows if row.request is not None), key=_layout)
    for start in range(0, len(asked), CHUNK):
        part = asked[start : start + CHUNK]
        solved = answers([row.request for row in part if row.request is not None])
        found.update({row.line: answer for row, answer in zip(part, solved, strict=True)})
        if tick is not None:
            tick(len(points.rows) - len(asked) + start + len(part))
    return [(row, found[row.line]) for row in points.rows]


def _layout(row: PointRow) -> tuple[str, ...]:
    one = row.request
    if one is None:
        return ()
    return tuple(
        map(str, (one.model, one.chip, one.weights_dtype, one.kv_dtype, one.framework, one.phase))
    ) + tuple(map(str, (one.n_chips, one.tp, one.pp, one.dp, one.ep)))


def write_answers(
    path: str | Path, points: Points, answers: Iterable[tuple[PointRow, Answer]]
) -> dict[str, int]:
    """Write the rows with their answers, in one move: the file is complete or as it was before.

    Args:
        path: the CSV file to write.
        points: the file that was read.
        answers: its rows with their answers.

    Returns:
        {status: rows}.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    read = [_ours(column) for column in points.header]
    replaced = {*ANSWER_COLUMNS, *(EXTRA_COLUMNS if _answered_before(read) else ())}
    kept = [at for at, column in enumerate(read) if column not in replaced]
    extra = [at for at, column in enumerate(EXTRA_COLUMNS) if column in replaced or column not in read]
    counts: dict[str, int] = {}
    scratch = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=target.parent, prefix=f".{target.name}-", delete=False
        ) as file:
            scratch = file.name
            writer = csv.writer(file, lineterminator="\n")
            ours = (*ANSWER_COLUMNS, *(EXTRA_COLUMNS[at] for at in extra))
            writer.writerow([*(points.header[at] for at in kept), *ours])
            for row, answer in answers:
                counts[answer.status] = counts.get(answer.status, 0) + 1
                more = extra_fields(answer)
                told = (*answer_fields(answer), *(more[at] for at in extra))
                writer.writerow([*(row.fields[at] for at in kept), *told])
        _publish(Path(scratch), target)
    except OSError as error:
        raise InputError(f"-o {target}: cannot be written ({error.strerror})") from None
    finally:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
    return counts


def _publish(scratch: Path, target: Path) -> None:
    """Give the finished file the permissions that a plain new file has, and its name."""
    mask = os.umask(0)
    os.umask(mask)
    scratch.chmod(0o666 & ~mask)
    scratch.replace(target)


def answer_fields(answer: Answer) -> list[str]:
    """Return an answer as the texts of ANSWER_COLUMNS; what is not known is empty, never 0."""
    texts = [answer.status, answer.reason]
    for name in QUANTITIES:
        found = answer.quantities.get(name)
        texts += ["", "", ""] if found is None else [f"{n:.6g}" for n in (found.value, found.low, found.high)]
    return [*texts, answer.basis]


def extra_fields(answer: Answer) -> list[str]:
    """Return the texts of EXTRA_COLUMNS; empty where there is no estimate."""
    found = answer.estimate
    if answer.status != "ok" or found is None:
        return [""] * len(EXTRA_COLUMNS)
    placed, largest = found.placement, found.largest_batch
    return [
        *(str(getattr(placed, name)) for name in ("tp", "pp", "dp", "ep", "replicas")),
        found.bottleneck,
        "" if largest is None else f"{largest:.6g}",
        answer.price_basis,
        " ".join(answer.notes),
    ]


def common_reasons(answers: Iterable[tuple[PointRow, Answer]], most: int = 3) -> list[tuple[str, int]]:
    """Return the most common reasons for rows without an answer, with the number of rows [1].

    Args:
        answers: rows with their answers.
        most: how many reasons at most [1].
    """
    counts = Counter(
        re.sub(r"^line \d+: ", "", answer.reason) for _, answer in answers if answer.status != "ok"
    )
    return counts.most_common(most)


def mixed_prices(answers: Iterable[tuple[PointRow, Answer]]) -> str:
    """Say how many prices are rents and how many of owned machines; "" where all are of one kind."""
    counts = Counter(
        "rent" if answer.price_basis.startswith("rent") else "owned"
        for _, answer in answers
        if answer.price_basis
    )
    if len(counts) < 2:
        return ""
    return (
        f"$/Mtok is of rents (rows: {counts['rent']:,}) and of owned hardware, power and hosting "
        f"({counts['owned']:,}), see price_basis: compare prices of one basis"
    )
