"""
Lists of runs, a page at a time.

A live run stands where it was submitted, one that has ended where it ended, the newest first. A run
that ends while somebody turns pages moves up, past the place they have reached; so a cursor says
since when ends are news, and the next page begins with those that would have been passed over.
"""

from __future__ import annotations

from stepflow.engine.listing.filters import RunFilter
from stepflow.engine.listing.walk import Page, list_runs

__all__ = ["Page", "RunFilter", "list_runs"]
