"""Conditions of InferSim's measurements, which its table leaves to the example scripts of its simulator."""

from __future__ import annotations

# (model, phase) -> chips, prompt, output, sequences of the whole deployment; prefill takes 16,384 tokens a GPU.
_RUNS = {
    ("qwen3-30b-a3b", "prefill"): (1, 4096.0, 1.0, 4.0),
    ("qwen3-30b-a3b", "decode"): (4, 4096.0, 2048.0, 400.0),
    ("qwen3-8b", "prefill"): (1, 4096.0, 1.0, 4.0),
    ("qwen3-8b", "decode"): (1, 4096.0, 2048.0, 64.0),
}


def infersim_run(model: str, phase: str) -> dict[str, object] | None:
    """Return the fields of a measurement that the example scripts state, None where no script is of that model.

    Attention runs data parallel and experts in parallel over all chips.

    Args:
        model: catalogue id.
        phase: "prefill" or "decode".

    Reference: github.com/alibaba/InferSim: example/qwen3-30B-A3B, example/qwen3-8B, README (decode of
    Qwen3-30B-A3B), defaults of main.py.
    """
    run = _RUNS.get((model, phase))
    if run is None:
        return None
    chips, isl, osl, sequences = run
    layout = {"n_chips": chips, "tp": 1, "dp": chips, "ep": chips}
    return {**layout, "isl": isl, "osl": osl, "concurrency": sequences}
