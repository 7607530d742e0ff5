"""Entry point of the inference container: reads settings, prepares the model, runs llama-server."""

import functools
import os
import signal
import sys
from types import FrameType

from app.inference.failure import ExitCode, StartupError
from app.inference.llama.llama_server import become_llama_server
from app.inference.llama.router import become_router
from app.inference.model.hub import Hub, route_library_logs, trust_authorities
from app.inference.model.model import ReadyFiles, obtain_files
from app.inference.settings import (
    ContainerRole,
    ModelSettings,
    RouterSettings,
    Settings,
    load_settings,
)
from app.inference.startup_status import StartupStatus
from app.shared.json_log import Log, log_to
from app.shared.settings_file import SettingsError

log = Log(__name__)


def start() -> None:
    """Becomes llama-server, unless it only fetches; raises SettingsError or StartupError."""
    settings, content = load_settings(os.environ)
    if settings.extra_ca_file is not None:
        trust_authorities(settings.extra_ca_file)
    models = content.models if isinstance(content, RouterSettings) else (content,)
    with StartupStatus(settings.port) as status:
        ready = [(model, _obtain(model, settings, status)) for model in models]
    if settings.role is ContainerRole.FETCH:
        log.info("the files are there", models=[model.name for model in models])
        return
    if isinstance(content, RouterSettings):
        log.info("starting llama-server in router mode", models=len(ready))
        become_router(settings, content.max_loaded, ready, os.environ)
    model, files = ready[0]
    log.info("starting llama-server", model=str(files.model), name=model.name)
    become_llama_server(settings, model, files, os.environ)


def _obtain(model: ModelSettings, settings: Settings, status: StartupStatus) -> ReadyFiles:
    hub = functools.partial(Hub, model.hub, settings.hf_token_file)
    return obtain_files(
        model,
        settings.models_dir,
        hub,
        status.report,
        may_fetch=settings.role is not ContainerRole.SERVE,
    )


def main() -> int:
    log_to()
    route_library_logs()
    signal.signal(signal.SIGTERM, _stop)
    try:
        start()
    except _Stopped:
        log.info("stopped during the start; the partial download is kept")
        return ExitCode.STOPPED
    except SettingsError as error:
        for problem in str(error).splitlines():
            log.error(problem, exit_code=int(ExitCode.BAD_SETTINGS))
        return ExitCode.BAD_SETTINGS
    except StartupError as error:
        log.error(
            "the model cannot be served",
            error=error.error,
            what_to_do=error.what_to_do,
            exit_code=int(error.code),
        )
        return error.code
    except Exception:
        log.exception("unexpected error")
        return ExitCode.UNEXPECTED
    return 0


class _Stopped(BaseException):
    """SIGTERM arrived. Not an Exception, so that no handler of failed downloads catches it."""


def _stop(number: int, frame: FrameType | None) -> None:
    # No logging here: the signal may have interrupted the writing of a log line.
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())
