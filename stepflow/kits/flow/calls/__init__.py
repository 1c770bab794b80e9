"""
The calls of `ctx`, by what they are about, with the types that checkers see.

Each kind of call stands in two modules: `steps` has those that you await, `sync_steps` the same
for plain workflows, where they block. `Context` and `SyncContext` are put together from them.
"""
