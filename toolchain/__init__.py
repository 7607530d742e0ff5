"""Sets a machine up for the stack, brings the dev stack up and down, and runs the tests.

It uses the standard library only, as it runs before anything is installed.
"""
