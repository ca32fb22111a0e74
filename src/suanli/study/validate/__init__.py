"""Predictions against published measurements: read, predict, score, and a page that shows it."""

from suanli.study.validate.families import FAMILIES, Skipped
from suanli.study.validate.measured import Flag, Measurement, data_folder
from suanli.study.validate.reader import read

__all__ = ["FAMILIES", "Flag", "Measurement", "Skipped", "data_folder", "read"]
