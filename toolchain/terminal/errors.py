"""The error that ends a command with a message instead of a traceback."""


class SetupError(Exception):
    """A problem and what the user can do about it."""
