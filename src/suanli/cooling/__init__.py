"""Cooling: heat to the outdoors hour by hour, and the facility's year with PUE and WUE."""

from suanli.cooling.climate import Hours, representative_hours
from suanli.cooling.equipment import Chiller, Rejection, Terminal, chiller_power_w, cop
from suanli.cooling.plant import Loop, LoopFlow, Plant, PlantFlow, loop_flow, plant_flow
from suanli.cooling.pue import FacilityYear, facility_year, over_hours
from suanli.cooling.systems import DESIGNS, Design, facts_needed, find_design, plant_from_facts

__all__ = [
    "DESIGNS",
    "Chiller",
    "Design",
    "FacilityYear",
    "Hours",
    "Loop",
    "LoopFlow",
    "Plant",
    "PlantFlow",
    "Rejection",
    "Terminal",
    "chiller_power_w",
    "cop",
    "facility_year",
    "facts_needed",
    "find_design",
    "loop_flow",
    "over_hours",
    "plant_flow",
    "plant_from_facts",
    "representative_hours",
]
