"""All kinds that stepflow brings along."""

from __future__ import annotations

from stepflow.kits.definition.kinds.agent import Agent
from stepflow.kits.definition.kinds.base import Kind
from stepflow.kits.definition.kinds.child import Run
from stepflow.kits.definition.kinds.condition import Condition
from stepflow.kits.definition.kinds.http import Http
from stepflow.kits.definition.kinds.map import Map
from stepflow.kits.definition.kinds.script import Script
from stepflow.kits.definition.kinds.tool import ToolKind
from stepflow.kits.definition.kinds.waits import Checkpoint, Sleep, Wait
from stepflow.kits.definition.kinds.words import Emit, Reply


def every_kind() -> list[Kind]:
    """Give one of each."""
    return [
        Http(), Script(), ToolKind(), Run(), Condition(), Wait(), Sleep(), Emit(), Reply(), Map(),
        Checkpoint(), Agent(),
    ]  # fmt: skip
