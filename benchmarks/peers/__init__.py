"""
The peers: a script each, carried out by an environment that has the peer and not stepflow; standard
library besides.
"""
