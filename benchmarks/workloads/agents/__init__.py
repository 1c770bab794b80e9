"""Agents: what a call costs, how soon a token is read and a stop arrives."""
