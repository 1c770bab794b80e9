"""
Definitions: workflows as data, in YAML or JSON, for people who deploy no code.

A thin driver over `ctx`: every step is made of the flow kit's own calls, so what they promise of
crashes, retries, waits and compensations holds here as well. `model` is what a definition may say,
`check` says what is wrong with one, `carry` goes through its steps, `kinds` do them, and
`definitions` is what an app knows of all this.
"""

from stepflow.kits.definition.kinds.base import At, Flow, KindInput, Work

__all__ = ["At", "Flow", "KindInput", "Work"]
