"""The Pareto front of a deployment search as CSV; its first columns are a points file that `estimate` reads.

The points file is of the pool that emits the tokens: n_chips, layout and concurrency are that pool's, and so is the
price that `estimate --batch` gives. Columns total_* are of the whole deployment, a prefill pool included.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from suanli.errors import InputError
from suanli.interop.points import COLUMNS
from suanli.study.deployment.request import Interval
from suanli.study.recommend.answer import Recommendation
from suanli.study.recommend.rows import Pool, Row, requests_of

# The pool that emits the tokens stands in the columns of a points file; a prefill pool beside it.
PREFILL_COLUMNS = tuple(f"prefill_{name}" for name in ("replicas", "tp", "pp", "dp", "ep", "requests", "use"))
RESULT_COLUMNS = (
    "best",
    "mode",
    "pool_replicas",
    "batch",
    *PREFILL_COLUMNS,
    "chips_in_use",
    "tokens_per_s_per_user",
    "tokens_per_s_per_chip",
    "total_requests_in_flight",
    "total_output_tokens_per_s",
    "request_rate_per_s",
    "mean_ttft_s",
    "mean_tpot_s",
    *(
        f"{name}{end}"
        for name in ("total_usd_per_mtok", "total_wall_power_w", "total_j_per_token")
        for end in ("", "_low", "_high")
    ),
    "nearest_limit",
    "nearest_limit_used",
    "weakest_basis",
)


def front_csv(found: Recommendation) -> str:
    """Return the front as CSV text, fastest for a user first; what is not known is empty.

    Conditions of the question that have no column of a points file stand in columns of their own, which it reads.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    asked = [requests_of(found.search, row)[-1].options for row in found.front]
    options = sorted({name for one in asked for name in one})
    writer.writerow([*COLUMNS, *options, *RESULT_COLUMNS])
    for number, (row, given) in enumerate(zip(found.front, asked, strict=True), start=1):
        stated = [f"{given[name]:g}" if name in given else "" for name in options]
        writer.writerow([*_point(found, row, number), *stated, *_result(found, row)])
    return text.getvalue()


def _point(found: Recommendation, row: Row, number: int) -> list[str]:
    question, main = found.search.question, row.pools[-1]
    place = main.placement
    fields = {
        "id": str(number),
        "model": question.model,
        "chip": row.chip,
        "n_chips": str(main.chips),
        "tp": str(place.tp),
        "pp": str(place.pp),
        "dp": str(place.dp) if place.dp > 1 else "",
        "ep": str(place.ep),
        "weights_dtype": question.weights_dtype or "",
        "kv_dtype": question.kv_dtype or "",
        "framework": question.framework,
        "phase": main.role,
        "isl": f"{question.isl:g}",
        "osl": f"{question.osl:g}",
        "concurrency": f"{main.requests * place.replicas:g}",
    }
    return [fields[column] for column in COLUMNS]


def _result(found: Recommendation, row: Row) -> list[str]:
    before = row.pools[0] if len(row.pools) > 1 else None
    main = row.pools[-1]
    numbers = (
        row.tokens_per_s_per_user,
        row.tokens_per_s_per_chip,
        row.requests,
        row.output_tokens_per_s,
        row.output_tokens_per_s / found.search.question.osl,
        row.ttft_s,
        row.tpot_s,
    )
    ends = (end for one in (row.usd_per_mtok, row.power_wall_w, row.j_per_token) for end in _ends(one))
    return [
        "yes" if row is found.best else "",
        row.mode,
        str(main.placement.replicas),
        f"{main.requests:g}",
        *_prefill(before),
        str(row.chips),
        *(f"{value:.6g}" for value in numbers),
        *ends,
        row.nearest[0],
        f"{row.nearest[1]:.4g}",
        row.basis,
    ]


def _prefill(pool: Pool | None) -> list[str]:
    if pool is None:
        return [""] * len(PREFILL_COLUMNS)
    place = pool.placement
    whole = (place.replicas, place.tp, place.pp, place.dp, place.ep)
    return [*(str(value) for value in whole), f"{pool.requests:g}", f"{pool.use:g}"]


def _ends(found: Interval | None) -> list[str]:
    return (
        ["", "", ""] if found is None else [f"{value:.6g}" for value in (found.value, found.low, found.high)]
    )


def write_front(path: str | Path, found: Recommendation) -> None:
    """Write the front as CSV.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, front_csv(found))


def write_text(path: str | Path, text: str) -> None:
    """Write a text file.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"-o {path}: cannot be written ({error.strerror})") from None
