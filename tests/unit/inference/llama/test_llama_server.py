"""The command line of llama-server."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.inference.failure import ExitCode, StartupError
from app.inference.llama import llama_server
from app.inference.llama.llama_server import become_llama_server, command
from app.inference.model.model import Adapter, ReadyFiles
from app.inference.settings import Settings
from tests.unit.inference.conftest import model_settings

GIB = 1024**3


FILES = ReadyFiles(Path("/m.gguf"))


def given_command(files: ReadyFiles = FILES, **changes: Any) -> list[str]:
    limits: dict[str, Any] = {"cpus": 2, "memory_bytes": None, "all_cpus": False}
    limits |= {name: changes.pop(name) for name in tuple(changes) if name in limits}
    model = model_settings({"path": "/m.gguf"}, **changes)
    return command(8000, model, files, **limits)


def options(arguments: list[str]) -> dict[str, str]:
    return dict(pairwise(arguments))


def given_options(files: ReadyFiles = FILES, **changes: Any) -> dict[str, str]:
    return options(given_command(files, **changes))


def test_every_slot_gets_the_whole_context_size() -> None:
    given = given_options(context=2048, slots=3)
    assert given["--ctx-size"] == str(3 * 2048)
    assert given["--parallel"] == "3"
    assert given["--batch-size"] == "512", "the monitor must see the progress of a long prompt"


def test_threads_are_the_usable_cpus_unless_they_are_set() -> None:
    assert given_options(cpus=6)["--threads"] == "6"
    assert given_options(cpus=6, threads=4)["--threads"] == "4"


def test_threads_are_pinned_only_where_the_container_has_all_cpus() -> None:
    pinned = given_options(cpus=4, all_cpus=True)
    assert (pinned["--cpu-range"], pinned["--cpu-strict"]) == ("0-3", "1")
    assert "--cpu-range" not in given_options(cpus=4), "other containers are on the same CPUs"
    assert "--cpu-range" not in given_options(cpus=4, all_cpus=True, threads=2)


def test_there_are_threads_for_the_health_check_beside_waiting_requests() -> None:
    assert int(given_options(slots=8)["--threads-http"]) >= 2 * 8 + 8


@pytest.mark.parametrize(
    ("memory", "cache"), [(None, "2048"), (2 * GIB, "204"), (64 * GIB, "2048")]
)
def test_the_prompt_cache_fits_into_the_memory_limit(memory: int | None, cache: str) -> None:
    assert given_options(memory_bytes=memory)["--cache-ram"] == cache


def test_a_chat_model_has_no_option_that_its_settings_do_not_have() -> None:
    given = set(given_command())
    assert not given & {
        *("--embeddings", "--rerank", "--pooling", "--ubatch-size", "--mmproj", "--lora"),
        *("--spec-draft-model", "--spec-type", "--chat-template-file", "--reasoning"),
        *("--reasoning-budget", "--cache-type-k", "--flash-attn", "--sleep-idle-seconds"),
    }


def test_a_text_to_embed_may_be_as_long_as_the_context() -> None:
    given = given_command(task="embedding", pooling="mean", context=2048, slots=2)
    assert "--embeddings" in given
    assert options(given)["--pooling"] == "mean"
    assert options(given)["--batch-size"] == options(given)["--ubatch-size"] == "2048"


def test_a_rerank_model_uses_its_own_pooling() -> None:
    given = given_command(task="rerank", context=1024)
    assert "--rerank" in given
    assert "--embeddings" not in given
    assert options(given)["--ubatch-size"] == "1024"


def test_files_beside_the_model_are_loaded_with_it() -> None:
    files = ReadyFiles(
        Path("/m.gguf"),
        projector=Path("/p.gguf"),
        adapters=(Adapter(Path("/a.gguf"), 1.0), Adapter(Path("/b.gguf"), 1.0)),
        draft=Path("/d.gguf"),
    )
    given = given_options(files)
    assert given["--mmproj"] == "/p.gguf"
    assert given["--lora"] == "/a.gguf,/b.gguf"
    assert given["--spec-draft-model"] == "/d.gguf"
    assert given["--spec-type"] == "draft-simple", "else the draft model has no effect"


def test_a_kind_of_speculation_among_the_options_replaces_ours() -> None:
    files = ReadyFiles(Path("/m.gguf"), draft=Path("/d.gguf"))
    given = given_command(files, options=["--spec-type", "draft-eagle3"])
    assert given.count("--spec-type") == 1, "llama-server joins the values of both"


def test_with_one_scaled_adapter_all_have_their_scale() -> None:
    adapters = (Adapter(Path("/a.gguf"), 1.0), Adapter(Path("/b.gguf"), 0.25))
    given = given_options(ReadyFiles(Path("/m.gguf"), adapters=adapters))
    assert given["--lora-scaled"] == "/a.gguf:1,/b.gguf:0.25"
    assert "--lora" not in given


def test_each_setting_has_its_option() -> None:
    given = given_options(
        chat_template="chat.jinja",
        reasoning="off",
        cache_type="q8_0",
        flash_attention="on",
        idle_sleep=300,
    )
    assert given["--chat-template-file"] == "/run/config/chat.jinja"
    assert given["--reasoning"] == "off"
    assert given["--cache-type-k"] == given["--cache-type-v"] == "q8_0"
    assert given["--flash-attn"] == "on"
    assert given["--sleep-idle-seconds"] == "300"
    assert given_options(reasoning_budget=0)["--reasoning-budget"] == "0"


def test_more_options_come_last_since_the_last_value_counts() -> None:
    given = given_command(options=["--cache-reuse", "0", "--no-warmup"])
    assert given[-3:] == ["--cache-reuse", "0", "--no-warmup"]


def test_llama_server_serves_no_page_and_allows_no_origin() -> None:
    given = given_command()
    assert "--no-ui" in given
    assert options(given)["--cors-origins"] == ""
    assert "--no-cors-credentials" in given


def test_a_missing_llama_server_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(llama_server, "LLAMA_SERVER", tmp_path / "llama-server")
    with pytest.raises(StartupError) as failed:
        become_llama_server(Settings(), model_settings({"path": "/m.gguf"}), FILES, {})
    assert failed.value.code == ExitCode.CANNOT_START


def test_tokens_in_the_environment_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, str] = {}
    monkeypatch.setattr(llama_server, "LLAMA_SERVER", Path("/bin/sh"))
    monkeypatch.setattr("os.execve", lambda path, arguments, env: passed.update(env))
    environment = {"HF_TOKEN": "hf_x", "PATH": "/bin", "LLAMA_ARG_TOP_K": "1"}
    become_llama_server(Settings(), model_settings({"path": "/m.gguf"}), FILES, environment)
    assert passed == {"PATH": "/bin", "LLAMA_ARG_TOP_K": "1"}
