"""Where the project's files lie, and where a person's caches do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "llm-stack"
DEV_STACK = "dev"


@dataclass(frozen=True)
class Project:
    """Paths of one checkout; nothing here is created by asking for it."""

    root: Path
    cache: Path
    """Shared by all checkouts of a person: what takes long to build."""

    @classmethod
    def at(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Project:
        """The checkout in `root`; the cache is where the XDG rules put it."""
        home = Path(environ.get("HOME") or Path.home())
        cache_home = environ.get("XDG_CACHE_HOME") or home / ".cache"
        return cls(root=root, cache=Path(cache_home) / NAME)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def state(self) -> Path:
        """Of this checkout alone, and ignored by git."""
        return self.root / ".state"

    @property
    def bin(self) -> Path:
        """Links to the tools in use; `toolchain/activate` puts it on PATH."""
        return self.state / "bin"

    @property
    def built_plugin(self) -> Path:
        """The Docker plugin built from Go modules; there only where that was the way."""
        return self.state / "plugin" / "pulumi-resource-docker"

    @property
    def pulumi_state(self) -> Path:
        return self.state / "pulumi"

    @property
    def passphrase(self) -> Path:
        return self.state / "passphrase"

    @property
    def step_logs(self) -> Path:
        """What the set-up's own long commands printed."""
        return self.state / "logs"

    @property
    def build_logs(self) -> Path:
        """Where the Pulumi program lets BuildKit write, `<image>.log` each."""
        return self.root / "logs"

    @property
    def stack_config(self) -> Path:
        return self.root / f"Pulumi.{DEV_STACK}.yaml"

    @property
    def stack_config_example(self) -> Path:
        """What a machine's own `stack_config` is made from."""
        return self.root / f"Pulumi.{DEV_STACK}.yaml.example"

    @property
    def modules(self) -> Path:
        """The folders of Go modules that lead to a program each."""
        return self.root / "toolchain" / "offline"
