"""The workloads W1 to W8 and their siblings, a program each."""
