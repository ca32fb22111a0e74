"""What `suanli validate --claims` prints: claims of reports whose other side is our model."""

from __future__ import annotations

from collections import Counter

from suanli.cli.options import console, print_json, table


def show_claims(*, as_json: bool) -> int:
    """Print printed, computed and verdict of every claim that the model can answer; 0 always: reports may be wrong."""
    from suanli.evidence import model_rows
    from suanli.units import digits

    rows = model_rows()
    counts = Counter(row.verdict for row in rows)
    if as_json:
        entries = [
            {
                "id": row.id,
                "claims": list(row.claims),
                "quantity": row.quantity,
                "unit": row.unit,
                "printed": row.printed,
                "computed": row.computed,
                "verdict": row.verdict,
                "how": row.how,
            }
            for row in rows
        ]
        print_json({"schema": "suanli/claims/1", "counts": dict(counts), "rows": entries})
        return 0
    shown = table(
        "Claims against the model",
        ("claim", "left"),
        ("printed", "right"),
        ("computed", "right"),
        ("verdict", "left"),
    )
    for row in rows:
        unit = "" if row.unit in ("", "1") else f" {row.unit}"
        computed = "unavailable" if row.computed is None else digits(row.computed)
        printed = "" if row.printed is None else f"{digits(row.printed)}{unit}"
        shown.add_row(row.quantity, printed, computed, row.verdict)
    out = console()
    out.print(shown)
    out.print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    for row in rows:
        if row.verdict == "unjudged":
            out.print(f"Unjudged: {row.quantity}: {row.how}", style="dim")
    return 0
