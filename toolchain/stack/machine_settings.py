"""Settings of the dev stack that `./dev up` chooses by what this machine reaches."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from toolchain.project import NAME, Project
from toolchain.stack import model_hub, proxy, reachability
from toolchain.terminal.progress import Step

PLACEHOLDER_MODEL = "smollm2-135m"
# Where llama.cpp publishes its images.
ENGINE_REGISTRY = "https://ghcr.io/v2/"
# How the setting was called before; also the mark that `./dev` had set it.
OLD_PLACEHOLDER_KEY, OLD_MARK = f"{NAME}:standInModel", "stand-in-model"

Config = Callable[..., object]
"""Runs `pulumi config` with the arguments that follow; raises `SetupError`."""


@dataclass(frozen=True)
class Reached:
    """What answers from this machine."""

    model_hub: bool
    engine_registry: bool


@dataclass(frozen=True)
class MachineSetting:
    """A setting that the stack needs exactly while something is out of reach."""

    name: str
    value: str
    wanted: str
    """What is reported while it is needed."""
    not_wanted: str
    """What is reported once it is not."""

    @property
    def key(self) -> str:
        return f"{NAME}:{self.name}"


def look(hub: str, probe: reachability.Probe = reachability.answers) -> Reached:
    """Ask the hub and the registry at once: each takes seconds to give up on."""
    with ThreadPoolExecutor(2) as threads:
        answers = threads.map(probe, (hub, ENGINE_REGISTRY))
        return Reached(*answers)


class MachineSettings:
    """Settings that `./dev` has chosen, marked in `.state`; a person's own are left alone."""

    def __init__(self, project: Project, config: Config) -> None:
        self._project = project
        self._config = config

    def adapt(self, reached: Reached, hub: str, step: Step) -> None:
        """Set what is needed, and take back what no longer is.

        :param hub: the model hub that was asked.
        """
        self._migrate()
        self._name_the_hub(hub, step)
        placeholder = MachineSetting(
            "placeholderModel",
            PLACEHOLDER_MODEL,
            wanted=f"Cannot reach {hub}: every model is replaced by the demo model {{}}.",
            not_wanted=f"{hub} answers: the models of the catalogue are served.",
        )
        engine = MachineSetting(
            "engineSource",
            "compiled",
            wanted="Cannot reach ghcr.io: llama-server is {} here.",
            not_wanted="ghcr.io answers: llama-server is taken from its published image.",
        )
        for setting, needed in (
            (placeholder, not reached.model_hub),
            (engine, not reached.engine_registry),
        ):
            step.say(self._settle(setting, needed))

    def use_proxy_of_shell(self, step: Step) -> None:
        """Give a new stack the proxy that this shell uses."""
        found = proxy.shell_proxy()
        for path, value in found.settings.items():
            self._config("set", "--path", path, value)
        for sentence in found.skipped:
            step.say(sentence)

    def configured(self, key: str) -> str | None:
        """The value of a setting in the text of the stack's file; None where it has none."""
        file = self._project.stack_config
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        match = re.search(rf"^ +{re.escape(key)}: *(\S+)$", text, re.MULTILINE)
        return match[1].strip("\"'") if match else None

    def _settle(self, setting: MachineSetting, needed: bool) -> str:
        mark = self._project.state / f"chosen-{setting.name}"
        found = self.configured(setting.key)
        if needed and found is None:
            self._config("set", setting.key, setting.value)
            mark.write_text(setting.value, encoding="utf-8")
            found = setting.value
        elif not needed and mark.exists():
            # Another value than the mark's is a person's own.
            if found == mark.read_text(encoding="utf-8"):
                self._config("rm", setting.key)
            mark.unlink()
        return setting.wanted.format(found) if needed else setting.not_wanted

    def _name_the_hub(self, hub: str, step: Step) -> None:
        """Hand the shell's HF_ENDPOINT on to the containers, which do not have this shell."""
        if hub == model_hub.DEFAULT or self.configured(f"{NAME}:modelHub") is not None:
            return
        if model_hub.is_on_this_machine(hub):
            step.say(f"HF_ENDPOINT is not used by containers: {hub} is this machine alone.")
            return
        self._config("set", f"{NAME}:modelHub", hub)
        step.say(f"Models are fetched from {hub} (HF_ENDPOINT).")

    def _migrate(self) -> None:
        """Take back what an older `./dev` had set under another name."""
        mark = self._project.state / OLD_MARK
        if mark.exists():
            if self.configured(OLD_PLACEHOLDER_KEY) is not None:
                self._config("rm", OLD_PLACEHOLDER_KEY)
            mark.unlink()
