"""Files of other tools, read and written."""

from suanli.interop.hf import ImportReport, import_hf

__all__ = ["ImportReport", "import_hf"]
