"""Lists of runs: their order, their pages, their tags, and what the version before has listed."""
