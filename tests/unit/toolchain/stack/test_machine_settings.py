"""The settings that `./dev up` sets for a machine and removes again."""

from __future__ import annotations

import io
import re

import pytest

from toolchain.project import Project
from toolchain.stack.machine_settings import (
    ENGINE_REGISTRY,
    MachineSettings,
    Reached,
    probe_hosts,
    scalar,
)
from toolchain.terminal.progress import Step

HUB = "https://huggingface.co"
SETTINGS = "config:\n  llm-stack:services:\n    - chat-interface\n"
NOTHING, EVERYTHING = Reached(False, False), Reached(True, True)


class Config:
    """A fake `pulumi config` that edits the file of a stack."""

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


def test_settings_without_any_reachable_host(
    settings: MachineSettings, project: Project, step: Step, out: io.StringIO
) -> None:
    settings.adapt(NOTHING, HUB, step)
    assert settings.configured("llm-stack:placeholderModel") == "smollm2-135m"
    assert settings.configured("llm-stack:engineSource") == "compiled"
    output = out.getvalue()
    assert f"Cannot reach {HUB}: every model is replaced by the demo model smollm2-135m." in output
    assert "Cannot reach ghcr.io: engineSource is compiled." in output


def test_second_run_sets_nothing(settings: MachineSettings, config: Config, step: Step) -> None:
    settings.adapt(NOTHING, HUB, step)
    before = len(config.calls)
    settings.adapt(NOTHING, HUB, step)
    assert len(config.calls) == before


def test_settings_are_removed_once_a_host_is_reachable(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    settings.adapt(NOTHING, HUB, step)
    settings.adapt(Reached(model_hub=True, engine_registry=False), HUB, step)
    assert settings.configured("llm-stack:placeholderModel") is None
    assert settings.configured("llm-stack:engineSource") == "compiled"
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == SETTINGS


def test_values_of_the_user_are_kept(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    own = f"{SETTINGS}  llm-stack:placeholderModel: mine\n  llm-stack:engineSource: compiled\n"
    project.stack_config.write_text(own)
    for reached in (NOTHING, EVERYTHING):
        settings.adapt(reached, HUB, step)
        assert project.stack_config.read_text() == own


def test_hub_of_the_shell_is_set_for_containers(
    settings: MachineSettings, config: Config, step: Step
) -> None:
    settings.adapt(EVERYTHING, "https://hub.example.com", step)
    settings.adapt(EVERYTHING, "https://other.example.com", step)
    assert config.calls == [("set", "llm-stack:modelHub", "https://hub.example.com")]


def test_loopback_hub_is_not_set_for_containers(
    settings: MachineSettings, config: Config, step: Step, out: io.StringIO
) -> None:
    settings.adapt(EVERYTHING, "http://localhost:9000", step)
    assert config.calls == []
    assert "http://localhost:9000 is a loopback address" in out.getvalue()


def test_proxy_of_the_shell_is_set(
    settings: MachineSettings, config: Config, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    settings.use_proxy_of_shell(step)
    assert config.calls == [
        ("set", "--path", "llm-stack:proxy.https", "http://proxy.example.com:3128")
    ]


def test_setting_of_an_earlier_version_is_removed(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    project.stack_config.write_text(f"{SETTINGS}  llm-stack:standInModel: tiny\n")
    settings.adapt(EVERYTHING, HUB, step)
    assert "standInModel" in project.stack_config.read_text(), "the user may have set it"
    (project.state / "stand-in-model").write_text("tiny")
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == SETTINGS
    assert not (project.state / "stand-in-model").exists()


def test_hub_and_registry_are_both_probed() -> None:
    assert probe_hosts(HUB, lambda url: url == HUB) == Reached(
        model_hub=True, engine_registry=False
    )
    assert probe_hosts(HUB, lambda url: url == ENGINE_REGISTRY) == Reached(
        False, engine_registry=True
    )


@pytest.mark.parametrize("line", ["mine  # a comment", "'mine'", '"mine" # a comment', "mine "])
def test_value_of_the_user_with_a_comment_or_quotes_is_kept(
    settings: MachineSettings, project: Project, step: Step, line: str
) -> None:
    text = f"{SETTINGS}  llm-stack:placeholderModel: {line}\n  llm-stack:engineSource: compiled\n"
    project.stack_config.write_text(text)
    for reached in (NOTHING, EVERYTHING):
        settings.adapt(reached, HUB, step)
        assert project.stack_config.read_text() == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  a:b: one\n", "one"),
        ("  'a:b': one\n", "one"),
        ("  a:b: one#two\n", "one#two"),
        ("  a:b: 'one # two' # three\n", "one # two"),
        ("  a:b: # three\n", None),
        ("  a:b:\n    secure: v1\n", None),
        ("  # a:b: one\n", None),
        ("  a:bc: one\n", None),
    ],
)
def test_scalar_of_a_yaml_text(text: str, value: str | None) -> None:
    assert scalar(text, "a:b") == value


def test_interrupted_run_does_not_leave_a_setting_without_a_mark(
    project: Project, config: Config, step: Step
) -> None:
    def interrupted(*args: str) -> None:
        config(*args)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MachineSettings(project, interrupted).adapt(NOTHING, HUB, step)
    assert "placeholderModel" in project.stack_config.read_text()
    MachineSettings(project, config).adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == SETTINGS


def test_old_mark_does_not_remove_a_value_of_the_user(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    settings.adapt(NOTHING, HUB, step)
    own = f"{SETTINGS}  llm-stack:placeholderModel: mine\n"
    project.stack_config.write_text(own)
    settings.adapt(Reached(model_hub=False, engine_registry=True), HUB, step)
    assert project.stack_config.read_text() == own
    same = f"{SETTINGS}  llm-stack:placeholderModel: smollm2-135m\n"
    project.stack_config.write_text(same)
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == same, "the mark of another value is gone"


def test_old_mark_does_not_remove_another_value_under_the_former_name(
    settings: MachineSettings, project: Project, step: Step
) -> None:
    own = f"{SETTINGS}  llm-stack:standInModel: mine\n"
    project.stack_config.write_text(own)
    (project.state / "stand-in-model").write_text("tiny")
    settings.adapt(EVERYTHING, HUB, step)
    assert project.stack_config.read_text() == own
    assert not (project.state / "stand-in-model").exists()
