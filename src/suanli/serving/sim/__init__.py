"""Event simulator: requests one by one through replicas, pools, caches and failures."""

from suanli.serving.sim.cluster import Autoscaling, Cluster, Failures, Replica
from suanli.serving.sim.model import StepModel
from suanli.serving.sim.outcome import STATUS_NAMES, Outcome, Series
from suanli.serving.sim.simulate import simulate

__all__ = [
    "STATUS_NAMES",
    "Autoscaling",
    "Cluster",
    "Failures",
    "Outcome",
    "Replica",
    "Series",
    "StepModel",
    "simulate",
]
