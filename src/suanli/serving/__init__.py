"""Serving: tokens per second and latency of a deployment, and the fleet that a day of traffic needs."""

from suanli.serving.accelerator import Accelerator, accelerator
from suanli.serving.disaggregated import Disaggregated, disaggregated
from suanli.serving.estimate import estimate, estimates
from suanli.serving.fleet import FleetSize, fleet_size
from suanli.serving.kernels import Coefficients
from suanli.serving.latency import ttft_s
from suanli.serving.point import OPTIONS, Band, Estimate, Point, Utilisation
from suanli.serving.steady import Decode, Engine, Layout, Prefill, Work, decode, prefill
from suanli.serving.work import (
    Exchange,
    Formats,
    decode_work,
    exchange,
    formats_for,
    layout_problems,
    prefill_work,
)

__all__ = [
    "OPTIONS",
    "Accelerator",
    "Band",
    "Coefficients",
    "Decode",
    "Disaggregated",
    "Engine",
    "Estimate",
    "Exchange",
    "FleetSize",
    "Formats",
    "Layout",
    "Point",
    "Prefill",
    "Utilisation",
    "Work",
    "accelerator",
    "decode",
    "decode_work",
    "disaggregated",
    "estimate",
    "estimates",
    "exchange",
    "fleet_size",
    "formats_for",
    "layout_problems",
    "prefill",
    "prefill_work",
    "ttft_s",
]
