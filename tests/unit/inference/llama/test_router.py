"""The preset file and the command line of llama-server in router mode."""

from __future__ import annotations

import configparser
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.inference.llama import llama_server, router
from app.inference.llama.router import become_router, preset_file, router_command
from app.inference.model.model import Adapter, ReadyFiles
from app.inference.settings import RouterSettings, Settings, load_settings
from app.shared.settings_file import SettingsError
from tests.unit.inference.conftest import model_settings


def model(name: str, **changes: Any) -> Any:
    return model_settings({"path": f"/{name}.gguf"}, name=name, **changes)


def presets(*models: tuple[Any, ReadyFiles]) -> configparser.ConfigParser:
    text = preset_file(
        models, cpus=2, memory_bytes=2**30, all_cpus=False, config_directory=Path("/run/config")
    )
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string("[top]\n" + text)
    return parser


def test_each_model_has_its_own_options() -> None:
    read = presets(
        (model("a", context=1024, slots=2, options=("--temp", "-1")), ReadyFiles(Path("/a.gguf"))),
        (
            model("b", task="embedding", context=512, chat_template="b.jinja", idle_sleep=60),
            ReadyFiles(Path("/b.gguf"), adapters=(Adapter(Path("/l.gguf"), 0.5),)),
        ),
    )
    assert read.sections() == ["top", "a", "b"]
    assert (read["a"]["model"], read["a"]["ctx-size"], read["a"]["parallel"]) == (
        "/a.gguf",
        "2048",
        "2",
    )
    assert read["a"]["temp"] == "-1", "a negative number is a value"
    assert "sleep-idle-seconds" not in read["a"]
    assert read["b"]["embeddings"] == "true"
    assert read["b"]["lora-scaled"] == "/l.gguf:0.5"
    assert read["b"]["chat-template-file"] == "/run/config/b.jinja"
    assert read["b"]["sleep-idle-seconds"] == "60"


def test_a_busy_model_is_not_killed_early() -> None:
    read = presets((model("a"), ReadyFiles(Path("/a.gguf"))))
    assert int(read["a"]["stop-timeout"]) >= 1


def test_the_router_gets_the_preset_and_no_model() -> None:
    command = router_command(8000, Path("/tmp/models.ini"), 2, requests=6)
    options = dict(pairwise(command))
    assert options["--models-preset"] == "/tmp/models.ini"
    assert options["--models-max"] == "2"
    assert int(options["--threads-http"]) >= 2 * 6
    assert "--model" not in command, "with a model it would not be a router"


def test_loaded_models_share_memory_and_cpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(router, "PRESET", tmp_path / "models.ini")
    monkeypatch.setattr(router, "memory_limit_bytes", lambda: 8 * 2**30)
    monkeypatch.setattr(router, "has_all_cpus", lambda: True)
    monkeypatch.setattr(llama_server, "LLAMA_SERVER", Path("/bin/true"))
    monkeypatch.setattr("os.execve", lambda *given: started.append(given))
    models = [(model(name), ReadyFiles(Path(f"/{name}.gguf"))) for name in ("a", "b")]
    become_router(Settings(), 2, models, {"A": "1"})
    written = (tmp_path / "models.ini").read_text()
    assert "cache-ram = 409" in written, "a tenth of half of the limit"
    assert "cpu-range" not in written, "two loaded models would have the same CPUs"
    [(_, arguments, environment)] = started
    assert "--models-max" in arguments
    assert environment == {"A": "1", "LLAMA_ARG_OFFLINE": "1"}


def test_the_file_has_one_model_or_several(tmp_path: Path) -> None:
    config = tmp_path / "model.json"
    one = {"name": "a", "files": [{"path": "/a.gguf"}]}
    config.write_text(json.dumps({"max_loaded": 1, "models": [one, {**one, "name": "b"}]}))
    _, read = load_settings({"MODEL_CONFIG": str(config)})
    assert isinstance(read, RouterSettings)
    config.write_text(json.dumps({"max_loaded": 1, "models": [one, one]}))
    with pytest.raises(SettingsError, match="two models have the same name"):
        load_settings({"MODEL_CONFIG": str(config)})
