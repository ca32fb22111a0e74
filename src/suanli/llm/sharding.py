"""How one replica spreads a layer over chips: tensor, attention-data and expert parallelism."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import InputError
from suanli.llm.model import Model
from suanli.llm.parts import Attention, Linear


@dataclass(frozen=True, slots=True)
class Sharding:
    """Parallel layout of one pipeline stage of a replica.

    Attributes:
        tp: chips that share the attention and dense FFN of a token [1].
        dp_attention: groups of `tp` chips that each attend to other sequences; they share the experts [1].
        ep: groups that hold different experts; each expert is cut over the `expert_tp` chips of its group
            [1].
    """

    tp: int = 1
    dp_attention: int = 1
    ep: int = 1

    @property
    def chips(self) -> int:
        """Chips of the stage: tp x dp_attention [1]."""
        return self.tp * self.dp_attention

    @property
    def expert_tp(self) -> int:
        """Chips that share one expert: chips / ep [1]."""
        return self.chips // self.ep


SINGLE = Sharding()


def check_sharding(model: Model, sharding: Sharding) -> None:
    """Check that a layout is possible for a model.

    Raises:
        InputError: tp does not divide the heads, ep exceeds or does not divide the experts, ep does not
            divide the
            chips; all problems, one line each.
    """
    problems = [
        f"{name} must be a whole number of at least 1, got {value}"
        for name, value in (("tp", sharding.tp), ("dp_attention", sharding.dp_attention), ("ep", sharding.ep))
        if value != int(value) or value < 1
    ]
    if problems:
        raise InputError("\n".join(problems))
    for heads in sorted({group.mixer.heads for group in model.layers if group.mixer}):
        if heads % sharding.tp:
            problems.append(f"tp {sharding.tp} does not divide the {heads} heads of {model.id}")
    kv_heads = {
        g.mixer.kv_heads for g in model.layers if isinstance(g.mixer, Attention) and g.mixer.kind == "gqa"
    }
    for heads in sorted(kv_heads):
        if heads % sharding.tp and sharding.tp % heads:
            problems.append(
                f"tp {sharding.tp} and the {heads} KV heads of {model.id} do not divide one another"
            )
    experts = model.experts_per_layer
    if sharding.ep > 1 and (not experts or sharding.ep > experts):
        problems.append(f"ep {sharding.ep} is above the {experts} experts of {model.id}")
    elif sharding.ep > 1 and experts % sharding.ep:
        problems.append(f"ep {sharding.ep} does not divide the {experts} experts of {model.id}")
    if sharding.chips % sharding.ep:
        problems.append(f"ep {sharding.ep} does not divide tp x dp_attention = {sharding.chips} chips")
    if problems:
        raise InputError("\n".join(problems))


def shard(linear: Linear, ranks: int) -> Linear:
    """The part of a product that one of `ranks` chips holds.

    Units of the cut side go to ranks whole, rounded up; fewer units than ranks are repeated, so that KV heads
    can be
    fewer than chips. Row-parallel biases are added once, so every rank keeps them.

    Args:
        linear: the product.
        ranks: chips it is cut over [1].

    Returns:
        The local product.
    """
    if ranks == 1 or linear.cut == "none":
        return linear
    width = sum(-(-units // ranks) * each for units, each in linear.pieces)
    if linear.cut == "n":
        bias = -(-linear.bias * width // linear.n) if linear.bias else 0
        return Linear(linear.name, linear.k, width, bias, copies=linear.copies, kept_wide=linear.kept_wide)
    if linear.cut == "k":
        return Linear(
            linear.name, width, linear.n, linear.bias, copies=linear.copies, kept_wide=linear.kept_wide
        )
    return Linear(linear.name, linear.k, linear.n, linear.bias, copies=width, kept_wide=linear.kept_wide)
