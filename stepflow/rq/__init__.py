"""RQ's side of a worker: the package that imports rq."""
