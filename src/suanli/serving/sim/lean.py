"""Stand-ins for what one replica without prefix cache, swapping and outages never needs: less to compile."""

from __future__ import annotations

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import blocks_for
from suanli.serving.sim.pools import arrive
from suanli.serving.sim.state import State


def found(s: State, p: int, r: int) -> None:
    """Find nothing in a prefix cache; the counts stay 0."""


def take(s: State, p: int, r: int, t: float) -> int:
    """Take nothing from a prefix cache.

    Takes t [s].
    """
    return 0


def keep(s: State, p: int, r: int) -> None:
    """Keep nothing in a prefix cache."""


def give_up(s: State, p: int, r: int) -> None:
    """Give up no reference."""


def evict(s: State, p: int) -> None:
    """Evict nothing."""


def send(s: State, p: int, r: int, t: float) -> None:
    """Send nothing: prompts and answers share replicas.

    Takes t [s].
    """


def stop_if_empty(s: State, p: int, t: float) -> None:
    """Stop no replica: none drains.

    Takes t [s].
    """


def control(s: State, t: float) -> None:
    """Do nothing: no replica fails, none is started.

    Takes t [s].
    """


def happen(s: State, r: int, t: float) -> None:
    """Let a request arrive after the one that it follows.

    Takes t [s].
    """
    arrive(s, r, t)


def choose(s: State, r: int, role: int) -> int:
    """Choose the one replica there is: -2 if the request does not fit on it."""
    more = 0.0 if s.pf[0, c.ADVANCE] == 1.0 else s.pf[0, c.ADVANCE]
    need = blocks_for(s, 0, s.ri[r, c.IN] + s.ri[r, c.OUT] - 1 + more)
    return -2 if need > s.pf[0, c.CAPACITY] else 0


def admit_ready(s: State, p: int, r: int, t: float, free_tokens: int) -> int:
    """Admit no request whose KV lies elsewhere: there is none.

    Takes t [s].
    """
    return -1
