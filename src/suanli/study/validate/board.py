"""The validation page: targets, a line a family and metric, plots, and where the error sits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suanli.study.validate.figure import COLOURS, Series, scatter
from suanli.study.validate.scenarios import Figure
from suanli.study.validate.score import Pair, Score, by, score
from suanli.study.validate.strangers import JUDGED_ONLY
from suanli.study.validate.targets import Verdict, verdicts

METRIC_NAMES = {
    "ttft_s": ("TTFT", "ms", 1e3),
    "tpot_s": ("TPOT", "ms", 1e3),
    "e2e_s": ("end to end", "ms", 1e3),
    "output_tokens_per_s": ("output rate", "tok/s", 1.0),
    "input_tokens_per_s": ("input rate", "tok/s", 1.0),
    "power_w": ("power", "W", 1.0),
}
# Families of which one half was fitted on.
FITTED_HALVES = ("INFX", "AICGAP", "SPLITWISE")
FAMILY_NAMES = {
    "INFX": "InferenceX runs: closed loop of N clients, H100 to B300",
    "AICGAP": "NVIDIA gap-analysis runs: closed loop, H100, H200, B200, GB200",
    "TRTLLM06": "TensorRT-LLM 0.5/0.6 tables: static batch, A100, H100, L40S",
    "TRTLLM1": "TensorRT-LLM 1.0 offline maxima, H100 to GB200 and RTX PRO 6000",
    "SPLITWISE": "Splitwise profiles: static batch, A100 and H100",
    "NEURON": "AWS Neuron tables: Inferentia2, Trainium1",
    "XJD": "llama.cpp on 20 consumer, workstation and Apple devices",
    "DSEEK": "DeepSeek, one published day: decode per node",
    "SGLEP": "SGLang and DeepSeek profile-data: large expert parallelism on H100 and H800",
    "INFERSIM": "InferSim measured columns, H20 (batch and lengths not stated)",
    "CM384": "CloudMatrix 384: Ascend 910C",
    "TRTR1": "TensorRT-LLM on DeepSeek-R1: 8 x B200, 8 x H200",
    "VLLMBK": "vLLM continuous integration: latency of a batch of 8",
    "MLPPOW": "MLPerf power: wall of 8 x H200",
    **{family: f"{text} (judged only)" for family, text in JUDGED_ONLY.items()},
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the board: which pairs, all of them and those that no check doubts."""

    family: str
    half: str
    metric: str
    all: Score
    clean: Score
    basis: str


def lines(pairs: Sequence[Pair]) -> list[Line]:
    """Return a line per family, half and metric; families that were never fitted on have one half."""
    found = []
    for (family, half, metric), group in _groups(pairs).items():
        clean = [pair for pair in group if pair.clean]
        bases = by([pair for pair in group if pair.predicted is not None], lambda pair: pair.basis)
        basis = ", ".join(f"{name} {len(members)}" for name, members in bases.items())
        found.append(Line(family, half, metric, score(group), score(clean), basis))
    return found


def _groups(pairs: Sequence[Pair]) -> dict[tuple[str, str, str], list[Pair]]:
    found: dict[tuple[str, str, str], list[Pair]] = {}
    for pair in pairs:
        one = pair.measurement
        half = one.half if one.family in FITTED_HALVES else "all"
        found.setdefault((one.family, half, pair.metric), []).append(pair)
    order = list(FAMILY_NAMES)
    return dict(
        sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1] == "fit", item[0][2]))
    )


def percent(value: float | None, *, sign: bool = False) -> str:
    """Print a share as a percentage, "-" where it is not known."""
    if value is None:
        return "-"
    return f"{100.0 * value:+.1f}" if sign else f"{100.0 * value:.1f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared.

    Attributes:
        pairs: predictions and measurements.
        inputs: what was compared, in words: which tables.
        published: figures of scenarios.
        left_out: pairs predicted with constants that did not see them, by what was left out.
    """

    pairs: Sequence[Pair]
    inputs: str
    published: Sequence[Figure] = ()
    left_out: Mapping[str, Sequence[Pair]] = field(default_factory=dict)

    @property
    def verdicts(self) -> list[Verdict]:
        """The targets with what was reached."""
        return verdicts(self.pairs, self.published, self.left_out)


def write_board(compared: Comparison, page: Path) -> list[Path]:
    """Write the page and, in `figures/` beside it, its plots.

    Args:
        compared: what was compared.
        page: Markdown file to write.

    Returns:
        The files written.
    """
    figures = _figures(compared.pairs)
    folder = page.parent / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    files = [page]
    for name, text in figures.items():
        (folder / name).write_text(text, encoding="utf-8")
        files.append(folder / name)
    page.write_text(board(compared, list(figures)), encoding="utf-8")
    return files


def board(compared: Comparison, figures: Sequence[str] = ()) -> str:
    """Return the page as Markdown.

    Args:
        compared: what was compared.
        figures: names of the plots in `figures/`.
    """
    pairs = compared.pairs
    parts = [
        "# Validation: predicted against published\n",
        f"Written by `suanli validate --board docs/validation.md`; do not edit. Compared: {compared.inputs}.\n",
        _READING,
        "## Targets\n",
        _target_table(compared.verdicts),
        "## By family\n",
        _line_table(lines(pairs)),
        *[f"![{name.removesuffix('.svg')}](figures/{name})" for name in figures],
        "\n## What a stranger will see\n",
        _left_out_table(compared.left_out),
        "## Whole services\n",
        _figure_table(compared.published),
        "\n## Where the error sits\nJudged half of INFX and AICGAP, TPOT.\n",
        _split_tables(pairs),
        "## Largest errors\n",
        _worst_table(pairs),
        "## Not answered\n",
        _unanswered(pairs),
    ]
    return "\n".join(parts) + "\n"


_READING = """\
Error is |predicted / measured - 1| in per cent; bias is the median with its sign. Coverage is the share of
measurements inside our 90 % band, width its mean half-width as a factor. Rank is Spearman's correlation in groups
that differ in layout and concurrency only (median over groups of four and more). "Clean" leaves out rows that a sanity
check doubts (weights that do not fit, faster than memory allows, a batch limit of the server and the like); they are
flagged, not dropped, and count under "all". TPOT is (end to end - TTFT)/(tokens - 1). The fit half of INFX and AICGAP
was used for the constants of the frameworks, the fit half of SPLITWISE for host time and collectives of its engine,
and the GPT-J and Mixtral rows of MLPPOW for host and fan power; nothing here was fitted on the other rows, though forms
were chosen by people who had seen them. What was fitted on what stands in the columns `fitted_on` of `calibration.csv`,
`frameworks.csv` and `power_model.csv`. Kernel errors stand on the [calibration page](calibration.md).
"""


def _target_table(found: Sequence[Verdict]) -> str:
    rows = ["| target | limit | reached | rows | met |", "|---|--:|--:|--:|---|"]
    for one in found:
        limit = f"{'>=' if one.target.at_least else '<='} {_figure(one.target.limit, one.target.statistic)}"
        met = {True: "yes", False: "**no**", None: "no data"}[one.met]
        reached = "-" if one.reached is None else _figure(one.reached, one.target.statistic)
        rows.append(f"| {one.target.text} | {limit} | {reached} | {one.rows} | {met} |")
    return "\n".join(rows) + "\n"


def _figure(value: float, statistic: str) -> str:
    return f"x/{value:.2f}" if statistic == "width" else f"{100.0 * value:.1f} %"


_LEFT_OUT = {
    "none fitted": "no constant of any framework fitted: one vector set by hand",
    "chip": "the chip's deployments and its kernel tables left out; its family stands in",
    "model": "the model's deployments left out",
}


def _left_out_table(left_out: Mapping[str, Sequence[Pair]]) -> str:
    if not left_out:
        return "Not computed in this run; `suanli validate --leave-out` does.\n"
    rows = [
        "| left out | metric | n | median | mean | p90 | bias | coverage |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for what, pairs in left_out.items():
        for metric, group in by(pairs, lambda pair: pair.metric).items():
            found = score(group)
            cells = (
                percent(found.median),
                percent(found.mean),
                percent(found.p90),
                percent(found.bias, sign=True),
            )
            name = METRIC_NAMES[metric][0]
            rows.append(
                f"| {_LEFT_OUT[what]} | {name} | {found.answered} | {' | '.join(cells)} | {percent(found.coverage)} |"
            )
    return "\n".join(rows) + "\n"


def _figure_table(published: Sequence[Figure]) -> str:
    if not published:
        return "No scenario with published figures at hand.\n"
    rows = ["| scenario | figure | published | ours | 90 % band | off % |", "|---|---|--:|--:|--:|--:|"]
    for one in published:
        band = "-" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
        ours = one.problem if one.ours is None else f"{one.ours:.5g}"
        off = percent(one.error, sign=True)
        rows.append(f"| {one.scenario} | {one.metric} | {one.published:.6g} | {ours} | {band} | {off} |")
    sources = dict.fromkeys(f"- {one.scenario}: {one.source}" for one in published if one.source)
    return "\n".join([*rows, "", *sources]) + "\n"


def _line_table(found: Sequence[Line]) -> str:
    rows = [
        "| family | half | metric | n | answered | median | p90 | bias | clean n | clean median | coverage | width "
        "| rank | basis |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for line in found:
        whole, clean = line.all, line.clean
        width = "-" if whole.width is None else f"x/{whole.width:.2f}"
        rank = "-" if whole.rank is None else f"{whole.rank:.3f} ({whole.rank_groups})"
        rows.append(
            f"| {line.family} | {line.half} | {METRIC_NAMES[line.metric][0]} | {whole.rows} | {whole.answered} "
            f"| {percent(whole.median)} | {percent(whole.p90)} | {percent(whole.bias, sign=True)} | {clean.answered} "
            f"| {percent(clean.median)} | {percent(whole.coverage)} | {width} | {rank} | {line.basis} |"
        )
    names = [
        f"- {family}: {text}"
        for family, text in FAMILY_NAMES.items()
        if family in {line.family for line in found}
    ]
    return "\n".join([*rows, "", *names]) + "\n"


def _figures(pairs: Sequence[Pair]) -> dict[str, str]:
    made = {}
    for family, group in by([p for p in pairs if p.predicted], lambda pair: pair.measurement.family).items():
        for metric, points in by(group, lambda pair: pair.metric).items():
            if len(points) < 4:
                continue
            label, unit, factor = METRIC_NAMES[metric]
            series = [
                Series(name, [(p.measured * factor, (p.predicted or 0.0) * factor) for p in members])
                for name, members in sorted(_series(points).items())
            ]
            made[f"validation-{family.lower()}-{metric}.svg"] = scatter(f"{family}: {label}", unit, series)
    return made


def _series(points: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Points by chip, or by basis where there are more chips than colours."""
    chips = by(points, lambda pair: pair.measurement.chip)
    return chips if len(chips) <= len(COLOURS) else by(points, lambda pair: pair.basis)


def _split_tables(pairs: Sequence[Pair]) -> str:
    judged = [
        pair
        for pair in pairs
        if pair.measurement.family in ("INFX", "AICGAP")
        and pair.measurement.half == "judge"
        and pair.metric == "tpot_s"
    ]
    keys = {
        "model": lambda pair: pair.measurement.model,
        "chip": lambda pair: pair.measurement.chip,
        "framework": lambda pair: pair.measurement.framework.split()[0],
        "concurrency": lambda pair: _concurrency(pair.measurement.concurrency or 0.0),
        "speculative decoding": lambda pair: "MTP" if pair.measurement.mtp else "none",
    }
    tables = []
    for name, key in keys.items():
        rows = [f"| {name} | n | median | p90 | bias |", "|---|--:|--:|--:|--:|"]
        for value, group in sorted(by(judged, key).items()):
            found = score(group)
            cells = (percent(found.median), percent(found.p90), percent(found.bias, sign=True))
            rows.append(f"| {value} | {found.answered} | {' | '.join(cells)} |")
        tables.append("\n".join(rows) + "\n")
    return "\n".join(tables)


def _concurrency(value: float) -> str:
    for top in (4, 16, 64, 256):
        if value <= top:
            return f"up to {top:03d}"
    return "above 256"


def _worst_table(pairs: Sequence[Pair]) -> str:
    answered = [pair for pair in pairs if pair.predicted is not None and pair.clean]
    rows = ["| family | configuration | metric | measured | predicted | error |", "|---|---|---|--:|--:|--:|"]
    for pair in sorted(answered, key=lambda pair: -abs(_log_error(pair)))[:20]:
        label, unit, factor = METRIC_NAMES[pair.metric]
        rows.append(
            f"| {pair.measurement.family} | {pair.measurement.key.replace('|', ' ')} | {label} "
            f"| {pair.measured * factor:.4g} {unit} | {(pair.predicted or 0.0) * factor:.4g} "
            f"| {percent(pair.error, sign=True)} |"
        )
    return "\n".join(rows) + "\n"


def _log_error(pair: Pair) -> float:
    import math

    return math.log(max(pair.predicted or 0.0, 1e-12) / pair.measured)


def _unanswered(pairs: Sequence[Pair]) -> str:
    missing = [pair for pair in pairs if pair.predicted is None]
    if not missing:
        return "Every row is answered.\n"
    rows = ["| family | rows | reason |", "|---|--:|---|"]
    for (family, reason), group in sorted(
        ((tuple(key.split("\0")), members) for key, members in by(missing, _why).items()),
        key=lambda item: -len(item[1]),
    )[:40]:
        rows.append(f"| {family} | {len(group)} | {reason.replace('|', ' ')} |")
    return "\n".join(rows) + "\n"


def _why(pair: Pair) -> str:
    return f"{pair.measurement.family}\0{pair.reason}"
