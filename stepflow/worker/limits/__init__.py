"""The part of a worker that looks after limits: timers of lines, and a round."""
