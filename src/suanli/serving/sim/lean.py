"""Stand-ins for functions that a run without prefix caches, pools and outages never needs: less to compile."""

from __future__ import annotations

from suanli.serving.sim.pools import arrive
from suanli.serving.sim.state import State


def found(s: State, p: int, r: int) -> None:
    """Find nothing in a prefix cache; the counts stay 0."""


def take(s: State, p: int, r: int, t: float) -> int:
    """Take nothing from a prefix cache."""
    return 0


def keep(s: State, p: int, r: int) -> None:
    """Keep nothing in a prefix cache."""


def give_up(s: State, p: int, r: int) -> None:
    """Give up no reference."""


def evict(s: State, p: int) -> None:
    """Evict nothing."""


def send(s: State, p: int, r: int, t: float) -> None:
    """Send nothing: prompts and answers share replicas."""


def stop_if_empty(s: State, p: int, t: float) -> None:
    """Stop no replica: none drains."""


def control(s: State, t: float) -> None:
    """Do nothing: no replica fails, none is started."""


def happen(s: State, r: int, t: float) -> None:
    """Let a request arrive after the one that it follows."""
    arrive(s, r, t)
