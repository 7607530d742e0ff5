"""Failures that a user meets, and the exit code of each.

| code | name               | meaning                                                             |
|------|--------------------|---------------------------------------------------------------------|
| 2    | BAD_SETTINGS       | a setting is missing, unknown or has a value that is not allowed    |
| 10   | MODEL_MISSING      | the file that MODEL_PATH names is not there                         |
| 11   | NOT_A_MODEL        | the file is not a GGUF file that llama-server could read            |
| 12   | WRONG_DIGEST       | the file's SHA-256 is not the one that the settings ask for         |
| 13   | ACCESS_DENIED      | the hub refuses: gated or private model, missing or wrong token     |
| 14   | NOT_ON_HUB         | the hub knows no such repository, revision or file                  |
| 15   | HUB_UNREACHABLE    | no network, or the hub kept failing after several attempts          |
| 16   | NO_SPACE           | the models directory has no room for the file                       |
| 17   | MODELS_DIR_UNUSABLE| the models directory cannot be written or read                      |
| 18   | NO_ENGINE          | llama-server itself cannot be started                               |
| 70   | UNEXPECTED         | anything else: a fault of this program, logged with its traceback   |
| 143  | STOPPED            | SIGTERM arrived while the model was being fetched                   |

Once llama-server runs, the exit code is its own, and 0 when the container was asked to stop.
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
    NO_ENGINE = 18
    UNEXPECTED = 70
    STOPPED = 143


class Failure(Exception):
    """Ends the start: one log line with `error` and `what_to_do`, then the exit code."""

    def __init__(self, code: ExitCode, error: str, *, what_to_do: str) -> None:
        super().__init__(error)
        self.code = code
        self.error = error
        self.what_to_do = what_to_do
