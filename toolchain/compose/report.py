"""The report of an import, as a person reads it."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from toolchain.compose.importing import Import
from toolchain.compose.outcome import Outcome
from toolchain.project import DEV_STACK, NAME

_WIDTH = 100
# With more services than this, one line for all is easier to read than one for each.
_MANY = 2


def report(
    done: Import,
    path: str,
    files: Sequence[Path],
    enabled: Sequence[str] | None,
    stack: str,
    *,
    copied: bool,
) -> str:
    """The text of the report.

    :param path: of the catalogue's file.
    :param copied: whether the files that entries need were copied.
    :param enabled: the services that the stack has; None where they are not known.
    """
    lines = [_summary(done, path, files), ""]
    for title, body in (
        ("Carried as they are", _carried(done)),
        ("Changed", _changed(done)),
        ("Not carried", _not_carried(done)),
        ("Profiles", _profiles(done)),
        ("To do before the first start", _todo(done, copied=copied)),
        ("Secrets and values (no value of a secret is printed or written)", _secrets(done, stack)),
        (f"Enable the services in the stack {stack}", _enable(done, enabled, stack)),
    ):
        found = list(body)
        if found:
            lines += [title, *found, ""]
    return done.hidden("\n".join(lines))


def _summary(done: Import, path: str, files: Sequence[Path]) -> str:
    replaced = [one for one in done.outcomes if one.replaced]
    text = f"{path}: {len(done.written)} of {len(done.outcomes)} services of "
    text += f"{', '.join(file.name for file in files)} are ready"
    if replaced:
        text += f"; the stack itself does the work of {len(replaced)} more"
    return f"{text}."


def _line(text: str, head: str = "  ") -> str:
    """A text, wrapped; the lines after its first one are commands, which are not."""
    first, *commands = text.split("\n")
    wrapped = textwrap.fill(
        first,
        _WIDTH,
        initial_indent=head,
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([wrapped, *(f"      {command}" for command in commands)])


def _carried(done: Import) -> Iterator[str]:
    width = max((len(one.name) for one in done.written), default=0)
    for one in done.written:
        if one.carried:
            carried = ", ".join(dict.fromkeys(one.carried))
            yield _line(carried, f"  {one.name:<{width}}  ")


def _changed(done: Import) -> Iterator[str]:
    by_text: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in done.written:
        for change in one.changes:
            if one.name not in by_text[change]:
                by_text[change].append(one.name)
    if done.project.networks or any(one.get("networks") for one in done.project.services.values()):
        yield _line("all: networks: left out; all services of a stack are on one network")
    for (key, text), names in by_text.items():
        head = "all" if len(names) == len(done.written) > _MANY else ", ".join(names)
        yield _line(f"{head}: {key}: {text}")


def _not_carried(done: Import) -> Iterator[str]:
    for one in done.outcomes:
        if one.replaced:
            yield _line(f"{one.name}: {one.replaced.reason}. Instead: {one.replaced.instead}")
            continue
        for loss in one.obstacles:
            text = f"{one.name} (the whole service): {loss.key}: {loss.reason}."
            yield _line(f"{text} Instead: {loss.instead}")
        if one.obstacles:
            continue
        for loss in one.losses:
            yield _line(f"{one.name}: {loss.key}: {loss.reason}. Instead: {loss.instead}")
    for name, profiles in done.project.left_out.items():
        yield _line(f"{name}: not in the given profiles; it has {', '.join(profiles)}")


def _profiles(done: Import) -> Iterator[str]:
    profiles: dict[str, list[str]] = defaultdict(list)
    for one in done.outcomes:
        for profile in one.profiles:
            profiles[profile].append(one.name)
    for profile, names in profiles.items():
        yield _line(f"{profile}: {', '.join(names)}")
    if profiles:
        yield _line("A stack has no profiles: enable the services of those that you use.")


def _todo(done: Import, *, copied: bool) -> Iterator[str]:
    seen: set[str] = set()
    for one in done.written:
        for text in one.todo:
            if text not in seen:
                yield _line(f"{one.name}: {text}")
            seen.add(text)
        for copy in one.files:
            if copy.content is None and not copied:
                source = copy.source
                if source.is_relative_to(done.project.folder):
                    source = source.relative_to(done.project.folder)
                yield _line(f"{one.name}: copy {source} to {copy.target} (--write does)")


def _secrets(done: Import, stack: str) -> Iterator[str]:
    made = [secret for secret in done.secrets if secret.generate is not None]
    if made:
        names = ", ".join(secret.name for secret in made)
        yield _line(
            f"Made by the stack: {names}. Existing data needs its old passwords: for those, remove "
            "the line under secrets: and set the value by the command below.",
        )
    for secret in done.secrets:
        if secret.generate is None:
            source = f" < {shlex.quote(str(secret.file))}" if secret.file else ""
            key = f"{NAME}:secrets.{secret.name}"
            if secret.prefix:
                yield _line(
                    f"{secret.name}: its program needs a text that begins with {secret.prefix}"
                )
            yield f"  pulumi config set --secret --path {key}{_of_stack(stack)}{source}"
    for name, services in done.values.needed.items():
        if services & {one.name for one in done.written}:
            yield f"  pulumi config set --path {NAME}:values.{name} VALUE{_of_stack(stack)}"
    if made and not any(secret.generate is None for secret in done.secrets):
        yield f"  pulumi config set --secret --path {NAME}:secrets.NAME{_of_stack(stack)}"


def _of_stack(stack: str) -> str:
    return "" if stack == DEV_STACK else f" --stack {stack}"


def _enable(done: Import, enabled: Sequence[str] | None, stack: str) -> Iterator[str]:
    names = [one.name for one in done.written]
    if enabled is not None:
        names = [name for name in names if name not in enabled]
    if names and enabled is None:
        yield _line(f"Add to {NAME}:services in Pulumi.{stack}.yaml: {', '.join(names)}")
    elif names:
        listed = json.dumps([*(enabled or ()), *names])
        yield f"  pulumi config set {NAME}:services '{listed}'{_of_stack(stack)}"


def enabled_services(root: Path, stack: str) -> list[str] | None:
    """The services of a stack, as its file has them; None without a list there."""
    try:
        text = (root / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        services = content["config"][f"{NAME}:services"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return [str(name) for name in services] if isinstance(services, list) else None


def unready(outcomes: Sequence[Outcome]) -> bool:
    """Whether any service has neither an entry nor something in its place."""
    return any(one.obstacles for one in outcomes)
