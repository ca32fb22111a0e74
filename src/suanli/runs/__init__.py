"""Run folders, named by the hash of their inputs: the same inputs give the same folder."""

from suanli.runs.folder import find_run, write_run

__all__ = ["find_run", "write_run"]
