"""Settings of the dev stack that `./dev up` chooses by what this machine can reach."""

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
# The former name of placeholderModel, and the file that contains the value `./dev` had set.
OLD_PLACEHOLDER_KEY, OLD_MARK = f"{NAME}:standInModel", "stand-in-model"

Config = Callable[..., object]
"""Runs `pulumi config` with the arguments that follow; raises `SetupError`."""


@dataclass(frozen=True)
class Reached:
    """The hosts that this machine can reach."""

    model_hub: bool
    engine_registry: bool


@dataclass(frozen=True)
class MachineSetting:
    """A setting that the stack needs only while a host cannot be reached."""

    name: str
    value: str
    needed: str
    """The message while the host cannot be reached; `{}` is the value in use."""
    not_needed: str
    """The message while the host can be reached."""

    @property
    def key(self) -> str:
        return f"{NAME}:{self.name}"


def probe_hosts(hub: str, probe: reachability.Probe = reachability.is_reachable) -> Reached:
    """Probe the hub and the registry in parallel: each may take seconds."""
    with ThreadPoolExecutor(2) as threads:
        results = threads.map(probe, (hub, ENGINE_REGISTRY))
        return Reached(*results)


class MachineSettings:
    """Sets and removes settings; a mark in `.state` separates them from the user's own."""

    def __init__(self, project: Project, config: Config) -> None:
        self._project = project
        self._config = config

    def adapt(self, reached: Reached, hub: str, step: Step) -> None:
        """Set what is needed, and remove what no longer is.

        :param hub: the model hub that was probed.
        """
        self._migrate()
        self._set_hub(hub, step)
        placeholder = MachineSetting(
            "placeholderModel",
            PLACEHOLDER_MODEL,
            needed=f"Cannot reach {hub}: every model is replaced by the demo model {{}}.",
            not_needed=f"{hub} is reachable: the models of the catalogue are used.",
        )
        engine = MachineSetting(
            "engineSource",
            "compiled",
            needed="Cannot reach ghcr.io: engineSource is {}.",
            not_needed="ghcr.io is reachable: llama-server is copied from its published image.",
        )
        for setting, needed in (
            (placeholder, not reached.model_hub),
            (engine, not reached.engine_registry),
        ):
            step.print(self._settle(setting, needed))

    def use_proxy_of_shell(self, step: Step) -> None:
        """Set the proxy of this shell for a new stack."""
        found = proxy.shell_proxy()
        for path, value in found.settings.items():
            self._config("set", "--path", path, value)
        for sentence in found.skipped:
            step.print(sentence)

    def configured(self, key: str) -> str | None:
        """The value of a setting in the stack's file; None if it is not set."""
        file = self._project.stack_config
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return scalar(text, key)

    def _settle(self, setting: MachineSetting, needed: bool) -> str:
        """Set or remove a setting; return a message."""
        mark = self._project.state / f"chosen-{setting.name}"
        found = self.configured(setting.key)
        marked = mark.read_text(encoding="utf-8") if mark.exists() else None
        if needed and found is None:
            # The mark first: without it, an interrupted run would leave the setting as the user's.
            mark.write_text(setting.value, encoding="utf-8")
            self._config("set", setting.key, setting.value)
            found = setting.value
        elif marked is not None and found != marked:
            # The user has changed or removed the setting since.
            mark.unlink()
        elif marked is not None and not needed:
            self._config("rm", setting.key)
            mark.unlink()
        return setting.needed.format(found) if needed else setting.not_needed

    def _set_hub(self, hub: str, step: Step) -> None:
        """Set modelHub to the shell's HF_ENDPOINT, which containers do not have."""
        if hub == model_hub.DEFAULT or self.configured(f"{NAME}:modelHub") is not None:
            return
        if model_hub.is_on_this_machine(hub):
            step.print(f"HF_ENDPOINT is not used by containers: {hub} is a loopback address.")
            return
        self._config("set", f"{NAME}:modelHub", hub)
        step.print(f"Models are downloaded from {hub} (HF_ENDPOINT).")

    def _migrate(self) -> None:
        """Remove the setting that an older `./dev` had set under its former name."""
        mark = self._project.state / OLD_MARK
        if mark.exists():
            # Another value than the mark's is the user's own.
            if self.configured(OLD_PLACEHOLDER_KEY) == mark.read_text(encoding="utf-8"):
                self._config("rm", OLD_PLACEHOLDER_KEY)
            mark.unlink()


def scalar(text: str, key: str) -> str | None:
    """The scalar value of an indented key in a YAML text; None without one.

    A subset of YAML that covers Pulumi's settings, since this package has no YAML parser.
    """
    match = re.search(rf"^ +([\"']?){re.escape(key)}\1 *:(?: +(.*))?$", text, re.MULTILINE)
    value = (match[2] or "").strip() if match else ""
    if quoted := re.match(r"""(["'])(.*?)\1(?= *(#|$))""", value):
        return quoted[2]
    return re.sub(r"(^|\s+)#.*$", "", value) or None
