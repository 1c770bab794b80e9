"""The indexes of runs that lists read, and those of the version before."""
