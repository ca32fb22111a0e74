"""What the loop writes down while it runs: energy, time series, inter-token latency, a log of steps."""

from __future__ import annotations

import math

from suanli.serving.sim import columns as c
from suanli.serving.sim.state import State
from suanli.serving.sim.steps import steps_s

ITL_FLOOR_S = 1e-6  # first bin of the histogram starts here
ITL_RATIO_LOG = 0.01  # each bin is e**0.01 - 1, about 1 %, wide


def note(s: State, p: int, t: float) -> None:
    """Book the steps under way on replica p, which end at time t: energy, busy time, series, log.

    Takes t [s].
    """
    start = s.pf[p, c.TIME]
    tokens, batch, steps = s.pi[p, c.TOKENS], s.pi[p, c.BATCH], s.pi[p, c.COUNT]
    power = s.tables[c.ROWS * s.pi[p, c.DEPLOYMENT] + 2, tokens]
    s.pf[p, c.BUSY] += t - start
    s.pf[p, c.ENERGY] += power * (t - start)
    prompts, out = 0.0, 0.0
    for i in range(s.pi[p, c.CHUNKS]):
        r = s.pi[p, s.gi[c.CHUNK_AT] + i]
        prompts += s.ri[r, c.CHUNK]
        if s.ri[r, c.CHUNK] == s.ri[r, c.REMAINING]:
            out += 1.0
    if s.pi[p, c.KIND] != c.PREFILL:
        out += batch * steps * s.pf[p, c.ADVANCE]
    series(s, p, start, t, power, prompts, out)
    if t > s.gf[c.LOG_FROM] and start < s.gf[c.LOG_TO]:
        row = s.gi[c.LOGGED]
        s.gi[c.LOGGED] = row + 1
        if row < s.gi[c.LOG_ROWS]:
            s.rec[row, c.LOG + 0] = p
            s.rec[row, c.LOG + 1] = start
            s.rec[row, c.LOG + 2] = t
            s.rec[row, c.LOG + 3] = s.pi[p, c.KIND]
            s.rec[row, c.LOG + 4] = steps
            s.rec[row, c.LOG + 5] = batch
            s.rec[row, c.LOG + 6] = prompts
            s.rec[row, c.LOG + 7] = s.pf[p, c.USED]


def series(s: State, p: int, start: float, t: float, power: float, prompts: float, out: float) -> None:
    """Spread an interval of replica p over the bins of the time series; when time runs out of bins, pairs merge.

    Takes start [s], t [s], power [W], prompts [token], out [token].
    """
    n = c.BINS
    while t > s.gf[c.BIN_S] * n:
        for i in range(n):
            for k in range(c.SERIES):
                s.rec[i, k] = s.rec[2 * i, k] + s.rec[2 * i + 1, k] if 2 * i < n else 0.0
        s.gf[c.BIN_S] *= 2.0
    width = s.gf[c.BIN_S]
    i = min(int(start / width), n - 1)
    whole = t - start
    x = start
    while whole > 0.0:
        stop = min(t, (i + 1) * width) if i < n - 1 else t
        part = stop - x
        share = part / whole
        s.rec[i, c.S_BUSY] += part
        s.rec[i, c.S_PROMPT] += prompts * share
        s.rec[i, c.S_OUTPUT] += out * share
        s.rec[i, c.S_ENERGY] += power * part
        s.rec[i, c.S_BATCH] += s.pi[p, c.RUNNING] * part
        s.rec[i, c.S_KV] += s.pf[p, c.USED] * part
        s.rec[i, c.S_QUEUE] += s.pi[p, c.QUEUED] * part
        if stop >= t:
            break
        x = stop
        i += 1


def bin_of(gap_s: float) -> int:
    """Bin of the inter-token histogram for a gap [s]."""
    if gap_s <= ITL_FLOOR_S:
        return 0
    return min(1 + int(math.log(gap_s / ITL_FLOOR_S) / ITL_RATIO_LOG), c.ITL_BINS - 1)


def gap_once(s: State, gap_s: float) -> None:
    """Count one gap between two tokens of a request [s]."""
    s.rec[bin_of(gap_s), c.ITL] += 1.0
    s.gf[c.ITL_SUM] += gap_s
    s.gf[c.ITL_MAX] = max(s.gf[c.ITL_MAX], gap_s)


def gap(s: State, p: int, t: float) -> None:
    """Count the gaps of the decode steps that end at time t: joiners since their own last token, the rest together.

    Takes t [s].
    """
    a, b, steps = s.pf[p, c.STEP_A], s.pf[p, c.STEP_B], s.pi[p, c.COUNT]
    start, batch = s.pf[p, c.TIME], s.pi[p, c.BATCH]
    first_end = t if steps == 1 else start + a
    others = batch
    for i in range(s.pi[p, c.JOINERS]):
        r = s.pi[p, s.gi[c.JOIN_AT] + i]
        if (
            s.ri[r, c.STATUS] == c.DECODING
            and s.ri[r, c.REPLICA] == p
            and s.ri[r, c.JOINED] == s.pi[p, c.STEP]
        ):
            gap_once(s, first_end - s.rf[r, c.LAST])
            others -= 1
    if others > 0:
        wait = first_end - s.pf[p, c.LAST_DECODE]
        s.rec[bin_of(wait), c.ITL] += others
        s.gf[c.ITL_SUM] += others * wait
        s.gf[c.ITL_MAX] = max(s.gf[c.ITL_MAX], wait)
    done = 1
    while done < steps:
        i = bin_of(a + b * done)
        upto = steps
        if bin_of(a + b * (steps - 1)) != i:
            edge = ITL_FLOOR_S * math.exp(ITL_RATIO_LOG * i)
            upto = min(max(math.ceil((edge - a) / b), done + 1), steps)
        s.rec[i, c.ITL] += batch * (upto - done)
        done = upto
    if steps > 1:
        s.gf[c.ITL_SUM] += batch * (steps_s(a, b, steps) - a)
        s.gf[c.ITL_MAX] = max(s.gf[c.ITL_MAX], a + b * (steps - 1))
