"""Paths of a checkout and of the user's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "llm-stack"
DEV_STACK = "dev"
# Label of a base image that was built on this machine in place of the published one.
SUBSTITUTE_LABEL = f"{NAME}.stand-in"


@dataclass(frozen=True)
class Project:
    """Paths of one checkout; reading a path creates nothing."""

    root: Path
    cache: Path
    """Downloads and builds, shared by all checkouts of a user."""

    @classmethod
    def at(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Project:
        """The checkout in `root`, with the cache in the XDG cache folder."""
        home = Path(environ.get("HOME") or Path.home())
        cache_home = environ.get("XDG_CACHE_HOME") or home / ".cache"
        return cls(root=root, cache=Path(cache_home) / NAME)

    @property
    def programs(self) -> Path:
        """The folders of downloaded or built Pulumi programs, one for each version."""
        return self.cache / "toolchain"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def state(self) -> Path:
        """State of this checkout, ignored by git."""
        return self.root / ".state"

    @property
    def bin(self) -> Path:
        """Links to the programs in use; `toolchain/activate` adds it to PATH."""
        return self.state / "bin"

    @property
    def built_plugin(self) -> Path:
        """The Docker plugin built from Go modules; exists only if it was built."""
        return self.state / "plugin" / "pulumi-resource-docker"

    @property
    def pulumi_state(self) -> Path:
        return self.state / "pulumi"

    @property
    def passphrase(self) -> Path:
        return self.state / "passphrase"

    @property
    def step_logs(self) -> Path:
        """Output of the long commands of the setup."""
        return self.state / "logs"

    @property
    def build_logs(self) -> Path:
        """Build logs of the Pulumi program, `<image>.log`."""
        return self.root / "logs"

    @property
    def stack_config(self) -> Path:
        return self.root / f"Pulumi.{DEV_STACK}.yaml"

    @property
    def stack_config_example(self) -> Path:
        """The template of `stack_config`."""
        return self.root / f"Pulumi.{DEV_STACK}.yaml.example"

    @property
    def modules(self) -> Path:
        """The Go modules; each builds one program."""
        return self.root / "toolchain" / "offline"
