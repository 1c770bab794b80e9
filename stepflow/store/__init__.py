"""
The only room that knows a key's name or a script's arguments.

Every function here makes a Call, links carry it out.
"""
