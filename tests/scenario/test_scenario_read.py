"""Reading a scenario: what a file means, parents and overrides, and where each problem stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli.catalog import Catalog
from suanli.errors import InputError, ScenarioError
from suanli.scenario import check, load, load_variants, parse

SCENARIOS = Path(__file__).parents[2] / "scenarios"
BASE = """\
name = "base"
[demand]
input_tokens_per_day = "4 Gtok"
output_tokens_per_day = 1e9
mean_input_tokens = 2000
[llm]
id = "llama-3.1-70b"
[serving]
chip = "nvidia-h100-sxm"
replica = { chips = 4, tp = 4 }
slo.tpot = "40 ms"
[site]
id = "ashburn"
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.toml"
    path.write_text(BASE, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path, overrides)
    return list(caught.value.problems)


def test_quantities_are_held_in_coherent_units(base: Path) -> None:
    plan = load(
        base,
        ["economics.rent=2 USD/h", "site.electricity_price=0.06 USD/kWh", "economics.server_life=5 year"],
    )
    assert plan.demand.input_tokens_per_day == 4e9
    assert plan.serving.slo.tpot == pytest.approx(0.04)
    assert plan.economics.rent == pytest.approx(2 / 3600)
    assert plan.site.electricity_price == pytest.approx(0.06 / 3.6e6)
    assert plan.economics.server_life == 5 * 365.25 * 86400


def test_what_is_left_out_is_none_and_not_zero(base: Path) -> None:
    plan = load(base)
    assert plan.economics.rent is None and plan.economics.price is None
    assert plan.demand.peak_to_mean is None and plan.fleet.nodes is None
    assert plan.site.electricity_price is None


def test_a_scenario_cannot_be_changed(base: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(base).demand.cache_hit_share = 0.5  # type: ignore[misc]


def test_a_child_lays_its_fields_over_its_parents(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mid.toml").write_text(
        'extends = "base.toml"\nname = "mid"\n[llm]\nkv_dtype = "fp8"\n', encoding="utf-8"
    )
    (tmp_path / "leaf.toml").write_text(
        'extends = "mid.toml"\nname = "leaf"\n[llm]\nid = "qwq-32b"\n[serving]\nreplica = { tp = 2 }\n',
        encoding="utf-8",
    )
    plan = load(tmp_path / "leaf.toml")
    assert (plan.name, plan.llm.id, plan.llm.kv_dtype) == ("leaf", "qwq-32b", "fp8")
    assert plan.serving.replica is not None
    assert (plan.serving.replica.chips, plan.serving.replica.tp) == (4, 2), "tables merge, fields replace"


def test_a_parent_is_found_beside_its_child(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "child.toml").write_text('extends = "../base.toml"\n', encoding="utf-8")
    monkeypatch.chdir("/")
    assert load(tmp_path / "sub" / "child.toml").name == "base"


def test_published_figures_are_not_inherited(base: Path, tmp_path: Path) -> None:
    base.write_text(BASE + '[published]\nsource = "s"\nfigures = { "fleet.nodes" = 3 }\n', encoding="utf-8")
    (tmp_path / "child.toml").write_text('extends = "base.toml"\n', encoding="utf-8")
    assert load(base).published is not None
    assert load(tmp_path / "child.toml").published is None


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("serving.chip=nvidia-h200-sxm", "nvidia-h200-sxm"),
        ('serving.chip="nvidia-h200-sxm"', "nvidia-h200-sxm"),
        ("serving.chip = 'nvidia-h200-sxm'", "nvidia-h200-sxm"),
    ],
)
def test_overrides_with_and_without_quotes(base: Path, item: str, value: str) -> None:
    assert load(base, [item]).serving.chip == value


def test_overrides_make_tables_and_inline_tables(base: Path) -> None:
    plan = load(base, ["fleet.nodes=12", "serving.replica={ chips = 8, tp = 8 }", "llm.mtp=true"])
    assert plan.fleet.nodes == 12.0 and plan.llm.mtp is True
    assert plan.serving.replica is not None and plan.serving.replica.chips == 8


def test_overrides_do_not_change_what_was_given() -> None:
    data = {"demand": {"cache_hit_share": 0.1}}
    with pytest.raises(ScenarioError):
        parse(data, ["demand.cache_hit_share=0.2"])
    assert data == {"demand": {"cache_hit_share": 0.1}}


def test_lines_of_dotted_quoted_and_inline_keys(base: Path) -> None:
    text = BASE.replace("slo.tpot", "slo.tpto").replace("tp = 4 }", "tp = 4, pt = 1 }")
    base.write_text(
        text + '[published]\nsource = "s"\n[published.figures]\n"fleet.nodes" = "many"\n', encoding="utf-8"
    )
    assert sorted(line.split(": ")[0] for line in problems(base)) == [
        "base.toml:10 serving.replica.pt",
        "base.toml:11 serving.slo.tpto",
        "base.toml:17 published.figures.fleet.nodes",
    ]


def test_problems_stand_where_the_value_was_written(base: Path, tmp_path: Path) -> None:
    base.write_text(BASE.replace("1e9", "-1e9"), encoding="utf-8")
    child = tmp_path / "child.toml"
    child.write_text('extends = "base.toml"\n[demand]\nmean_input_tokens = "x"\n', encoding="utf-8")
    places = [line.split(" ")[0] for line in problems(child, "demand.cache_hit_share=7")]
    assert sorted(places) == ["--set", "base.toml:4", "child.toml:3"]


def test_a_fix_in_the_child_hides_the_parents_problem(base: Path, tmp_path: Path) -> None:
    base.write_text(BASE.replace("1e9", "-1e9"), encoding="utf-8")
    (tmp_path / "child.toml").write_text(
        'extends = "base.toml"\n[demand]\noutput_tokens_per_day = 1e9\n', encoding="utf-8"
    )
    assert load(tmp_path / "child.toml").demand.output_tokens_per_day == 1e9


def test_unknown_fields_are_refused_in_every_section() -> None:
    data = load(SCENARIOS / "deepseek-day.toml").model_dump(mode="json", exclude_none=True)
    sections = [name for name, value in data.items() if isinstance(value, dict) and name != "variants"]
    assert len(sections) > 8
    for section in sections:
        with pytest.raises(ScenarioError, match=rf"scenario {section}\.zzz: no such field\."):
            parse({**data, section: {**data[section], "zzz": 1}})


def test_variants_are_laid_over_the_base(base: Path) -> None:
    base.write_text(
        BASE + '[variants.a]\n[variants.b]\nllm = { id = "qwq-32b" }\n[variants.c.llm]\nkv_dtype = "fp8"\n',
        encoding="utf-8",
    )
    plans = load_variants(base, ["uncertainty.draws=3"])
    assert list(plans) == ["a", "b", "c"]
    assert [plan.llm.id for plan in plans.values()] == ["llama-3.1-70b", "qwq-32b", "llama-3.1-70b"]
    assert [plan.llm.kv_dtype for plan in plans.values()] == ["bf16", "bf16", "fp8"]
    assert {plan.uncertainty.draws for plan in plans.values()} == {3}
    assert all(plan.variants == {} for plan in plans.values())


def test_a_file_without_variants_is_its_own(base: Path) -> None:
    assert list(load_variants(base)) == ["base"]


def test_all_variants_problems_at_once(base: Path) -> None:
    base.write_text(
        BASE + '[variants.a]\nllm = { kv_dtype = "fp9" }\n[variants.b]\nsite = { id = 5 }\n', encoding="utf-8"
    )
    with pytest.raises(ScenarioError) as caught:
        load_variants(base)
    assert [line.split(": ")[0] for line in caught.value.problems] == ["variant a", "variant b"]


def test_names_are_looked_up_where_a_catalogue_is_given(base: Path) -> None:
    base.write_text(BASE.replace("ashburn", "atlantis"), encoding="utf-8")
    assert load(base).site.id == "atlantis"
    with pytest.raises(ScenarioError, match=r'base\.toml:13 site\.id: No site "atlantis"'):
        load(base, (), Catalog())


def test_check_refuses_a_scenario_made_in_code() -> None:
    plan = load(SCENARIOS / "deepseek-day.toml", ["serving.chip=h900", "power.chain=steam"])
    with pytest.raises(ScenarioError) as caught:
        check(plan, Catalog())
    assert [line.split(": ")[0] for line in caught.value.problems] == ["serving.chip", "power.chain"]
    check(load(SCENARIOS / "deepseek-day.toml"), Catalog())


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda p: p.stem)
def test_dumped_scenarios_read_back_to_the_same(path: Path) -> None:
    for plan in load_variants(path).values():
        data = plan.model_dump(mode="json", exclude_none=True)
        again = parse(data)
        assert again.model_dump(mode="json", exclude_none=True) == data
        assert _close(again.model_dump(), plan.model_dump()), "numbers move by rounding to 12 digits at most"


def _close(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_close(left[key], right[key]) for key in left)
    if isinstance(left, float) and isinstance(right, float):
        return left == pytest.approx(right, rel=1e-11)
    return left == right


def test_a_missing_file_is_named_with_the_close_ones(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bsae\.toml: no such scenario file\. Close: base\.toml\."):
        load(tmp_path / "bsae.toml")
    with pytest.raises(InputError, match="no such scenario file"):
        load(tmp_path / "nowhere" / "base.toml")


@pytest.mark.parametrize("given", ["20", "'20'", "1.5"])
def test_a_bare_tpot_of_seconds_is_refused(given: str) -> None:
    with pytest.raises(ScenarioError, match=r'serving\.slo\.tpot: .*did you mean "[\d.]+ ms"\?'):
        load(SCENARIOS / "llama70b-on-hgx-h100.toml", [f"serving.slo.tpot={given}"])


@pytest.mark.parametrize(
    ("given", "seconds"), [("0.02", 0.02), ("'20 ms'", 0.02), ("'2 s'", 2.0), ("1", 1.0)]
)
def test_a_tpot_with_its_unit_or_a_plausible_one_is_read(given: str, seconds: float) -> None:
    read = load(SCENARIOS / "llama70b-on-hgx-h100.toml", [f"serving.slo.tpot={given}"])
    assert read.serving.slo.tpot == pytest.approx(seconds)
