"""A second sample of format 2: groups, limits, lanes, breakers, shared values, machines, timers."""
