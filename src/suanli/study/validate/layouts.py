"""Parallel layouts as measurements spell them, brought to one spelling: tp, pp, attention dp, ep."""

from __future__ import annotations

import re
from typing import NamedTuple


class Layout(NamedTuple):
    """Chips of one deployment: n = tp x pp x dp; `dp` counts attention groups that share the experts."""

    tp: int
    pp: int
    dp: int
    ep: int


_AIC = re.compile(r"TP(\d+) PP(\d+) attnDP(\d*) moeTP(\d+) moeEP(\d+)")


def layout_named(label: str, chips: int) -> tuple[Layout, str]:
    """Return the layout of a label on a number of chips, and a note where the label had to be corrected.

    The number of chips is right where label and number disagree: "TP64 attnDP1 moeTP8 moeEP8" on 8 chips is TP8 EP8 and
    "TP4 attnDP4 moeTP1 moeEP16" on 4 chips is TP4 EP4, each being a second spelling of a row that is also on record
    under its clean name with the same figures.

    Args:
        label: as spelled in the table.
        chips: accelerators of the deployment [1].
    """
    found = _AIC.search(label)
    if found:
        tp, pp, dp, _, ep = (max(int(text or 1), 1) for text in found.groups())
        return _corrected(Layout(tp, pp, dp, ep), chips)
    if "layer split" in label:
        return Layout(1, chips, 1, 1), ""
    numbers = {name: int(value) for name, value in re.findall(r"\b(TP|PP|DP|EP)(\d+)", _spaced(label))}
    if "NeuronCores" in label:
        return Layout(chips, 1, 1, 1), f"{label}: cores counted as chips of two"
    if "attention DP" in label or ("EP" in numbers and "TP" not in numbers):
        return Layout(1, 1, chips, min(numbers.get("EP", chips), chips)), ""
    tp, pp = numbers.get("TP", 0), numbers.get("PP", 1)
    return _corrected(Layout(tp or chips // pp, pp, numbers.get("DP", 1), numbers.get("EP", 1)), chips)


def _spaced(label: str) -> str:
    return re.sub(r"(\d)(?=[A-Z])", r"\1 ", label)


def _corrected(layout: Layout, chips: int) -> tuple[Layout, str]:
    tp, pp, dp, ep = layout
    if tp * pp * dp > chips:
        tp, dp = (min(tp, chips // pp), 1) if tp > 1 else (1, chips // pp)
    ep = min(ep, chips // pp)
    fixed = Layout(tp, pp, dp, ep)
    return fixed, "" if fixed == layout else f"layout corrected to {chips} chips"
