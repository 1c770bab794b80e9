"""RQ's side of a worker: the only room that imports rq."""
