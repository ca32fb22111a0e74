"""What a user writes: the scenario's schema, reading it from TOML with `extends` and `--set`, and comparing two."""

from suanli.scenario.checks import check
from suanli.scenario.read import load, load_variants, parse
from suanli.scenario.schema import Scenario

__all__ = ["Scenario", "check", "load", "load_variants", "parse"]
