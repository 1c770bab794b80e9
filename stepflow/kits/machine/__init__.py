"""
Machines: a run as a typed state machine, whose graph is checked before it runs.

A thin layer over `ctx`: every state is made of the flow kit's own calls, so what they promise of
crashes, retries, compensations and changed code holds for machines as well. `machine` is the public
face, `check` says what is wrong with a machine, `forms` carries out a state, `carry` goes from
state to state.
"""

from stepflow.kits.machine.context import More, StateContext
from stepflow.kits.machine.machine import Machine

__all__ = ["Machine", "More", "StateContext"]
