"""Steady state of a replica: objectives kept, memory kept, more chip never slower, limits counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suanli.hardware import Chip
from suanli.serving import Engine, Layout, Work, decode, prefill

laws = settings(deadline=None, max_examples=80)

CHIP = Chip("x", {"bf16": 1e15}, 80e9, 3e12, 400e9, 50e9, 8, 700.0)
ENGINE = Engine(0.5, 0.5, 0.7, 0.75, 0.8, 0.25, 2e-3, 0.1, 1.15)
PERFECT = Engine(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0)
DENSE = Work(1.5e-4, 1e-5, 20e9, 0.0, 0, 0, 0.3e9)
SPARSE = Work(8e-5, 4e-5, 10e9, 30e9, 256, 8, 0.35e9)

works = st.builds(
    Work,
    peak_s=st.floats(1e-7, 1e-3),
    exchange_s=st.floats(0.0, 1e-3),
    dense_weight_bytes=st.floats(1e8, 6e10),
    expert_weight_bytes=st.sampled_from([0.0, 1e9, 1e10]),
    experts=st.sampled_from([8, 64, 256]),
    top_k=st.integers(1, 8),
    kv_bytes_per_sequence=st.floats(1e6, 5e9),
)
layouts = st.sampled_from([Layout(1), Layout(8, 8, 1), Layout(32, 1, 32), Layout(16, 4, 16)])
objectives = st.floats(5e-3, 0.5)


def feasible(found: object, layout: Layout) -> bool:
    return float(found.batch) * layout.chips >= 1.0  # type: ignore[attr-defined]


@laws
@given(works, layouts, objectives)
def test_the_objective_is_kept(work: Work, layout: Layout, tpot_s: float) -> None:
    found = decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s)
    assume(feasible(found, layout))
    assert float(found.tpot_s) <= tpot_s * (1 + 1e-9)


@laws
@given(works, layouts, objectives)
def test_memory_is_kept(work: Work, layout: Layout, tpot_s: float) -> None:
    found = decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s)
    held = float(found.batch) * layout.tp * float(np.asarray(work.kv_bytes_per_sequence))
    used = held + float(np.asarray(work.dense_weight_bytes)) + float(np.asarray(work.expert_weight_bytes))
    assume(float(found.fit.kv_bytes) > 0.0)
    assert used <= 80e9 * 0.9 * (1 + 1e-9)


@laws
@given(works, layouts, objectives)
def test_the_batch_is_the_largest_that_may_be(work: Work, layout: Layout, tpot_s: float) -> None:
    """A hundredth more would break the objective or the memory."""
    found = decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s)
    assume(feasible(found, layout))
    more = decode(work, ENGINE, CHIP, layout, batch=float(found.batch) * 1.01)
    assert float(more.tpot_s) > tpot_s or float(more.batch) > float(found.fit.sequences) * (1 - 1e-9)


@laws
@given(works, layouts, objectives, st.floats(1.0, 4.0))
def test_a_looser_objective_never_takes_a_smaller_batch(
    work: Work, layout: Layout, tpot_s: float, factor: float
) -> None:
    tight = decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s)
    loose = decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s * factor)
    assert float(loose.batch) >= float(tight.batch) * (1 - 1e-9)
    assert float(loose.tokens_per_s) >= float(tight.tokens_per_s) * (1 - 1e-9)


@laws
@given(works, layouts, objectives, st.floats(1.0, 4.0))
def test_more_chip_is_never_slower(work: Work, layout: Layout, tpot_s: float, factor: float) -> None:
    base = float(decode(work, ENGINE, CHIP, layout, tpot_s=tpot_s).tokens_per_s)
    wider = replace(CHIP, bandwidth_bytes_per_s=3e12 * factor)
    larger = replace(CHIP, memory_bytes=80e9 * factor)
    assert float(decode(work, ENGINE, wider, layout, tpot_s=tpot_s).tokens_per_s) >= base * (1 - 1e-7)
    assert float(decode(work, ENGINE, larger, layout, tpot_s=tpot_s).tokens_per_s) >= base * (1 - 1e-7)
    faster = replace(work, peak_s=np.asarray(work.peak_s) / factor)
    assert float(decode(faster, ENGINE, CHIP, layout, tpot_s=tpot_s).tokens_per_s) >= base * (1 - 1e-7)


@laws
@given(works, layouts, st.floats(0.5, 100.0))
def test_a_step_is_its_parts(work: Work, layout: Layout, batch: float) -> None:
    found = decode(work, ENGINE, CHIP, layout, batch=batch)
    parts = max(float(found.memory_s), float(found.compute_s)) + float(found.exchange_s) + 2e-3
    assert float(found.step_s) == pytest.approx(parts, rel=1e-12)
    assert float(found.tokens_per_s) == pytest.approx(batch / float(found.step_s), rel=1e-12)


@laws
@given(works, layouts, st.floats(0.5, 50.0), st.floats(1.0, 3.0))
def test_a_larger_batch_never_shortens_the_step(
    work: Work, layout: Layout, batch: float, factor: float
) -> None:
    small, large = (decode(work, ENGINE, CHIP, layout, batch=b) for b in (batch, batch * factor))
    assert float(large.step_s) >= float(small.step_s) * (1 - 1e-12)
    assert float(large.tokens_per_s) >= float(small.tokens_per_s) * (1 - 1e-12)


def test_one_sequence_reads_the_weights_once_a_token() -> None:
    """Counted by hand: 20 GB of weights and 0.3 GB of KV at 3 TB/s are 6.77 ms, whatever the compute."""
    found = decode(replace(DENSE, exchange_s=0.0), PERFECT, CHIP, Layout(1), batch=1.0)
    assert float(found.tpot_s) == pytest.approx(20.3e9 / 3e12)


def test_compute_binds_a_large_batch() -> None:
    work = replace(DENSE, exchange_s=0.0, kv_bytes_per_sequence=1e3)
    found = decode(work, PERFECT, CHIP, Layout(1), batch=1000.0)
    assert float(found.step_s) == pytest.approx(1000 * 1.5e-4)


def test_every_expert_is_read_by_a_large_batch_and_few_by_a_small_one() -> None:
    """256 experts, 8 a token: one token reads 8/256 of them, a batch of 10,000 all."""
    one = decode(SPARSE, PERFECT, CHIP, Layout(1, 1, 1), batch=1.0)
    assert float(one.memory_s) == pytest.approx((10e9 + 30e9 * 8 / 256 + 0.35e9) / 3e12, rel=1e-6)
    work = replace(SPARSE, kv_bytes_per_sequence=0.1)
    many = decode(work, PERFECT, CHIP, Layout(1, 1, 1), batch=10_000.0)
    assert float(many.memory_s) == pytest.approx(40e9 / 3e12, rel=1e-6)


def test_draft_tokens_help_only_by_what_is_accepted() -> None:
    """With one draft token accepted at 0.85, memory-bound decode gains up to 1.85, never more."""
    work = replace(DENSE, peak_s=1e-7, exchange_s=0.0)
    plain = decode(work, PERFECT, CHIP, Layout(1), batch=8.0)
    drafted = decode(work, PERFECT, CHIP, Layout(1), batch=8.0, tokens_per_step=1.85, drafted_per_step=1.0)
    assert float(drafted.tokens_per_s) == pytest.approx(1.85 * float(plain.tokens_per_s))
    rejected = decode(DENSE, ENGINE, CHIP, Layout(1), batch=8.0, tokens_per_step=1.0, drafted_per_step=1.0)
    assert float(rejected.tokens_per_s) <= float(
        decode(DENSE, ENGINE, CHIP, Layout(1), batch=8.0).tokens_per_s
    )


def test_prefill_on_the_same_chips_slows_what_users_see() -> None:
    alone = decode(DENSE, ENGINE, CHIP, Layout(1), tpot_s=0.05)
    shared = decode(DENSE, ENGINE, CHIP, Layout(1), tpot_s=0.05, prefill_s_per_output_token=5e-4)
    assert float(shared.batch) < float(alone.batch)
    assert float(shared.tpot_s) <= 0.05 * (1 + 1e-9)
    assert float(shared.tpot_s) > float(shared.step_s)


def test_an_objective_below_one_step_leaves_no_batch() -> None:
    found = decode(DENSE, ENGINE, CHIP, Layout(1), tpot_s=1e-3)
    assert float(found.batch) * 1 < 1.0


def test_without_objective_memory_alone_bounds_the_batch() -> None:
    found = decode(DENSE, ENGINE, CHIP, Layout(1))
    assert float(found.batch) == pytest.approx((80e9 * 0.9 - 20e9) / 0.3e9)


def test_samples_broadcast_and_each_stands_for_itself() -> None:
    efficiencies = np.array([0.5, 0.7, 0.9])
    found = decode(DENSE, replace(ENGINE, memory_efficiency=efficiencies), CHIP, Layout(1), tpot_s=0.02)
    assert found.batch.shape == (3,)
    for index, efficiency in enumerate(efficiencies):
        single = decode(
            DENSE, replace(ENGINE, memory_efficiency=float(efficiency)), CHIP, Layout(1), tpot_s=0.02
        )
        assert found.batch[index] == pytest.approx(float(single.batch))


# -- prefill ------------------------------------------------------------------------------------------------------
@laws
@given(works, st.floats(1.0, 5.0))
def test_prefill_parts_make_the_rate(work: Work, factor: float) -> None:
    found = prefill(work, ENGINE)
    assert float(found.tokens_per_s) == pytest.approx(1.0 / float(found.compute_s + found.exchange_s))
    assert float(
        prefill(replace(work, peak_s=np.asarray(work.peak_s) * factor), ENGINE).tokens_per_s
    ) <= float(found.tokens_per_s) * (1 + 1e-12)


def test_prefill_at_the_peak_counted_by_hand() -> None:
    assert float(prefill(DENSE, PERFECT).tokens_per_s) == pytest.approx(1 / 1.5e-4), "exchange is hidden"
    bare = replace(PERFECT, prefill_overlap=0.0)
    assert float(prefill(DENSE, bare).tokens_per_s) == pytest.approx(1 / 1.6e-4)


@pytest.mark.parametrize("field", ["prefill_compute_efficiency", "link_efficiency", "prefill_overlap"])
def test_a_better_engine_never_prefills_slower(field: str) -> None:
    rates = [
        float(prefill(SPARSE, replace(ENGINE, **{field: value})).tokens_per_s) for value in (0.2, 0.5, 0.9)
    ]
    assert rates == sorted(rates)
