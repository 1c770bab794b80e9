"""What the verbs of both clients stand on: something that carries out a plan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from stepflow.engine.env import Env
from stepflow.store.calls import Plan

T = TypeVar("T")


class Doing(ABC):
    """Carries out plans; `Client` is one."""

    env: Env

    @abstractmethod
    def _do(self, plan: Plan[T]) -> T:
        """Carry out *plan* and return its result."""


class AsyncDoing(ABC):
    """Carries out plans; `AsyncClient` is one."""

    env: Env

    @abstractmethod
    async def _do(self, plan: Plan[T]) -> T:
        """Carry out *plan* and return its result."""

    @abstractmethod
    async def _do_aside(self, plan: Plan[T]) -> T:
        """Carry out a plan that blocks where large values are in a store: in a thread then."""
