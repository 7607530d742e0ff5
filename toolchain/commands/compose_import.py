"""`./dev import`: runs toolchain.compose in the virtual environment, which has PyYAML."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from toolchain.project import Project
from toolchain.setup.python_environment import PythonEnvironment
from toolchain.steps import ensure
from toolchain.terminal.progress import Progress


def import_compose(project: Project, arguments: Sequence[str]) -> int:
    """Run the import; return its exit code.

    Progress goes to standard error: standard output holds the entries only.
    """
    setup = PythonEnvironment(project)
    if not setup.find().ready:
        ensure(setup, Progress(sys.stderr))
    command = [str(project.venv / "bin" / "python"), "-m", "toolchain.compose", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(project.root)}
    return subprocess.run(command, env=environment, check=False).returncode
