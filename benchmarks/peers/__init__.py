"""The peers: a script each, run in an environment that has the peer but not stepflow."""
