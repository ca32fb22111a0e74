"""Demand: tokens per day into requests, mean rates and peaks."""

from suanli.demand.tokens import TokenDemand, token_demand

__all__ = ["TokenDemand", "token_demand"]
