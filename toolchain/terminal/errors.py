"""What ends a command with a plain message instead of a traceback."""


class SetupError(Exception):
    """Says what is wrong and what the person can do about it."""
