"""The runtimes that stand behind a workflow: a worker's, the replayer's, the tests' in memory."""

import inspect

import pytest

from stepflow.kits.flow.replayer import RecordedRuntime
from stepflow.kits.flow.runtime import ActivationWatch, FlowRuntime
from stepflow.worker.claimed_run import InboxWatch
from stepflow.worker.runtime.step_runtime import StepRuntime
from tests.kits.memory import FamilyRuntime

MEMBERS = [name for name in vars(FlowRuntime) if not name.startswith("_")]
METHODS = [name for name in MEMBERS if inspect.isfunction(getattr(FlowRuntime, name, None))]
#: set in the constructor
OWN = {"run", "policy", "cancel", "watch", "observers"}


def parameters(owner, method):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(getattr(owner, method)).parameters.values()
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("runtime", [StepRuntime, RecordedRuntime, FamilyRuntime])
def test_a_runtime_takes_what_the_protocol_says(runtime, method):
    if getattr(runtime, method) is not RecordedRuntime._refuse:
        assert parameters(runtime, method) == parameters(FlowRuntime, method)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("runtime", [StepRuntime, RecordedRuntime, FamilyRuntime])
def test_a_runtime_has_all_that_the_protocol_says(runtime, member):
    assert hasattr(runtime, member) or (member in OWN and runtime is not StepRuntime)


@pytest.mark.parametrize("member", ActivationWatch.__annotations__)
@pytest.mark.parametrize("watch", [InboxWatch(0), RecordedRuntime, FamilyRuntime()])
def test_what_a_workflow_sets_can_be_set(watch, member):
    setattr(watch, member, getattr(watch, member))
