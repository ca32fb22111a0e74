"""Step models from operator times: what the closed form of `serving.closed_loop` adds up, step by step.

A decode step of b sequences with a context each is that of `closed_loop.decode_step_s`, taken as a line in the context.
A prompt adds what `closed_loop.prompt_cost` says to the step that it shares: the products of its tokens beside the
others, its own attention, and the framework's time for a step with prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InfeasibleError
from suanli.serving.aggregated import load_of
from suanli.serving.bands import step_band, ttft_band
from suanli.serving.closed_loop import Load, decode_step_s, delivery_steps
from suanli.serving.deployment import MemoryParts
from suanli.serving.engine import Engine, memory_problem
from suanli.serving.point import Point
from suanli.serving.pools import STEP_TOKENS, prefill_pool
from suanli.serving.sim.model import StepModel
from suanli.serving.sim.physics import Physics
from suanli.serving.work_shares import prompt_work, step_work

Array = NDArray[np.float64]
Role = Literal["both", "prefill", "decode"]

# Contexts between which decode attention is a line, over the mean one.
_NEAR, _FAR = 0.5, 1.5
# Without a chunk a step takes the prompt at hand and this much more than the decodes (TensorRT-LLM's benchmarks).
_SPARE_TOKENS = 128
# Tokens of a step of one attention group between which its activity goes from decoding to computing prompts.
_SMALL, _LARGE = 256.0, 2048.0


def operator_physics(
    ready: Engine, question: Point, role: Role = "both", longest_tokens: float = 0.0
) -> Physics:
    """Return a replica of an engine as the simulator needs it.

    Args:
        ready: the engine; of phase "prefill" for a prefill pool.
        question: mean lengths, speculation and options.
        role: "both", or the pool it belongs to.
        longest_tokens: longest prompt, for frameworks that do not cut prompts [token].

    Returns:
        Step times, KV room, limits of the framework, and how sure they are.

    Raises:
        InfeasibleError: weights or one sequence do not fit.
    """
    serving, groups = ready.serving, ready.placement.dp
    constants, load = serving.values, load_of(question, ready)
    memory = _memory(ready, load, role)
    held = _mean(load.input_tokens) + constants.kv_reserve * (
        0.0 if role == "prefill" else _mean(load.output_tokens)
    )
    each = memory.sequence_bytes / held
    kv_tokens = int(memory.kv_bytes / each) * groups
    # Seats beyond what fits in memory would only make the tables longer.
    seats = max(int(min(constants.max_sequences * groups, kv_tokens)), 1)
    if role == "prefill":
        model, budget = prompt_steps(ready, load, question), int(STEP_TOKENS) * groups
        seats = min(seats, budget)
    else:
        model = from_step_table(ready, load, seats)
        chunk = constants.chunk_tokens * groups
        whole = max(longest_tokens, _mean(load.input_tokens)) + _SPARE_TOKENS + seats * (1 + model.drafts)
        budget = int(chunk if chunk > 0.0 else whole)
    step = step_band(constants.tpot_band, ready.table.basis, serving.framework != "*")
    mixed = constants.mixed > 0.5 or role != "both"
    return Physics(
        model=model,
        kv_tokens=kv_tokens,
        kv_bytes_per_token=each * ready.placement.tp * ready.placement.pp,
        policy="continuous" if mixed else "prefill-first",
        max_num_seqs=seats,
        max_batched_tokens=budget,
        answer_share=0.0 if role == "prefill" else constants.kv_reserve,
        host_s=constants.ttft_base_s + constants.prompt_s * _mean(load.input_tokens),
        step_band=step,
        ttft_band=ttft_band(constants.ttft_band, step, 0.0, 0.0),
        basis=ready.table.basis,
    )


def _memory(ready: Engine, load: Load, role: Role) -> MemoryParts:
    prompt, answer = _mean(load.input_tokens), 1.0 if role == "prefill" else _mean(load.output_tokens)
    groups, most = ready.placement.dp, ready.serving.values.max_sequences
    alone = ready.memory(prompt, answer, groups, prompts=role != "decode")
    clients = max(min(alone.sequences, most), 1.0) * groups
    found = ready.memory(prompt, answer, clients, prompts=role != "decode")
    problem = memory_problem(found, ready)
    if problem is not None:
        raise InfeasibleError(problem)
    return found


def from_step_table(ready: Engine, load: Load, most: int) -> StepModel:
    """Step model of a replica that decodes, alone or beside prompts.

    With D(b, c) the decode step at context c, R(n) the time of all operators but attention and head, q tokens a
    sequence and s stages: f(n) = k R(n)/s with the prompts' factor k, g and a from D(b, c) = f(q b) + a(b) + g(b) b c,
    h = k x attention of a mean prompt's chunk over its query-key pairs.

    Args:
        ready: the engine.
        load: mean lengths, speculation and overlap.
        most: largest batch [1].

    Returns:
        The step model.
    """
    table, constants = ready.table, ready.serving.values
    factor, stages = constants.prefill_factor, ready.placement.pp
    batch = np.arange(most + 1.0)
    some, context = np.maximum(batch, 1.0), _mean(load.input_tokens) + 0.5 * _mean(load.output_tokens)
    near, far = (decode_step_s(table, constants, some, k * context, load) for k in (_NEAR, _FAR))
    slope = np.maximum((far - near) / (some * (_FAR - _NEAR) * context), 0.0)
    drafts = round(load.drafts)
    base = factor * table.rest_s(some * (1 + drafts)) / stages
    launch = near - slope * some * _NEAR * context - base
    # A step without decodes has the head of one prompt; one that could have had them also the host's work.
    alone = factor * float(table.logits_s(1.0)) / stages
    launch[0] = max(alone + (constants.step_s if constants.mixed > 0.5 else 0.0), 0.0)
    return StepModel(
        tokens=table.grid,
        step_s=factor * table.rest / stages,
        batch=batch,
        read_s=slope,
        launch_s=launch,
        pair_s=_pair_s(ready, load),
        prompt_step_s=constants.prefill_step_s / stages,
        groups=ready.placement.dp,
        own_s=factor * (table.rest - _shared_s(ready)) / stages if ready.placement.dp > 1 else None,
        late_steps=delivery_steps(constants),
        advance=round(load.tokens_per_step * 1024.0) / 1024.0 if drafts else 1.0,
        drafts=drafts,
    )


def prompt_steps(ready: Engine, load: Load, question: Point) -> StepModel:
    """Step model of a replica that only computes prompts, as `pools.prefill_pool` times them.

    Args:
        ready: the engine, of phase "prefill".
        load: mean lengths.
        question: options of the pool.
    """
    constants, groups, stages = ready.serving.values, ready.placement.dp, ready.placement.pp
    pair_s = _pair_s(ready, load)
    options = {name: value for name, value in question.options.items() if name != "prefix_hit_share"}
    host = (constants.step_s + constants.prefill_step_s) / stages
    prompt = min(max(round(_mean(load.input_tokens)), 16), int(STEP_TOKENS))
    counts = np.arange(1.0, STEP_TOKENS // prompt + 1.0)
    sizes = [(1.0, float(size)) for size in np.unique(np.geomspace(16.0, prompt, 16).round())[:-1]]
    sizes += [(float(count), float(prompt)) for count in np.unique(np.geomspace(1.0, counts[-1], 12).round())]
    rest = []
    for count, size in sizes:
        time = prefill_pool(ready, groups * count, size, options).interval_s
        rest.append(max(time - host - pair_s * count * 0.5 * size * (size + 1.0), 0.0))
    step_s = np.maximum.accumulate(np.array([rest[0], *rest]))
    return StepModel(
        tokens=np.array([0.0, *(count * size * groups for count, size in sizes)]),
        step_s=step_s,
        batch=np.array([0.0]),
        read_s=np.array([0.0]),
        pair_s=pair_s,
        prompt_step_s=host,
        groups=groups,
        own_s=step_s if groups > 1 else None,
    )


def _shared_s(ready: Engine) -> Array:
    """Time of the experts, which all attention groups share, on the grid of the step table [s]."""
    table = ready.table
    return np.asarray(
        table.times_s[table.names.index("experts")] if "experts" in table.names else 0.0 * table.rest
    )


def _pair_s(ready: Engine, load: Load) -> float:
    """Time of a query-key pair in a chunk of a mean prompt on its attention group [s]."""
    constants, groups = ready.serving.values, ready.placement.dp
    prompt = _mean(load.input_tokens)
    cached = prompt * _mean(load.cached_share)
    new = max(prompt - cached, 1.0)
    chunks = np.ceil(new / constants.chunk_tokens) if constants.chunk_tokens > 0.0 else 1.0
    size = new / chunks
    before = cached + 0.5 * (chunks - 1.0) * size
    time = float(ready.table.prefill_attention_s(groups, size, before))
    pairs = size * (before + 0.5 * (size + 1.0))
    return constants.prefill_factor * time / pairs / ready.placement.pp


@dataclass(frozen=True, slots=True)
class StepActivity:
    """Shares of a rank's peaks in steps of so many tokens.

    Attributes:
        tokens: tokens of a step [token].
        compute: operations over the peak [1].
        memory: bytes over the memory bandwidth [1].
        link: bytes over the scale-up bandwidth [1].
    """

    tokens: Array
    compute: Array
    memory: Array
    link: Array


def step_activity(ready: Engine, question: Point, model: StepModel, role: Role = "both") -> StepActivity:
    """Return how busy the chips are in steps of the model, for power.

    Small steps are decodes at the mean context, large ones prompts of the mean length; between 256 and 2,048 tokens a
    group one goes over into the other (own estimate).

    Args:
        ready: the engine.
        question: mean lengths.
        model: step times.
        role: "prefill" for a pool whose steps are prompts alone.
    """
    load, groups, stages = load_of(question, ready), ready.placement.dp, ready.placement.pp
    tokens = (
        np.unique(np.concatenate([np.geomspace(1.0, 64.0, 7), np.geomspace(96.0, 65536.0, 24)]).round())
        * groups
    )
    prompt = _mean(load.input_tokens)
    cached = prompt * _mean(load.cached_share)
    new = max(prompt - cached, 1.0)
    count = tokens / new
    pairs = tokens * (cached + 0.5 * (new + 1.0))
    prefill_s = model.step_time_s(tokens, 0, 0.0, pairs / groups, np.ones_like(tokens))
    shares = [np.asarray(one) / (prefill_s * stages) for one in prompt_work(ready, count, new, cached)]
    if role != "prefill":
        sequences = tokens / (1 + model.drafts)
        context = prompt + 0.5 * _mean(load.output_tokens)
        decode_s = model.step_time_s(tokens, sequences, sequences * context)
        decode = [
            np.asarray(one) / (decode_s * stages) for one in step_work(ready, tokens, sequences, context)
        ]
        large = np.clip(np.log(tokens / groups / _SMALL) / np.log(_LARGE / _SMALL), 0.0, 1.0)
        shares = [small + (big - small) * large for small, big in zip(decode, shares, strict=True)]
    return StepActivity(tokens, *(np.clip(one, 0.0, 1.0) for one in shares))


def _mean(value: ArrayLike) -> float:
    return float(np.asarray(value, dtype=float).reshape(-1)[0])
