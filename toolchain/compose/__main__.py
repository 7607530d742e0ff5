"""`./dev import`, in the virtual environment: reads compose files, prints entries and a report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.compose import arguments
from toolchain.compose.catalogue_file import catalogue_text, is_imported, write
from toolchain.compose.importing import Import, import_project
from toolchain.compose.problems import ComposeError
from toolchain.compose.project import load_project, project_name
from toolchain.compose.report import enabled_services, report, unready
from toolchain.compose.validation import problems_of
from toolchain.terminal.errors import SetupError

# Some services have no entry; all that can be carried was printed or written.
INCOMPLETE = 3


def run(options: argparse.Namespace, root: Path, environment: Mapping[str, str]) -> int:
    """Import the files; return 0 if every service is ready or replaced."""
    folder = Path(environment.get("LLM_STACK_CALLER") or Path.cwd())
    files = [folder / file for file in options.files]
    project = load_project(
        files,
        environment=environment,
        env_files=[folder / file for file in options.env_file],
        profiles=options.profile,
        name=project_name(options.project) if options.project else None,
    )
    if not options.project and not is_imported(root / "catalog" / f"{project.name}.yaml"):
        # A ready entry of this name stays as it is.
        project.name = f"{project.name}-compose"
    path = root / "catalog" / f"{project.name}.yaml"
    done, text = _checked(import_project(project, root), root, path, files)
    if options.write:
        changed = write(root, path, text, done.copies, force=options.force)
        for target in changed:
            print(f"wrote {target.relative_to(root)}", file=sys.stderr)
        if not changed:
            print(f"{path.relative_to(root)} has this content already", file=sys.stderr)
    else:
        print(text, end="")
    shown = str(path.relative_to(root))
    enabled = enabled_services(root, options.stack)
    print(report(done, shown, files, enabled, options.stack, copied=options.write), file=sys.stderr)
    return INCOMPLETE if unready(done.outcomes) else 0


def _checked(done: Import, root: Path, path: Path, files: Sequence[Path]) -> tuple[Import, str]:
    """The entries that the catalogue's loader accepts, and their text."""
    while True:
        services = done.content()["services"]
        text = catalogue_text(done.content(), files)
        problems = problems_of(root, path, text, done.copies, services, done.values.needed)
        if not problems:
            return done, text
        if "" in problems:
            raise ComposeError(done.hidden(text) for text in problems[""])
        done.refuse(problems)


def main(args: Sequence[str]) -> int:
    """Run the command; problems are printed without a traceback."""
    options = arguments.parser().parse_args(args)
    root = Path(__file__).resolve().parents[2]
    try:
        return run(options, root, os.environ)
    except ComposeError as error:
        print("\n".join(f"error: {problem}" for problem in error.problems), file=sys.stderr)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
