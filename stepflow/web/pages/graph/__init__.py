"""
The graph of a run as a picture: pure functions from a graph and its marks to what is drawn.

`ranks.py` gives each node its rank, `order.py` keeps ways from crossing, `place.py` and `lines.py`
give positions, `lay_out.py` puts them together, `draw.py` gives the template numbers and words.
`marks.py` says what a run has done of its graph.
"""
