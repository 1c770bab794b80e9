"""Graphs of runners that have one: workers write them at their start, the dashboard draws them."""

from __future__ import annotations

import logging
from typing import Any

from stepflow.core.graphs import Graph
from stepflow.core.graphs.steps import graph_of_steps
from stepflow.core.ids import runner_key
from stepflow.core.run import RunStatus
from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.errors import StepflowError
from stepflow.store.graphs import load_graph, save_graphs
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.worker")


async def announce_graphs(registry: Registry, env: Env) -> None:
    """Write the graphs of the code at hand; nothing for an app that has none."""
    if registry.graphs:
        packed = {
            key: pack(graph.to_plain(), in_clear=True) for key, graph in registry.graphs.items()
        }
        await save_graphs(env.keys, packed)


def _of_definition(payload: Any) -> Graph | None:
    """Make the graph of a run that was given its workflow as data."""
    try:
        definition = payload["definition"]
        return graph_of_steps(definition["steps"], str(definition.get("description", "")))
    except (TypeError, LookupError, AttributeError):
        return None


async def graph_of(run: RunStatus, env: Env) -> Graph | None:
    """Read the graph of a run's runner; None where there is none, or none that can be read."""
    packed = await load_graph(env.keys, runner_key(run.runner, run.version))
    if packed is None:
        return _of_definition(run.payload)
    try:
        return Graph.of_plain(unpack(packed))
    except (StepflowError, ValueError) as fault:
        log.warning("runner=%s has a graph that cannot be read: %s", run.runner, fault)
        return None
