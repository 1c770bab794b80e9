"""`app.machine`: a machine as a workflow of an app."""

from __future__ import annotations

from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import runner_key
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.registered import Registration, mark
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.workflow import Workflow
from stepflow.kits.machine.carry import Carrying, is_resumed
from stepflow.kits.machine.draw import graph_of
from stepflow.kits.machine.machine import Machine


def register_machine(registry: Registry, machine: Machine[Any, Any]) -> None:
    """Check *machine* and register it; raises InvalidMachine, or NameTaken."""
    machine.bind()
    workflow = Workflow(workflow_of(machine), takes_input=True, registry=registry)
    registry.add(
        machine.name, workflow, retry=machine.retry or RetryPolicy(), version=machine.version,
        read=lambda given: given if is_resumed(given) else machine.shape.data.read(given),
    )  # fmt: skip
    mark(workflow.function, Registration(registry, "workflow", machine.name, machine.version))
    mark(machine, Registration(registry, "workflow", machine.name, machine.version, machine.ended))
    registry.graphs[runner_key(machine.name, machine.version)] = graph_of(machine)


def workflow_of(machine: Machine[Any, Any]) -> Any:
    """Make the workflow's function of a machine that is bound."""
    code = machine.code()

    async def carry(ctx: Context, given: Any, _code: Any = code) -> Any:  # its build is made of it
        return await Carrying(ctx, machine).carry(given)

    carry.__name__ = carry.__qualname__ = machine.name
    carry.__doc__ = machine.doc or None
    return carry
