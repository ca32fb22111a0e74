"""Serving: tokens per second and latency of a deployment, and the fleet that a day of traffic needs."""

from suanli.serving.accelerator import Accelerator, accelerator
from suanli.serving.disaggregated import Disaggregated, disaggregated
from suanli.serving.estimate import estimate, estimates
from suanli.serving.fleet import FleetSize, fleet_size
from suanli.serving.kernels import Coefficients
from suanli.serving.latency import ttft_s
from suanli.serving.point import OPTIONS, Band, Estimate, Point, Utilisation
from suanli.serving.work import Exchange, Formats, Layout, exchange, formats_for, layout_problems

__all__ = [
    "OPTIONS",
    "Accelerator",
    "Band",
    "Coefficients",
    "Disaggregated",
    "Estimate",
    "Exchange",
    "FleetSize",
    "Formats",
    "Layout",
    "Point",
    "Utilisation",
    "accelerator",
    "disaggregated",
    "estimate",
    "estimates",
    "exchange",
    "fleet_size",
    "formats_for",
    "layout_problems",
    "ttft_s",
]
