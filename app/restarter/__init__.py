"""Restarts containers of one stack when its monitor asks.

It is the only container with the Docker socket, and it uses only the standard library, so that it
is short enough to audit.
"""
