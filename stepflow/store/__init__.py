"""
Redis: the only package that knows the names of keys and the arguments of scripts.

Its law: a function here makes a Call and sends nothing; a connection carries it out.
"""
