"""One call for one deployment: `suanli.estimate("llama-3.1-70b", "h100", n_chips=4, concurrency=64)`."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any

from suanli.catalog import Catalog
from suanli.errors import InputError, close_matches
from suanli.study.deployment.remarks import with_remedy
from suanli.study.deployment.request import Answer, Request
from suanli.study.deployment.solve import Deployments


def estimate(model: str, chip: str, *, catalog: Catalog | None = None, **conditions: Any) -> Answer:
    """Estimate one deployment: TTFT, TPOT, tokens/s, power and money, each with its 90 % band.

    Models, chips, prices and step tables are kept between calls with the same catalogue.

    Args:
        model: catalogue id, alias, Hugging Face name or path of a config.json.
        chip: catalogue id, alias or a hardware name in use ("h200_sxm").
        catalog: where names and facts come from; the package's own where None.
        conditions: other fields of `Request`: n_chips, tp, pp, dp, ep [1]; weights_dtype, kv_dtype; framework; phase;
            isl, osl [token]; concurrency [1]; options; power_limit_w [W].

    Returns:
        The answer; a question without one has a status and a reason.

    Raises:
        InputError: a condition that does not exist.

    Example:
        >>> import suanli
        >>> answer = suanli.estimate("llama-3.1-8b", "nvidia-h100-sxm", concurrency=8)
        >>> answer.status, round(answer.quantities["tpot_s"].value * 1e3)
        ('ok', 7)
    """
    known = [entry.name for entry in fields(Request)][2:]
    wrong = [name for name in conditions if name not in known]
    if wrong:
        near = close_matches(wrong[0], known, 1)
        hint = f' Did you mean "{near[0]}"?' if near else f" Known: {', '.join(known)}."
        raise InputError(f"{wrong[0]}: no such condition.{hint}")
    deployments, request = _deployments(catalog), Request(model, chip, **conditions)
    return with_remedy(deployments, request, deployments.answer(request))


@lru_cache(maxsize=8)
def _deployments(catalog: Catalog | None) -> Deployments:
    return Deployments(catalog)
