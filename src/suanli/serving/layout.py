"""How a deployment spreads over chips: what is possible, and what is taken where the user leaves it open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from suanli.errors import InputError, ShortOfMemoryError
from suanli.llm import Model, Sharding, check_sharding
from suanli.serving.accelerator import Accelerator

_SERVER = 8


@dataclass(frozen=True, slots=True)
class Placement:
    """Parallel layout of one replica, and how many replicas the chips hold.

    Attributes:
        tp: tensor parallelism of attention and dense parts [1].
        pp: pipeline stages [1].
        dp: attention groups that share the experts; 1 for dense models, whose groups are replicas [1].
        ep: expert parallelism [1].
        replicas: replicas that run side by side [1].
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    replicas: int = 1

    @property
    def chips(self) -> int:
        """Chips of one replica [1]."""
        return self.tp * self.pp * self.dp

    @property
    def sharding(self) -> Sharding:
        """Layout of one pipeline stage as the operators need it."""
        return Sharding(self.tp, self.dp, self.ep)


def place(
    model: Model,
    n_chips: int,
    tp: int | None = None,
    pp: int | None = None,
    dp: int | None = None,
    ep: int | None = None,
) -> Placement:
    """Complete a layout: pp 1 unless given, tp and dp fill the chips, ep 1 unless attention groups share the experts.

    Args:
        model: the model.
        n_chips: chips of the deployment, at least 1 [1].
        tp: tensor parallelism; where neither tp nor dp is given, all chips up to what the heads allow.
        pp: pipeline stages.
        dp: data parallelism; replicas of a dense model, attention groups that share the experts of a sparse one.
        ep: expert parallelism; tp x dp where dp > 1, else 1.

    Returns:
        The layout.

    Raises:
        InputError: not whole numbers of at least 1, or not a layout of that many chips or of that model.
    """
    for name, value in (("n_chips", n_chips), ("tp", tp), ("pp", pp), ("dp", dp), ("ep", ep)):
        if value is not None and (value != int(value) or value < 1):
            raise InputError(f"{name} must be a whole number of at least 1, got {value}")
    stages = pp or 1
    if stages > model.layer_count:
        raise InputError(f"pp {stages} is above the {model.layer_count} layers of {model.id}")
    if n_chips % stages:
        raise InputError(f"pp {stages} does not divide {n_chips} chips")
    left = n_chips // stages
    sparse = model.experts_per_layer > 0
    if tp is None and dp is None:
        tp = _largest_tp(model, left)
    if tp is None:
        if left % (dp or 1):
            raise InputError(f"dp {dp} does not divide {left} chips")
        tp = left // (dp or 1)
    if left % tp:
        raise InputError(f"tp {tp} x pp {stages} does not divide {n_chips} chips")
    groups = left // tp
    shared = 1
    if sparse:
        shared = dp or (groups if ep is not None and ep > tp else 1)
    if dp is not None and groups % dp:
        raise InputError(f"tp {tp} x pp {stages} x dp {dp} does not divide {n_chips} chips")
    if ep is None:
        ep = tp * shared if sparse and shared > 1 else 1
    found = Placement(tp, stages, shared, ep, groups // shared)
    check_sharding(model, found.sharding)
    return found


def _largest_tp(model: Model, chips: int) -> int:
    """The largest tensor parallelism up to 8 that divides chips and heads."""
    for tp in (8, 4, 2):
        if chips % tp == 0:
            try:
                check_sharding(model, Sharding(tp))
            except InputError:
                continue
            return tp
    return 1


def placements(model: Model, n_chips: int) -> Iterator[Placement]:
    """Yield every legal layout of up to n_chips chips a replica: tp, pp, attention groups and experts in powers of 2.

    Args:
        model: the model.
        n_chips: chips [1].
    """
    sparse = model.experts_per_layer > 0
    powers = [2**i for i in range(12) if 2**i <= n_chips]
    for pp in powers:
        for tp in (tp for tp in powers if tp * pp <= n_chips):
            for dp in (dp for dp in powers if tp * pp * dp <= n_chips and (sparse or dp == 1)):
                for ep in sorted({1, tp * dp} if sparse else {1}):
                    if n_chips % (tp * pp * dp) == 0:
                        try:
                            yield place(model, n_chips, tp, pp, dp if sparse else None, ep)
                        except InputError:
                            continue


def default_placement(
    model: Model, chip: Accelerator, n_chips: int, fits: Callable[[Placement], bool], tokens: float
) -> Placement:
    """The layout that is taken where a user names chips only: the first of these that holds the model.

    Up to 8 chips of a scale-up domain: tensor parallelism over all of them. More: replicas of 8; for latent attention,
    whose cache tensor parallelism would repeat on every chip, attention groups of one chip that share the experts.
    Then attention groups of 8 and of one chip that share the experts, pipeline stages, and whatever else fits.

    Args:
        model: the model.
        chip: the accelerator.
        n_chips: chips of the deployment [1].
        fits: whether a layout leaves room for at least one request.
        tokens: length of that request, for the message [token].

    Raises:
        ShortOfMemoryError: no layout of these chips holds the model.
    """
    sparse = model.experts_per_layer > 0
    wide = (1, 1, n_chips, n_chips)
    tried: list[tuple[int | None, int | None, int | None, int | None]] = [(None, None, None, None)]
    if sparse and n_chips > _SERVER:
        servers = (_SERVER, 1, n_chips // _SERVER, n_chips)
        tried = [wide, *tried, servers] if "mla" in model.attention_kinds else [*tried, servers, wide]
    tried += [(None, pp, None, None) for pp in (2, 4, 8, 16) if n_chips % pp == 0]
    for tp, pp, dp, ep in tried:
        try:
            found = place(model, n_chips, tp, pp, dp, ep)
        except InputError:
            continue
        if found.tp <= max(chip.domain, 1) and fits(found):
            return found
    for found in sorted(placements(model, n_chips), key=lambda one: (one.pp, one.chips, one.dp)):
        if fits(found):
            return found
    raise ShortOfMemoryError(
        f"{model.id} with a request of {tokens:.0f} tokens does not fit on {n_chips} x {chip.id} in any layout"
    )
