"""A recommendation in sentences and table cells."""

from __future__ import annotations

from suanli.study.deployment.request import Interval
from suanli.study.recommend.constraints import Binding
from suanli.study.recommend.question import LimitKind, Question
from suanli.study.recommend.rows import Row
from suanli.study.recommend.search import Search
from suanli.study.recommend.why import Rival
from suanli.units import digits

_LIMITS = {
    "TPOT": "TPOT objective",
    "TTFT": "TTFT objective",
    "memory": "KV memory",
    "framework": "framework's limit of running requests",
    "chips": "chips",
}
# What sets the number of chips, by the kind of limit.
_SUPPLY = {
    "chips": "number of chips",
    "price": "budget",
    "rent": "budget",
    "power": "power",
}
_LEAST = 0.005
# Below so many chips a quarter more is none.
FEW = 4


def count(number: float, noun: str) -> str:
    """Print a number of things: "1 chip", "2,048 chips"."""
    return f"{number:,.0f} {noun}{'' if round(number) == 1 else 's'}"


def seconds(value: float) -> str:
    """Print a time with its readable unit: "29.4 ms", "1.2 s"."""
    return f"{digits(value * 1e3, 3)} ms" if value < 1.0 else f"{digits(value, 3)} s"


def goals(question: Question) -> str:
    """The objectives of a question in words, "no objectives" where there are none."""
    wanted = (("TTFT", question.ttft_slo_s), ("TPOT", question.tpot_slo_s))
    named = [f"{name} <= {seconds(value)}" for name, value in wanted if value is not None]
    return ", ".join(named) or "no objectives"


def title(searched: Search) -> str:
    """What was searched, in one line."""
    question = searched.question
    places = " or ".join(
        f"{field.supply.chips:,} x {field.evaluator.point.chip.id}" for field in searched.fields
    )
    return f"{question.model} on {places}: {question.isl:,.0f} tokens in, {question.osl:,.0f} out; {goals(question)}"


def cells(row: Row, several: bool) -> tuple[str, ...]:
    """The row of the table of the front; a prefill and a decode pool stand below each other.

    Args:
        row: the deployment.
        several: whether there are several kinds of chip, so that each is named.
    """
    name, used = row.nearest
    energy = row.j_per_token
    shape = row.shape.replace(", ", "\n")
    return (
        f"{row.chip.partition('-')[2]}\n{shape}" if several else shape,
        f"{row.requests:,.0f}",
        digits(row.tokens_per_s_per_user, 3),
        digits(row.tokens_per_s_per_chip, 3),
        seconds(row.ttft_s),
        "n/a" if row.usd_per_mtok is None else digits(row.usd_per_mtok.value, 3),
        "n/a" if energy is None else digits(energy.value, 3),
        f"{name} {used:.0%}",
    )


def banded(found: Interval | None, unit: str, scale: float = 1.0) -> str:
    """A value with its unit and band: "29.4 ms (24..36)"."""
    if found is None:
        return f"unavailable {unit}"
    value, low, high = (digits(end * scale, 3) for end in (found.value, found.low, found.high))
    return f"{value} {unit} ({low}..{high})"


def best_lines(row: Row) -> list[str]:
    """What the best deployment is and reaches, with 90 % bands where they are known."""
    used = (
        f"{row.chips:,} of {count(row.available, 'chip')}"
        if row.chips < row.available
        else f"all {row.chips:,} chips"
        if row.chips > 1
        else "1 chip"
    )
    found = {} if row.main is None else row.main.quantities
    main = row.pools[-1]
    lines = [f"{row.shape} ({row.mode}, {used}), {count(row.requests, 'request')} in flight."]
    speed = f"{banded(found.get('output_tokens_per_s'), 'tok/s')}, TPOT {banded(found.get('tpot_s'), 'ms', 1e3)}, TTFT "
    if len(row.pools) == 1:
        lines.append(f"{speed}{banded(found.get('ttft_s'), 's')}.")
        lines.append(f"Each replica runs {count(main.requests, 'request')}.")
    else:
        before = row.pools[0]
        prompt = row.answers[0].quantities.get("ttft_s") if row.answers else None
        rest = f"computing {banded(prompt, 's')}, the rest queue and transfer of KV"
        lines.append(f"{speed}{digits(row.ttft_s, 3)} s: {rest}.")
        # Every stage of a pipeline works on prompts of its own.
        stage = "in each of its stages " if before.placement.pp > 1 else ""
        lines.append(
            f"Each decode replica runs {count(main.requests, 'request')}; each prefill replica computes "
            f"{count(before.requests, 'prompt')} at a time {stage}and is busy {before.use:.0%} of the time."
        )
    money, energy = banded(row.usd_per_mtok, "USD/Mtok"), banded(row.j_per_token, "J/token")
    where = "of the device itself" if row.device else "at the servers' AC input"
    return [*lines, f"{money}; {energy} {where}."]


def why_lines(rivals: list[Rival], several: bool) -> list[str]:
    """How far the others are behind, and what sets them back."""
    return [_why(rival, several) for rival in rivals] or ["No other layout meets the objectives."]


def _why(rival: Rival, several: bool) -> str:
    row = rival.row
    name = f"{row.chip} {row.shape}" if several else row.shape
    behind = f"{rival.behind:.1%} fewer tok/s" if rival.behind >= 0.0005 else "the same tok/s"
    said = f"{name} ({row.mode}): {behind}"
    if rival.setback:
        each = "each" if rival.setback == "output tokens" else "per output token"
        its, best = (digits(value * 1e3, 3) for value in (rival.its_s, rival.best_s))
        verb = "takes" if rival.setback in ("attention", "host") else "take"
        return f"{said}; {rival.setback} {verb} {its} ms of chip time {each}, {best} in the best."
    if row.chips < row.available:
        idle = row.available - row.chips
        return f"{said}; {count(idle, 'chip')} {'stays' if idle == 1 else 'stay'} idle."
    return f"{said}; stopped by the {_LIMITS[rival.stopped]}." if rival.stopped else f"{said}."


def limit_lines(bindings: list[Binding], chips: int, limit: LimitKind = "chips") -> list[str]:
    """What binds the best, what more of each constraint brings, and what would bind next.

    Args:
        bindings: its constraints, the most valuable first.
        chips: chips that the limit allows [1].
        limit: kind of the limit, which sets the number of chips.
    """
    supply = _SUPPLY[limit]
    worth = [one for one in bindings if one.gain >= _LEAST and one.name != "chips"]
    lines = [f"Binding: the {_LIMITS[worth[0].name]}." if worth else f"Binding: the {supply} alone."]
    for one in bindings:
        if one.name == "chips":
            more = "A quarter more chips bring" if chips >= FEW else "One more chip brings"
            lines.append(f"{more} {one.gain:.0%} more tok/s.")
            continue
        if one.gain < _LEAST:
            lines.append(f"{one.name}: {one.used:.0%} used; a quarter more of it brings nothing.")
            continue
        whole = "" if one.most is None else f", without it {one.most:.0%}"
        then = f"the {_LIMITS[one.then]}" if one.then else f"the {supply}"
        lines.append(
            f"{one.name}: {one.used:.0%} used; a quarter more brings {one.gain:.0%}{whole}; next binds {then}."
        )
    return lines
