"""`stepflow demo`: a pipeline on a real server, one worker of it killed."""
