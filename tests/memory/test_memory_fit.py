"""What fits on a chip: weights, working space and KV share the memory, nothing is counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.memory import memory_fit

BYTES = st.floats(1.0, 1e13)
SHARE = st.floats(0.0, 0.9)
laws = settings(deadline=None, max_examples=100)


@laws
@given(BYTES, BYTES, BYTES, SHARE)
def test_the_parts_make_the_memory(memory: float, weights: float, kv: float, reserve: float) -> None:
    fit = memory_fit(memory, weights, kv, reserve)
    parts = float(fit.weights_bytes + fit.reserve_bytes + fit.kv_bytes)
    assert parts == pytest.approx(memory, rel=1e-9, abs=weights * 1e-12)


@laws
@given(BYTES, BYTES, BYTES, SHARE)
def test_what_fits_is_never_more_than_the_memory(
    memory: float, weights: float, kv: float, reserve: float
) -> None:
    fit = memory_fit(memory, weights, kv, reserve)
    assert fit.sequences >= 0.0
    if fit.kv_bytes >= 0.0:
        used = weights + fit.sequences * kv + memory * reserve
        assert used <= memory * (1 + 1e-9) + weights * 1e-9
    else:
        assert fit.sequences == 0.0, "weights that do not fit leave no room for a sequence"
        assert weights > memory * (1 - reserve) * (1 - 1e-9)


@laws
@given(BYTES, BYTES, BYTES, SHARE, st.floats(1.0, 10.0))
def test_more_memory_holds_more_and_more_weights_less(
    memory: float, weights: float, kv: float, reserve: float, factor: float
) -> None:
    base = memory_fit(memory, weights, kv, reserve).sequences
    assert memory_fit(memory * factor, weights, kv, reserve).sequences >= base
    assert memory_fit(memory, weights * factor, kv, reserve).sequences <= base
    assert memory_fit(memory, weights, kv * factor, reserve).sequences == pytest.approx(base / factor)


def test_counted_by_hand() -> None:
    """24 GB, a tenth kept, 4 bit weights of 32.8 B parameters (16.4 GB): 5.2 GB for KV of 0.13 GB a sequence."""
    fit = memory_fit(24e9, 16.4e9, 0.13e9, 0.1)
    assert fit.kv_bytes == pytest.approx(5.2e9)
    assert fit.sequences == pytest.approx(40.0)


def test_arrays_broadcast() -> None:
    fit = memory_fit(np.array([[24e9], [80e9]]), np.array([10e9, 30e9, 90e9]), 1e9, 0.1)
    assert fit.sequences.shape == (2, 3)
    assert fit.sequences[0].tolist() == pytest.approx([11.6, 0.0, 0.0])
