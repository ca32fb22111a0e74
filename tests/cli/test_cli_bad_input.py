"""Bad input: one clear line each with place and fix, all of a file at once, the right exit code, nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_case import DAY, PLAN, Cli, Done, files

HEADER = "id,parameter,value,low,high,unit,as_of,source,locator,grade,status,note"


def refused(done: Done, code: int) -> list[str]:
    """Check that a command was refused as it should be, and return its lines."""
    assert done.code == code, done
    assert done.out == ""
    assert "Traceback" not in done.err and "internal error" not in done.err
    return done.err.removeprefix("suanli: ").splitlines()


def run_text(suanli: Cli, folder: Path, text: str, *options: str) -> Done:
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    before = files(folder)
    done = suanli("run", "plan.toml", "-o", "out", *options)
    if done.code:
        assert files(folder) == before, "something was written"
    return done


# (what, text to replace, replacement, exit code, the line)
CHANGES = [
    (
        "unknown key",
        "mean_input_tokens",
        "mean_input_token",
        2,
        r'plan\.toml:6 demand\.mean_input_token: no such field\. Did you mean "mean_input_tokens"\?',
    ),
    (
        "unknown section",
        "[cooling]",
        "[colling]",
        2,
        r'plan\.toml:18 colling: no such field\. Did you mean "cooling"\?',
    ),
    (
        "wrong unit",
        "2 USD/h",
        "2 USD",
        2,
        r'plan\.toml:25 economics\.rent: "USD" does not fit here; expected .* "USD/h"',
    ),
    (
        "unit of another kind",
        '"40 ms"',
        '"40 kW"',
        2,
        r'plan\.toml:16 serving\.slo\.tpot: "kW" does not fit here; .* "s"',
    ),
    (
        "unknown unit",
        "2 USD/h",
        "2 USD/hr",
        2,
        r'plan\.toml:25 economics\.rent: unknown unit "hr" in "USD/hr"',
    ),
    (
        "no quantity",
        "2 USD/h",
        "two dollars",
        2,
        r'plan\.toml:25 economics\.rent: cannot read "two dollars" as a quantity',
    ),
    (
        "decimal comma",
        "2 USD/h",
        "2,5 USD/h",
        2,
        r'plan\.toml:25 economics\.rent: cannot read "2,5 USD/h" as a quantity',
    ),
    (
        "negative price",
        "0.6 USD",
        "-0.6 USD",
        2,
        r"plan\.toml:26 economics\.price\.output: .* must be at least 0",
    ),
    (
        "negative rent",
        "2 USD/h",
        "-2 USD/h",
        2,
        r"plan\.toml:25 economics\.rent: -2 USD/h must be more than 0",
    ),
    (
        "negative tokens",
        "4e9",
        "-4e9",
        2,
        r"plan\.toml:4 demand\.input_tokens_per_day: .* must be more than 0",
    ),
    ("nan", "4e9", "nan", 2, r"plan\.toml:4 demand\.input_tokens_per_day: nan is not a finite number"),
    ("infinity", "4e9", "inf", 2, r"plan\.toml:4 demand\.input_tokens_per_day: inf is not a finite number"),
    (
        "huge integer",
        "4e9",
        "1" + "0" * 400,
        2,
        r"plan\.toml:4 demand\.input_tokens_per_day: inf is not a finite number",
    ),
    (
        "truth for a number",
        "4e9",
        "true",
        2,
        r"plan\.toml:4 demand\.input_tokens_per_day: expected a quantity",
    ),
    (
        "list for a number",
        "4e9",
        "[1, 2]",
        2,
        r"plan\.toml:4 demand\.input_tokens_per_day: expected a quantity",
    ),
    (
        "share above 1",
        "peak_to_mean = 1.8",
        "cache_hit_share = 1.2",
        2,
        r"plan\.toml:7 demand\.cache_hit_share: 1\.2 must be at most 1",
    ),
    ("peak below the mean", "1.8", "0.8", 2, r"plan\.toml:7 demand\.peak_to_mean: 0\.8 must be at least 1"),
    (
        "no length",
        "mean_input_tokens = 2000",
        "",
        2,
        r"plan\.toml:3 demand: give mean_context_tokens .* or mean_input_tokens",
    ),
    (
        "lengths that contradict the day",
        "mean_input_tokens = 2000",
        "mean_input_tokens = 2000\nmean_output_tokens = 900",
        2,
        r"plan\.toml:3 demand: mean_output_tokens = 900 contradicts the totals of the day, .* 500 tokens",
    ),
    (
        "unknown chip",
        "nvidia-h100-sxm",
        "nvidia-h100-smx",
        2,
        r'plan\.toml:14 serving\.chip: No chip "nvidia-h100-smx"\. Close: nvidia-h100-sxm.* See: suanli catalog chips',
    ),
    (
        "unknown model",
        "llama-3.1-70b",
        "llama-3.1-71b",
        2,
        r'plan\.toml:10 llm\.id: No model "llama-3\.1-71b"\. Close: llama-3\.1-70b.* See: suanli catalog models',
    ),
    (
        "unknown system",
        "[cooling]",
        "system = 'nvidia-hgx-h100-88'\n[cooling]",
        2,
        r'plan\.toml:18 serving\.system: No system "nvidia-hgx-h100-88"\. Close: nvidia-hgx-h100-8',
    ),
    (
        "system of another chip",
        "[cooling]",
        "system = 'nvidia-hgx-h200-8'\n[cooling]",
        2,
        r"serving\.system: nvidia-hgx-h200-8 is built on nvidia-h200-sxm, not on nvidia-h100-sxm",
    ),
    (
        "unknown site",
        '"ashburn"',
        '"ashbrun"',
        2,
        r'plan\.toml:22 site\.id: No site "ashbrun"\. Close: ashburn',
    ),
    (
        "unknown cooling",
        '"air"',
        '"airr"',
        2,
        r'plan\.toml:19 cooling\.system: No cooling system "airr"\. Close: air',
    ),
    (
        "unknown power chain",
        "[cooling]",
        "[power]\nchain = 'hvdc-800'\n[cooling]",
        2,
        r'plan\.toml:19 power\.chain: No power chain "hvdc-800"\. Close: hvdc-800v',
    ),
    (
        "unknown redundancy",
        "[cooling]",
        "[power]\nredundancy = '3M'\n[cooling]",
        2,
        r'plan\.toml:19 power\.redundancy: redundancy "3M" is not known; use ',
    ),
    (
        "unknown switch",
        "[cooling]",
        "[network]\nswitch = 'nvidia-qm9800'\n[cooling]",
        2,
        r'plan\.toml:19 network\.switch: No switch "nvidia-qm9800"\. Close: .*nvidia-qm9700',
    ),
    (
        "unknown link",
        "[cooling]",
        "[network]\nlink = 'aec-400g;optic-500g'\n[cooling]",
        2,
        r'plan\.toml:19 network\.link: No link "optic-500g"',
    ),
    (
        "not among the choices",
        '"fp8"',
        '"fp9"',
        2,
        r'plan\.toml:11 llm\.weights_dtype: "fp9" is not one of .* mean "fp8"\?',
    ),
    (
        "chips that tp does not divide",
        "chips = 4, tp = 4",
        "chips = 4, tp = 3",
        2,
        r"plan\.toml:15 serving\.replica: tp = 3 does not divide chips = 4",
    ),
    (
        "part of a chip",
        "chips = 4,",
        "chips = 4.5,",
        2,
        r"plan\.toml:15 serving\.replica\.chips: .* got 4\.5",
    ),
    (
        "heads that tp does not divide",
        "chips = 4, tp = 4",
        "chips = 48, tp = 48",
        2,
        r"serving\.replica: tp = 48 does not divide 64 attention heads; possible: ",
    ),
    (
        "experts that are not there",
        "tp = 4 }",
        "tp = 4, ep = 4 }",
        2,
        r"serving\.replica: ep = 4, but llama-3\.1-70b has no experts",
    ),
    (
        "layout of another mode",
        "[cooling]",
        "mode = 'disaggregated'\n[cooling]",
        2,
        r'plan\.toml:13 serving: mode "disaggregated" needs prefill = ',
    ),
    (
        "value for a section",
        '[cooling]\nsystem = "air"',
        "[cooling.system]\nx = 1",
        2,
        r"plan\.toml:18 cooling\.system: input should be a valid string",
    ),
    ("missing section", '[site]\nid = "ashburn"', "", 2, r"plan\.toml site: missing; it has no default"),
    (
        "no draft layers",
        '"fp8"',
        '"fp8"\nmtp = true',
        2,
        r"llm\.mtp: llama-3\.1-70b has no multi-token prediction layer",
    ),
    (
        "unknown published figure",
        "[cooling]",
        "[published]\nsource = 's'\nfigures = { \"fleet.nodse\" = 1 }\n[cooling]",
        2,
        r'plan\.toml:20 published\.figures\.fleet\.nodse: no such metric\. Did you mean "fleet\.nodes"\?',
    ),
    (
        "a circle",
        'name = "A plan"',
        'extends = "plan.toml"',
        2,
        r"plan\.toml:1 extends: a circle: plan\.toml -> plan\.toml",
    ),
    (
        "a parent that is not there",
        'name = "A plan"',
        'extends = "basis.toml"',
        2,
        r"plan\.toml:1 extends: basis\.toml: no such scenario file\.",
    ),
    (
        "a parent that is no name",
        'name = "A plan"',
        "extends = 5",
        2,
        r"plan\.toml:1 extends: expected a file name, got 5",
    ),
    ("TOML syntax", '[llm]\nid = "llama-3.1-70b"', "[llm]\nid = llama", 2, r"plan\.toml:10 not valid TOML: "),
    (
        "a key twice",
        "peak_to_mean = 1.8",
        "peak_to_mean = 1.8\npeak_to_mean = 2",
        2,
        r"plan\.toml:8 not valid TOML: ",
    ),
    (
        "an engine misspelt",
        "[cooling]",
        'framework = "vlm"\n[cooling]',
        2,
        r'plan\.toml:\d+ serving\.framework: No framework "vlm"\. Close: vllm\.',
    ),
    (
        "a model that does not fit",
        'id = "llama-3.1-70b"',
        'id = "llama-3.1-405b"',
        1,
        r"llama-3\.1-405b does not fit on 4 x nvidia-h100-sxm: weights take [\d.]+ GB a rank, [\d.]+ GB are free\. "
        r"Smallest change that fits: about 8 chips with tp or ep to match, or narrower weights",
    ),
    (
        "a cache that does not fit",
        "mean_input_tokens = 2000",
        "mean_input_tokens = 9e6",
        1,
        r"The KV cache of one sequence does not fit beside the weights on 4 x nvidia-h100-sxm; use more chips, ",
    ),
    (
        "an objective out of reach",
        "40 ms",
        "2 ms",
        1,
        r"TPOT of 2 ms cannot be met even by one sequence on 4 x nvidia-h100-sxm; relax ",
    ),
    (
        "a first token out of reach",
        '"40 ms"',
        '"40 ms", ttft = "1 ms"',
        1,
        r"TTFT of 1 ms cannot be met: its mean is [\d.]+ ms; relax ",
    ),
    (
        "more sequences than memory",
        "[cooling]",
        "batch_per_chip = 9999\n[cooling]",
        1,
        r"serving\.batch_per_chip = 9999, but memory holds [\d.]+ sequences a chip",
    ),
    (
        "a batch against the objective",
        '"40 ms" }',
        '"15 ms" }\nbatch_per_chip = 40',
        1,
        r"serving\.batch_per_chip = 40 gives a TPOT of [\d.]+ ms, above serving\.slo\.tpot = 15 ms",
    ),
    (
        "a chip without its facts",
        "nvidia-h100-sxm",
        "tesla-d1",
        3,
        r"The catalogue has no memory_capacity for tesla-d1\. Give it in an overlay: --catalog DIR with chips\.csv",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "line"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_one_problem_is_one_line(
    suanli: Cli, tmp_path: Path, old: str, new: str, code: int, line: str
) -> None:
    assert PLAN.count(old) >= 1
    lines = refused(run_text(suanli, tmp_path, PLAN.replace(old, new)), code)
    assert len(lines) == 1, lines
    assert re.match(line, lines[0]), lines[0]


def test_the_plan_itself_is_good(suanli: Cli, tmp_path: Path) -> None:
    assert run_text(suanli, tmp_path, PLAN).code == 0


def test_all_problems_of_a_file_at_once(suanli: Cli, tmp_path: Path) -> None:
    """Schema, quantities and names that the catalogue lacks, in one go; the parent's are not hidden by the child's."""
    text = PLAN
    for old, new in (
        ("4e9", '"4 kW"'),
        ("1e9", "nan"),
        ("peak_to_mean", "peak_to_meen"),
        ("llama-3.1-70b", "llama-3.1-71b"),
        ('"fp8"', '"fp9"'),
        ("nvidia-h100-sxm", "nvidia-h100-smx"),
        ("40 ms", "-40 ms"),
        ('"air"', '"airr"'),
        ("ashburn", "ashbrun"),
        ("2 USD/h", "2 USD"),
    ):
        text = text.replace(old, new)
    lines = refused(run_text(suanli, tmp_path, text), 2)
    places = sorted(int(re.match(r"plan\.toml:(\d+) ", line)[1]) for line in lines)  # type: ignore[index]
    assert places == [4, 5, 7, 10, 11, 14, 16, 19, 22, 25]


def test_problems_name_the_file_that_holds_them(suanli: Cli, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(PLAN.replace("1e9", "-1e9"), encoding="utf-8")
    child = 'extends = "base.toml"\n[llm]\nid = "llama-9"\n'
    lines = refused(run_text(suanli, tmp_path, child, "--set", "site.id=nowhere"), 2)
    assert sorted(line.split(" ")[0] for line in lines) == ["--set", "base.toml:5", "plan.toml:3"]


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ("noequals", r"--set noequals: write it as section\.field=value"),
        ("=5", r"--set =5: write it as section\.field=value"),
        ("serving.chip.x=3", r"--set serving\.chip\.x=3: chip is a value, not a section"),
        ("serving=5", r"--set serving: expected a table of fields, got 5"),
        ("llm.weights=fp8", r'--set llm\.weights: no such field\. Did you mean "weights_dtype"\?'),
        ("economics.rent=2 USD", r'--set economics\.rent: "USD" does not fit here'),
        ("economics.rent=nan", r"--set economics\.rent: nan is not a finite number"),
        ("economics.rent=1,5 USD/h", r'--set economics\.rent: cannot read "1,5 USD/h" as a quantity'),
        ("fleet.nodes=0", r"--set fleet\.nodes: 0 must be more than 0"),
        ("uncertainty.draws=-1", r"--set uncertainty\.draws: -1 must be at least 0"),
        ("uncertainty.draws=many", r"--set uncertainty\.draws: input should be a valid integer"),
        ("network.max_tiers=5", r'--set network\.max_tiers: "5" is not one of 1, 2, 3, 4'),
        ("serving.chip=h900", r'--set serving\.chip: No chip "h900"\.'),
        ("name=5", r"--set name: input should be a valid string, got 5"),
    ],
)
def test_bad_overrides(suanli: Cli, plan: Path, tmp_path: Path, item: str, line: str) -> None:
    before = files(tmp_path)
    (only,) = refused(suanli("run", plan, "-o", "out", "--set", item), 2)
    assert re.match(line, only), only
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"", r"plan\.toml: empty\. Start from a file in scenarios/"),
        (b"# nothing but a remark\n\n", r"plan\.toml: empty\. Start from a file in scenarios/"),
        (b'name = "\xff"\n', r"plan\.toml: not UTF-8 text"),
        (b"[demand\n", r"plan\.toml:1 not valid TOML: "),
        (b'name = "cut', r"plan\.toml(:1)? not valid TOML: "),
    ],
)
def test_files_that_are_no_scenario(suanli: Cli, tmp_path: Path, text: bytes, line: str) -> None:
    (tmp_path / "plan.toml").write_bytes(text)
    (only,) = refused(suanli("run", "plan.toml", "-o", "out"), 2)
    assert re.match(line, only), only
    assert files(tmp_path) == {"plan.toml"}


def test_a_missing_file_names_the_close_ones(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    assert refused(suanli("run", "plna.toml", "-o", "out"), 2) == [
        "plna.toml: no such scenario file. Close: plan.toml."
    ]
    assert refused(suanli("run", tmp_path, "-o", "out"), 2)[0].endswith("no such scenario file.")
    assert files(tmp_path) == {"plan.toml"}


def test_an_empty_scenario_lists_what_is_missing(suanli: Cli, tmp_path: Path) -> None:
    lines = refused(run_text(suanli, tmp_path, 'name = "x"\n'), 2)
    assert sorted(line.split(" ")[1] for line in lines) == ["demand:", "llm:", "serving:", "site:"]


# -- overlays: the same care for a user's own rows -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("nvidia-h100-sxm,tdp,-700,,,W,2026,x,,A,adopted,", r"nvidia-h100-sxm tdp: -700 W is below 0\.1 W"),
        (
            "nvidia-h100-sxm,tdp,7000000,,,W,2026,x,,A,adopted,",
            r"nvidia-h100-sxm tdp: 7e\+06 W is above 30000 W",
        ),
        ("nvidia-h100-sxm,tdp,nan,,,W,2026,x,,A,adopted,", r"nvidia-h100-sxm tdp: not a finite number"),
        ("nvidia-h100-sxm,tdp,hot,,,W,2026,x,,A,adopted,", r'nvidia-h100-sxm tdp: "hot" is not a number'),
        ("nvidia-h100-sxm,tdp,700,low,,W,2026,x,,A,adopted,", r'nvidia-h100-sxm tdp: "low" is not a number'),
        (
            "nvidia-h100-sxm,tdp,700,,,GB,2026,x,,A,adopted,",
            r'nvidia-h100-sxm tdp: "GB" is not a unit like "W"',
        ),
        ("nvidia-h100-sxm,tdp,700,,,Wat,2026,x,,A,adopted,", r'nvidia-h100-sxm tdp: unknown unit "Wat"'),
        (
            "nvidia-h100-sxm,tpd,700,,,W,2026,x,,A,adopted,",
            r'nvidia-h100-sxm tpd: no such parameter\. Did you mean "tdp"\?',
        ),
        (
            "nvidia-h100-sxm,tdp,700,800,900,W,2026,x,,A,adopted,",
            r"nvidia-h100-sxm tdp: 700 does not lie between low 800",
        ),
        (
            "nvidia-h100-sxm,tdp,700,,,W,2026,x,,A,adoptd,",
            r'nvidia-h100-sxm tdp: status "adoptd" is not one of adopted',
        ),
        (
            "nvidia-h100-sxm,tdp,700,,,W,2026,x,,AA,adopted,",
            r'nvidia-h100-sxm tdp: grade "AA" is not one of A, B, C, D',
        ),
    ],
)
def test_bad_rows_of_an_overlay(suanli: Cli, plan: Path, tmp_path: Path, row: str, line: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "chips.csv").write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    before = files(tmp_path)
    (only,) = refused(suanli("run", plan, "-o", "out", "--catalog", "mine"), 2)
    assert re.match(r"chips\.csv:2 " + line, only), only
    assert files(tmp_path) == before


def test_all_bad_rows_of_an_overlay_at_once(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    rows = [f"nvidia-h100-sxm,tdp,{value},,,W,2026,x,,A,adopted," for value in (-1, 500, "nan")]
    (tmp_path / "chips.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    lines = refused(suanli("run", plan, "-o", "out", "--catalog", "."), 2)
    assert [line.split(" ")[0] for line in lines] == ["chips.csv:2", "chips.csv:4"]


def test_an_overlay_file_that_is_no_table(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "chip.csv").write_text(f"{HEADER}\n", encoding="utf-8")
    (only,) = refused(suanli("run", plan, "--catalog", "mine"), 2)
    assert only == '--catalog mine: chip.csv is no table. Did you mean "chips.csv"?'
    (only,) = refused(suanli("run", plan, "--catalog", "nowhere"), 2)
    assert only == "--catalog nowhere: no such folder"


# -- the command line itself ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["rnu", DAY], 'No verb "rnu". Did you mean "run"?'),
        (["run"], "Missing argument 'SCENARIO'"),
        (["run", DAY, "--jsno"], "No such option"),
        (["run", DAY, DAY], "unexpected extra argument"),
        (["explain"], "Missing argument 'RUN'"),
    ],
)
def test_usage_errors(suanli: Cli, tmp_path: Path, args: list[str], words: str) -> None:
    done = suanli(*args)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert files(tmp_path) == set()


def test_output_that_cannot_be_written(suanli: Cli, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    for parent in ("taken", "taken/below"):
        (only,) = refused(suanli("run", plan, "-o", parent), 2)
        assert only.startswith(f"-o {parent}: cannot write there")
    assert files(tmp_path) == {"plan.toml", "taken"}


def test_a_defect_is_reported_as_one(suanli: Cli, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("suanli.chain.run", broken)
    done = suanli("run", plan, "-o", "out")
    assert (done.code, done.out) == (4, "")
    assert done.err == "suanli: internal error (ZeroDivisionError: on purpose). Please report it.\n"


def test_the_change_that_is_proposed_fits(suanli: Cli, tmp_path: Path) -> None:
    small = PLAN.replace('id = "llama-3.1-70b"', 'id = "llama-3.1-405b"')
    (line,) = refused(run_text(suanli, tmp_path, small), 1)
    chips = re.search(r"about (\d+) chips", line)
    assert chips
    larger = small.replace("chips = 4, tp = 4", f"chips = {chips[1]}, tp = {chips[1]}")
    assert "does not fit" not in run_text(suanli, tmp_path, larger).err


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_each_phase_needs_room_for_the_weights(suanli: Cli, tmp_path: Path, phase: str) -> None:
    """671 GB of FP8 weights do not go into four chips of 80 GB, whichever phase they serve."""
    (only,) = refused(suanli("run", DAY, "-o", "out", "--set", f"serving.{phase}={{ chips = 4, ep = 4 }}"), 1)
    assert only.startswith("deepseek-r1 does not fit on 4 x nvidia-h800-sxm: weights take "), only
    assert files(tmp_path) == set()
