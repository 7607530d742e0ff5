"""The command line of llama-server."""

from itertools import pairwise
from pathlib import Path

import pytest

from app.inference.failure import ExitCode, StartupError
from app.inference.llama import llama_server
from app.inference.llama.llama_server import become_llama_server, command
from app.inference.settings import Settings, load_settings

GIB = 1024**3


def settings(**changes: str) -> Settings:
    environment = {
        "MODEL_NAME": "phi",
        "MODEL_PATH": "/opt/models/tiny.gguf",
        "MODEL_SHA256_UNKNOWN": "true",
    }
    return load_settings(environment | changes)


def options(arguments: list[str]) -> dict[str, str]:
    return dict(pairwise(arguments))


def test_every_slot_gets_the_whole_context_size() -> None:
    given = command(
        settings(CONTEXT_SIZE="2048", SLOTS="3"), Path("/m.gguf"), cpus=2, memory_bytes=None
    )
    assert options(given)["--ctx-size"] == str(3 * 2048)
    assert options(given)["--parallel"] == "3"
    assert options(given)["--batch-size"] == "512", (
        "the monitor must see the progress of a long prompt"
    )


def test_threads_are_the_usable_cpus_unless_they_are_set() -> None:
    assert options(command(settings(), Path("/m"), cpus=6, memory_bytes=None))["--threads"] == "6"
    chosen = settings(THREADS="4")
    assert options(command(chosen, Path("/m"), cpus=6, memory_bytes=None))["--threads"] == "4"


def test_threads_are_pinned_only_where_the_container_has_all_cpus() -> None:
    def given(all_cpus: bool, **changes: str) -> dict[str, str]:
        return options(
            command(
                settings(**changes),
                Path("/m"),
                cpus=4,
                memory_bytes=None,
                all_cpus=all_cpus,
            )
        )

    assert given(True)["--cpu-range"] == "0-3"
    assert given(True)["--cpu-strict"] == "1"
    assert "--cpu-range" not in given(False), "other containers are on the same CPUs"
    assert "--cpu-range" not in given(True, THREADS="2")


def test_there_are_threads_for_the_health_check_beside_waiting_requests() -> None:
    given = options(command(settings(SLOTS="8"), Path("/m"), cpus=2, memory_bytes=None))
    assert int(given["--threads-http"]) >= 2 * 8 + 8


@pytest.mark.parametrize(
    ("memory", "cache"), [(None, "2048"), (2 * GIB, "204"), (64 * GIB, "2048")]
)
def test_the_prompt_cache_fits_into_the_memory_limit(memory: int | None, cache: str) -> None:
    given = options(command(settings(), Path("/m"), cpus=2, memory_bytes=memory))
    assert given["--cache-ram"] == cache


def test_llama_server_serves_no_page_and_allows_no_origin() -> None:
    given = command(settings(), Path("/m"), cpus=2, memory_bytes=None)
    assert "--no-ui" in given
    assert options(given)["--cors-origins"] == ""
    assert "--no-cors-credentials" in given


def test_a_missing_llama_server_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(llama_server, "LLAMA_SERVER", tmp_path / "llama-server")
    with pytest.raises(StartupError) as failed:
        become_llama_server(settings(), Path("/m"), {})
    assert failed.value.code == ExitCode.CANNOT_START


def test_tokens_in_the_environment_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, str] = {}
    monkeypatch.setattr(llama_server, "LLAMA_SERVER", Path("/bin/sh"))
    monkeypatch.setattr("os.execve", lambda path, arguments, env: passed.update(env))
    become_llama_server(
        settings(), Path("/m"), {"HF_TOKEN": "hf_x", "PATH": "/bin", "LLAMA_ARG_TOP_K": "1"}
    )
    assert passed == {"PATH": "/bin", "LLAMA_ARG_TOP_K": "1"}
