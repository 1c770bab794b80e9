"""The only room that knows a key's name or a script's arguments: every function here makes a Call, links carry it out."""
