"""What an app knows that a definition may name, and what it allows one to do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.tools import Tool
from stepflow.settings import Settings


@dataclass(slots=True)
class Known:
    """The kinds, tools, runners and definitions of an app, and what its workers allow."""

    settings: Settings
    #: the names of the app's runners and workflows
    runners: Callable[[], Collection[str]] = tuple
    #: by name; objects of `kinds.base.Kind`
    kinds: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    #: the newest version of each, by name
    definitions: dict[str, Definition] = field(default_factory=dict)
    #: runners that other apps have
    foreign: set[str] = field(default_factory=set)
    #: environment variables that steps may read
    env: set[str] = field(default_factory=set)
    #: what a worker of this app can do beyond others
    capabilities: set[str] = field(default_factory=set)
    #: whether it runs scripts
    has_scripts: bool = False
    #: whether names of runners and tools can be looked up: an app is at hand
    is_app: bool = True
