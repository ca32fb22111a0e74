"""Reports of a run: a self-contained HTML page with figures drawn as SVG."""

from suanli.report.figures import alone
from suanli.report.page import cost_figure, page, power_figure

__all__ = ["alone", "cost_figure", "page", "power_figure"]
