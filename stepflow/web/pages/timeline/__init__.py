"""
The timeline of a run: pure functions from what was read to what is drawn.

`workflow.py` and `runner.py` make rows, `bundles.py` keeps them few, `scale.py` folds idle time,
`lay_out.py` puts it together, `draw.py` gives the template numbers and words.
"""
