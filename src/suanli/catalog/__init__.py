"""The catalogue: facts about chips, systems, links, power, cooling, sites, prices and models, each with its source."""

from suanli.catalog.fact import Fact
from suanli.catalog.load import Catalog
from suanli.catalog.schema import TABLES, Parameter, schema

__all__ = ["TABLES", "Catalog", "Fact", "Parameter", "schema"]
