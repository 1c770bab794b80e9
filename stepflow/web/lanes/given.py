"""What the operations on lanes take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stepflow.engine.lanes.look import MOST_WEIGHT, MOST_WINDOW
from stepflow.web.models import Given, integer


class LaneWeight(Given):
    """The turns that a lane takes for each turn of one with the weight 1; null takes it back."""

    lane: Annotated[str, Field(min_length=1, max_length=64)]
    weight: Annotated[float, Field(gt=0, le=MOST_WEIGHT, allow_inf_nan=False)] | None


class LaneWindow(Given):
    """How many runs of a fair queue stand in its RQ list; null takes it back."""

    size: Annotated[int, Field(ge=1, le=MOST_WINDOW), BeforeValidator(integer)] | None
