"""The verbs of operators: pause, run-now, delete, queue."""
