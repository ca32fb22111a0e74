"""Studies over many evaluations: comparison of runs, calibration on measured data."""
