"""Site: what a year costs and emits where the fleet stands."""

from suanli.site.year import SECONDS_PER_YEAR, SiteYear, site_year

__all__ = ["SECONDS_PER_YEAR", "SiteYear", "site_year"]
