"""The page of a run: why it stands, where its time went, what it was given and what it gave."""

from stepflow.web.pages.run.journal import journal
from stepflow.web.pages.run.now import now
from stepflow.web.pages.run.page import run
from stepflow.web.pages.run.values import value
from stepflow.web.pages.visit import Page

PAGES = (
    Page("/runs/{run_id}", run),
    Page("/runs/{run_id}/journal", journal),
    Page("/runs/{run_id}/now", now),
    Page("/runs/{run_id}/value/{what}", value),
)
__all__ = ["PAGES"]
