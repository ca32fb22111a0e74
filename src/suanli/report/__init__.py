"""Reports of a run: a self-contained HTML page with figures drawn as SVG."""

from suanli.report.page import page

__all__ = ["page"]
