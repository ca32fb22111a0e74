"""Serving: tokens per second and latency of a deployment, and the fleet that a day of traffic needs."""

from suanli.serving.fleet import FleetSize, fleet_size
from suanli.serving.latency import ttft_s
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
    "Decode",
    "Engine",
    "Exchange",
    "FleetSize",
    "Formats",
    "Layout",
    "Prefill",
    "Work",
    "decode",
    "decode_work",
    "exchange",
    "fleet_size",
    "formats_for",
    "layout_problems",
    "prefill",
    "prefill_work",
    "ttft_s",
]
