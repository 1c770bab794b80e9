"""What a run is and what may become of it: pure, stdlib only; no clock, no random, no Redis."""
