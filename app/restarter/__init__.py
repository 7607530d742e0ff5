"""Restarts containers of one stack when its monitor asks. Holds the Docker socket, and does
nothing else with it, so that no other container needs it.

Only the standard library is used: what holds the socket should be short enough to be read.
"""
