"""`stepflow definition` and `stepflow run`: workflows as data."""
