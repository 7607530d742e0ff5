"""Makes entries of the catalogue from the services of a compose project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.compose import health, model_servers, network, resources
from toolchain.compose.catalogue_entries import CatalogueEntries, read_entries
from toolchain.compose.commands import CommandRules
from toolchain.compose.environment import EnvironmentRules
from toolchain.compose.hardening import apply_hardening
from toolchain.compose.images import apply_image, build_name, built_images
from toolchain.compose.mounts import MountRules, text_files
from toolchain.compose.names import LONGEST_SECRET, FreeNames, kept_secret_name, volume_name
from toolchain.compose.obstacles import find_obstacles, report_without_use
from toolchain.compose.outcome import CopiedFile, Outcome
from toolchain.compose.plain_values import PlainValues
from toolchain.compose.project import ComposeProject
from toolchain.compose.replaced import replacement
from toolchain.compose.secret_signs import is_secret_name, is_secret_value
from toolchain.compose.secrets import SHORTEST_FOUND, Secret, Secrets
from toolchain.compose.yaml_file import Section

_ORDER = (
    "kind", "image", "build", "entrypoint", "command", "working_dir", "environment", "secrets",
    "secret_environment", "volumes", "tmpfs", "shm_size", "ports", "port", "healthcheck", "health",
    "depends_on", "restart", "gpus", "devices", "group_add", "user", "read_only", "cap_add",
    "extra_hosts", "ulimits", "labels", "init", "stop_grace", "start_timeout", "aliases", "memory",
    "cpus", "serves",
)  # fmt: skip
_NAMED = re.compile(r"\$\{([a-z][a-z0-9_-]*)\}")


@dataclass
class Import:
    """The entries of a project, and what a report has to contain."""

    project: ComposeProject
    outcomes: list[Outcome]
    secrets: list[Secret]
    """Those that entries use."""
    values: PlainValues
    all_secrets: Secrets

    @property
    def written(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.written]

    @property
    def copies(self) -> list[CopiedFile]:
        """The files that entries need, each once."""
        found = {copy.target: copy for outcome in self.written for copy in outcome.files}
        return list(found.values())

    def content(self) -> dict[str, Any]:
        """The catalogue's file."""
        generated = {
            secret.name: secret.generate for secret in self.secrets if secret.generate is not None
        }
        services = {outcome.name: outcome.entry for outcome in self.written}
        return {**({"secrets": generated} if generated else {}), "services": services}

    def refuse(self, problems: Mapping[str, Sequence[str]]) -> None:
        """Leave out the services whose entries the catalogue's loader does not accept."""
        for outcome in self.written:
            for text in problems.get(outcome.name, ()):
                outcome.refuse(
                    "entry", text, "correct the compose file, or write the entry by hand"
                )
        names = {outcome.name for outcome in self.written}
        for outcome in self.written:
            waits = outcome.entry.get("depends_on")
            if isinstance(waits, dict):
                kept = {name: how for name, how in waits.items() if name in names}
                outcome.entry["depends_on"] = kept
            elif waits:
                outcome.entry["depends_on"] = [name for name in waits if name in names]
            if waits and not outcome.entry["depends_on"]:
                outcome.entry.pop("depends_on")

    def hidden(self, text: str) -> str:
        """A text without any value of a secret, whatever led it there."""
        for value in sorted(self.all_secrets.values(), key=len, reverse=True):
            if not value.isalpha():
                text = text.replace(value, "…")
        return text


def import_project(project: ComposeProject, root: Path) -> Import:
    """Make the entries of all services.

    :param root: of the checkout, whose catalogue has names already.
    """
    catalogue = read_entries(root, root / "catalog" / f"{project.name}.yaml")
    return _Importing(project, catalogue).run()


class _Importing:
    """The rules of all keys, with what they have in common."""

    def __init__(self, project: ComposeProject, catalogue: CatalogueEntries) -> None:
        variables = project.variables
        self._project = project
        self._catalogue = catalogue
        free = FreeNames(catalogue.services, project.name)
        self._names = {name: free.take(name) for name in project.services}
        secret_names = FreeNames(catalogue.secrets, project.name, kept_secret_name, LONGEST_SECRET)
        self._secrets = Secrets(variables, secret_names)
        self._plain = PlainValues(variables)
        self._environment = EnvironmentRules(variables, self._secrets, self._plain)
        self._commands = CommandRules(variables, self._secrets, self._plain)
        self._mounts = MountRules(
            variables,
            project.name,
            FreeNames(
                {*catalogue.volumes, *self._own_volumes()},
                project.name,
                volume_name,
                LONGEST_SECRET,
            ),
            project.volumes,
            project.configs,
            project.folder,
        )
        self._linked = network.linked(project.services)
        self._needed_by_end = health.needed_by_end(project.services)
        self._built = built_images(project.services)
        self._builds = {name: build_name(own, project.name) for name, own in self._names.items()}

    def _own_volumes(self) -> Iterator[str]:
        """Names of the volumes that the stack itself makes."""
        for name in (*self._catalogue.services, *self._names.values()):
            yield f"{name}-models"
        yield "monitor-history"

    def run(self) -> Import:
        services = self._project.services
        self._environment.collect(services)
        outcomes = {name: self._outcome(name, service) for name, service in services.items()}
        written = {name for name, outcome in outcomes.items() if outcome.written}
        for name in written:
            health.apply_dependencies(services[name], self._names, written, outcomes[name])
        for outcome in outcomes.values():
            self._remove_values_of_secrets(outcome)
            outcome.entry = _ordered(outcome.entry)
        for name, path in self._project.missing:
            if name in outcomes:
                outcomes[name].todo.append(
                    f"env_file {path} does not exist: its variables are not carried"
                )
        used = set(_used_secrets(outcome.entry for outcome in outcomes.values() if outcome.written))
        return Import(
            self._project,
            list(outcomes.values()),
            [secret for name, secret in self._secrets.all.items() if name in used],
            self._plain,
            self._secrets,
        )

    def _outcome(self, name: str, service: Section) -> Outcome:
        outcome = Outcome(name, self._names[name], tuple(service.get("profiles") or ()))
        variables = self._project.variables
        command = model_servers.command_text(service, variables)
        others = [other for other in self._project.services if other != name]
        outcome.replaced = replacement(service, command, others, self._names)
        if outcome.replaced:
            return outcome
        outcome.entry["kind"] = "container"
        find_obstacles(service, outcome)
        apply_image(service, self._built, self._builds, outcome)
        self._environment.apply(service, outcome)
        self._apply_secrets(service, outcome)
        self._commands.apply(service, outcome)
        self._mounts.apply(service, outcome)
        health.apply_health_check(service, self._commands, outcome)
        job = health.is_job(service, command, name in self._needed_by_end)
        kind = None if job else model_servers.server_kind(service, variables)
        self._apply_rest(name, service, outcome, kind, command, job)
        report_without_use(service, outcome)
        return outcome

    def _apply_rest(
        self,
        name: str,
        service: Section,
        outcome: Outcome,
        kind: str | None,
        command: str,
        job: bool,
    ) -> None:
        variables = self._project.variables
        plain = {
            key: variables.plain(text or "")
            for key, text in (service.get("environment") or {}).items()
        }
        network.apply_ports(service, kind, command, outcome)
        network.apply_hosts(service, outcome)
        health.apply_restart(service, job, outcome)
        health.apply_stop(service, outcome)
        resources.apply_gpus(service, plain, outcome)
        resources.apply_devices(service, outcome)
        resources.apply_shared_memory(service, outcome)
        resources.apply_limits(service, kind, outcome)
        apply_hardening(service, self._catalogue, outcome, job=job)
        health.apply_start_timeout(service, kind, command, outcome)
        if job:
            outcome.entry.pop("port", None)
            outcome.entry.pop("health", None)
        resources.apply_ulimits(service, outcome)
        if service.get("working_dir"):
            outcome.carry("working_dir", service["working_dir"])
        self._apply_labels(service, outcome)
        self._apply_names(name, service, outcome)
        if kind:
            self._apply_serves(kind, command, outcome)

    def _apply_secrets(self, service: Section, outcome: Outcome) -> None:
        """Compose's own secrets: files under /run/secrets."""
        found: dict[str, str] = {}
        for target, source in (service.get("secrets") or {}).items():
            definition = self._project.secrets.get(source)
            given = definition if isinstance(definition, dict) else {}
            file = given.get("file")
            path = self._project.folder / Path(str(file)).expanduser() if file else None
            variable = given.get("environment")
            secret = self._secrets.of_file(source, path, variable, outcome.original)
            found[secret.name] = target if target.startswith("/") else f"/run/secrets/{target}"
        if not found:
            return
        if all(path == f"/run/secrets/{name}" for name, path in found.items()):
            outcome.carry("secrets", list(found))
        else:
            outcome.carry("secrets", found)

    def _apply_labels(self, service: Section, outcome: Outcome) -> None:
        labels: dict[str, str] = service.get("labels") or {}
        secret = [
            key for key, text in labels.items() if is_secret_name(key) or is_secret_value(text)
        ]
        for key in secret:
            outcome.lose(f"labels {key}", "it holds a secret", "labels are visible to everyone")
        kept = {key: text for key, text in labels.items() if key not in secret}
        if kept:
            outcome.carry("labels", kept)

    def _apply_names(self, name: str, service: Section, outcome: Outcome) -> None:
        """Names by which others reach the service, where they are not its own."""
        given = [
            name,
            *network.aliases(service, self._project.networks),
            *self._linked.get(name, []),
        ]
        found = [alias for alias in dict.fromkeys(given) if alias != outcome.name]
        if found:
            outcome.entry["aliases"] = found
        if outcome.name != name:
            outcome.change("name", f"{name} is now {outcome.name}; it is reached by both names")
        further = [alias for alias in found if alias != name]
        if further:
            outcome.change("aliases", f"it is also reached as {', '.join(further)}")

    def _apply_serves(self, kind: str, command: str, outcome: Outcome) -> None:
        if "port" not in outcome.entry:
            outcome.lose("serves", f"{kind} has no port here", "set port and serves")
            return
        environment: Mapping[str, str] = outcome.entry.get("secret_environment", {})
        variables = [*model_servers.KEY_VARIABLES.get(kind, {}).values(), "API_KEY"]
        held = next((environment[key] for key in variables if key in environment), "")
        key = _NAMED.search(held)
        outcome.entry["serves"] = model_servers.served(kind, command, key[1] if key else None)
        tasks = ", ".join(outcome.entry["serves"].get("tasks", ["chat"]))
        outcome.change("serves", f"{kind}: the gateway offers its models ({tasks})")

    def _remove_values_of_secrets(self, outcome: Outcome) -> None:
        """The last check: no text of the entry or of its files holds a secret's value."""
        values = {
            value
            for value in self._secrets.values()
            if len(value) >= SHORTEST_FOUND and not value.isalpha()
        }
        for copy in list(outcome.files):
            if any(found in text for text in contents(copy) for found in values):
                outcome.files.remove(copy)
                outcome.todo.append(f"{copy.source} is not copied: it holds a secret")
        for key, value in list(outcome.entry.items()):
            for text in map(_without_names, _texts(value)):
                if is_secret_value(text) or any(found in text for found in values):
                    outcome.entry.pop(key, None)
                    outcome.lose(
                        key,
                        "it holds a secret",
                        "write the key again, without it; use "
                        "secret_environment, and a shell that reads the variable",
                    )
                    break


def contents(copy: CopiedFile) -> list[str]:
    """The texts of a file, or of the files of a folder."""
    if copy.content is not None:
        return [copy.content]
    files = text_files(copy.source) if copy.source.is_dir() else [copy.source]
    return [file.read_text(encoding="utf-8") for file in files]


def _ordered(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in _ORDER if key in entry}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _without_names(text: str) -> str:
    """A text without the names of secrets and values that it has in their place."""
    return re.sub(r"\$\{[^}]*\}", "", text)


def _used_secrets(entries: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        yield from entry.get("secrets", ())
        for text in entry.get("secret_environment", {}).values():
            yield from _NAMED.findall(text)
