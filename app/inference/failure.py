"""Errors that end the start of the inference container, and the exit code of each.

| code | name               | meaning                                                             |
|------|--------------------|---------------------------------------------------------------------|
| 2    | BAD_SETTINGS       | a setting is missing, unknown or has a value that is not allowed    |
| 10   | MODEL_MISSING      | a local file of the model does not exist                            |
| 11   | NOT_A_MODEL        | a file is not a GGUF file that llama-server could read              |
| 12   | WRONG_DIGEST       | a file's SHA-256 is not the one that the settings ask for           |
| 13   | ACCESS_DENIED      | the hub denies access: gated or private, missing or wrong token     |
| 14   | NOT_ON_HUB         | the hub does not have this repository, revision or file             |
| 15   | HUB_UNREACHABLE    | no network, or the hub failed in several attempts                   |
| 16   | NO_SPACE           | not enough free space in the models directory                       |
| 17   | MODELS_DIR_UNUSABLE| the models directory cannot be written or read                      |
| 18   | CANNOT_START       | llama-server cannot be started                                      |
| 70   | UNEXPECTED         | a bug in this program, logged with its traceback                    |
| 143  | STOPPED            | SIGTERM arrived during the download                                 |

Once llama-server runs, its exit code is the exit code, or 0 after SIGTERM.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the inference container; the module's docstring explains each."""

    BAD_SETTINGS = 2
    MODEL_MISSING = 10
    NOT_A_MODEL = 11
    WRONG_DIGEST = 12
    ACCESS_DENIED = 13
    NOT_ON_HUB = 14
    HUB_UNREACHABLE = 15
    NO_SPACE = 16
    MODELS_DIR_UNUSABLE = 17
    CANNOT_START = 18
    UNEXPECTED = 70
    STOPPED = 143


class StartupError(Exception):
    """Ends the start with one log line, which has `error` and `what_to_do`, and an exit code."""

    def __init__(self, code: ExitCode, error: str, *, what_to_do: str) -> None:
        super().__init__(error)
        self.code = code
        self.error = error
        self.what_to_do = what_to_do
