"""The `./dev` command: sets up a machine, runs the dev stack, and runs the checks and tests.

It uses the standard library only, since it runs before any dependency is installed.
"""
