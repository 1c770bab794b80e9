"""
The kinds of steps, one class each.

`base` has what a kind is: `Work` is done in one durable step, `Flow` is made of calls of `ctx`.
"""
