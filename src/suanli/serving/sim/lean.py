"""Stand-ins for what one replica without prefix cache, swapping and outages never needs: less to compile."""

from __future__ import annotations

from suanli.serving.sim import columns as c
from suanli.serving.sim.blocks import blocks_for
from suanli.serving.sim.place import end
from suanli.serving.sim.pools import arrive, enqueue
from suanli.serving.sim.state import State


def nothing(s: State, p: int, r: int) -> None:
    """Stand for what a prefix cache does with a request: nothing; the counts of hits stay 0."""


# One function for three names is compiled once.
found = keep = give_up = nothing


def take(s: State, p: int, r: int, t: float) -> int:
    """Take nothing from a prefix cache.

    Takes t [s].
    """
    return 0


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


def dispatch(s: State, r: int, t: float, role: int) -> None:
    """Give a request to the one replica there is, or end it with a reason.

    Takes t [s].
    """
    p = s.pi[0, c.HEAPED]
    more = 0.0 if s.pf[p, c.ADVANCE] == 1.0 else s.pf[p, c.ADVANCE]
    if blocks_for(s, p, s.ri[r, c.IN] + s.ri[r, c.OUT] - 1 + more) > s.pf[p, c.CAPACITY]:
        end(s, r, t, c.TOO_LONG)
    elif s.pi[p, c.QUEUED] >= s.pi[p, c.QUEUE_LIMIT]:
        end(s, r, t, c.REFUSED)
    else:
        enqueue(s, p, r, t)


def admit_ready(s: State, p: int, r: int, t: float, free_tokens: int) -> int:
    """Admit no request whose KV lies elsewhere: there is none.

    Takes t [s].
    """
    return -1
