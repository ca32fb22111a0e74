"""Predictions against published measurements: read, predict, score, and a page that shows it."""

from suanli.study.validate import families
from suanli.study.validate.families import Skipped
from suanli.study.validate.measured import Flag, Measurement, data_folder
from suanli.study.validate.reader import read
from suanli.study.validate.strangers import JUDGED_ONLY

# Every family that can be compared with: those of the measured table, then those that only judge.
FAMILIES = (*families.FAMILIES, *JUDGED_ONLY)

__all__ = ["FAMILIES", "JUDGED_ONLY", "Flag", "Measurement", "Skipped", "data_folder", "read"]
