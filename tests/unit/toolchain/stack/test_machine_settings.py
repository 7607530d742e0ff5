"""The settings that `./dev up` chooses for a machine, and takes back."""

from __future__ import annotations

import io
import re

import pytest

from toolchain.project import Project
from toolchain.stack.machine_settings import ENGINE_REGISTRY, MachineSettings, Reached, look
from toolchain.terminal.progress import Step

HUB = "https://huggingface.co"
SETTINGS = "config:\n  llm-stack:services:\n    - chat-interface\n"
NOTHING, EVERYTHING = Reached(False, False), Reached(True, True)


class Config:
    """`pulumi config` on the file of a stack."""

    def __init__(self, project: Project) -> None:
        self.calls: list[tuple[str, ...]] = []
        self._file = project.stack_config

    def __call__(self, *args: str) -> None:
        self.calls.append(args)
        text = self._file.read_text()
        match args:
            case ("set", key, value):
                self._file.write_text(f"{text}  {key}: {value}\n")
            case ("rm", key):
                self._file.write_text(re.sub(rf"^  {key}: .*\n", "", text, flags=re.MULTILINE))


@pytest.fixture
def config(project: Project) -> Config:
    project.state.mkdir()
    project.stack_config.write_text(SETTINGS)
    return Config(project)


@pytest.fixture
def settings(project: Project, config: Config) -> MachineSettings:
    return MachineSettings(project, config)


def test_where_nothing_is_reached_the_demo_model_is_compiled_for(
    settings: MachineSettings, project: Project, step: Step, out: io.StringIO
) -> None:
    settings.adapt(NOTHING, HUB, step)
    assert settings.configured("llm-stack:placeholderModel") == "smollm2-135m"
    assert settings.configured("llm-stack:engineSource") == "compiled"
    said = out.getvalue()
    assert f"Cannot reach {HUB}: every model is replaced by the demo model smollm2-135m." in said
    assert "Cannot reach ghcr.io: llama-server is compiled here." in said


def test_a_second_look_sets_nothing_again(
    settings: MachineSettings, config: Config, step: Step
) -> None:
    settings.adapt(NOTHING, HUB, step)
    before = len(config.calls)
    settings.adapt(NOTHING, HUB, step)
    assert len(config.calls) == before


def test_what_was_set_is_taken_back_once_it_is_not_needed(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    settings.adapt(NOTHING, HUB, step)
    settings.adapt(Reached(model_hub=True, engine_registry=False), HUB, step)
    assert settings.configured("llm-stack:placeholderModel") is None
    assert settings.configured("llm-stack:engineSource") == "compiled"
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == SETTINGS


def test_what_a_person_set_stays(settings: MachineSettings, project: Project, step: Step) -> None:
    own = f"{SETTINGS}  llm-stack:placeholderModel: mine\n  llm-stack:engineSource: compiled\n"
    project.stack_config.write_text(own)
    for reached in (NOTHING, EVERYTHING):
        settings.adapt(reached, HUB, step)
        assert project.stack_config.read_text() == own


def test_the_shells_hub_reaches_the_containers(
    settings: MachineSettings, config: Config, step: Step
) -> None:
    settings.adapt(EVERYTHING, "https://hub.example.com", step)
    settings.adapt(EVERYTHING, "https://other.example.com", step)
    assert config.calls == [("set", "llm-stack:modelHub", "https://hub.example.com")]


def test_a_hub_on_this_machine_is_not_handed_on(
    settings: MachineSettings, config: Config, step: Step, out: io.StringIO
) -> None:
    settings.adapt(EVERYTHING, "http://localhost:9000", step)
    assert config.calls == []
    assert "http://localhost:9000 is this machine alone" in out.getvalue()


def test_the_proxy_of_the_shell_becomes_a_setting(
    settings: MachineSettings, config: Config, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    settings.use_proxy_of_shell(step)
    assert config.calls == [
        ("set", "--path", "llm-stack:proxy.https", "http://proxy.example.com:3128")
    ]


def test_the_setting_of_an_earlier_version_goes(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    project.stack_config.write_text(f"{SETTINGS}  llm-stack:standInModel: tiny\n")
    settings.adapt(EVERYTHING, HUB, step)
    assert "standInModel" in project.stack_config.read_text(), "a person may have set it"
    (project.state / "stand-in-model").write_text("tiny")
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == SETTINGS
    assert not (project.state / "stand-in-model").exists()


def test_hub_and_registry_are_both_asked() -> None:
    assert look(HUB, lambda url: url == HUB) == Reached(model_hub=True, engine_registry=False)
    assert look(HUB, lambda url: url == ENGINE_REGISTRY) == Reached(False, engine_registry=True)
