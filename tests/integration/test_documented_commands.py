"""Runs every command of the README and of the pages for operators on one stack."""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import PROJECT_ROOT, StackUnderTest
from tests.integration.documentation import commands
from tests.ports import free_port

WEBHOOK_RECEIVER = PROJECT_ROOT / "tests" / "doubles" / "webhook_receiver.py"
PAGES = ("README.md", "docs/operating.md", "docs/backup.md", "docs/troubleshooting.md")
# Documented commands that are not run here, with the reason.
ELSEWHERE = {
    "./dev up": "would replace this machine's dev stack",
    "./dev down": "would destroy this machine's dev stack",
    "./dev down --volumes": "would remove this machine's models",
    "./dev test": "runs this very test",
    "./dev check": "tests/unit/toolchain/commands/test_cli.py; it needs no engine",
    "./dev install": "has to be run before any test",
    "./dev import docker-compose.yml": "tests/unit/toolchain/compose; it needs no engine",
    "./dev import": "the same",
    "./dev logs": "test_stack_logs.py",
    "./dev logs phi-inference": "the same",
    "./dev logs --help": "the same",
    "./dev rollback": "test_rollback.py",
    "./dev rollback --stack prod chat": "test_rollback.py",
    "pulumi destroy --run-program": "test_repair.py",
    "docker system prune --all --volumes": "would remove what others have on this engine",
    "docker builder prune --force": "the same",
    "docker node ls": "test_swarm_stack.py, which has a Swarm",
    "git pull": "needs a Git remote",
    "systemctl start docker": "the engine is already running, and not always by systemd",
    "python3 -m toolchain.commands.adopt prod import.json "
    "chat-interface-tunnel-cloudflare-tunnel=<account id>/<tunnel id>": "needs an account",
}
# Wrappers of the real programs: they keep commands from waiting for input and from changing other
# stacks of this engine.
PULUMI = """\
#!/bin/sh
case "$1" in
    up | destroy | refresh) exec {pulumi} "$@" --non-interactive --yes --skip-preview ;;
    cancel) exec {pulumi} "$@" --non-interactive --yes ;;
esac
exec {pulumi} "$@" --non-interactive
"""
DOCKER = """\
#!/bin/bash
command=$1 && shift
case "$command" in
    stats) exec {docker} stats --no-stream "$@" ;;
esac
exec {docker} "$command" "$@"
"""
TAIL = """\
#!/bin/sh
shift
exec {tail} "$@"
"""


class Shell:
    """A shell in a checkout with one stack."""

    def __init__(self, stack: StackUnderTest) -> None:
        self.stack = stack
        shims = stack.directory / "shims"
        shims.mkdir()
        for name, text in (("pulumi", PULUMI), ("docker", DOCKER), ("tail", TAIL)):
            real = shutil.which(name)
            (shims / name).write_text(text.format(stack=stack.name, **{name: real}))
            (shims / name).chmod(0o755)
        self.environment = {**stack.environment, "PATH": f"{shims}:{os.environ['PATH']}"}
        self.values = {
            "dev import.json": f"{stack.name} import.json",
            "--create dev": f"--create {stack.name}",
            "Pulumi.dev.yaml": f"Pulumi.{stack.name}.yaml",
            "llm-stack.stack=dev": f"llm-stack.stack={stack.name}",
            "llm-stack-dev/": f"llm-stack-{stack.name}/",
            "<somewhere else>": str(stack.directory / "backup"),
            "<commit>": "HEAD~1",
            "<image>": "chat",
        }

    def __call__(self, command: str) -> str:
        """Run a documented command; return its output."""
        for text, value in self.values.items():
            command = command.replace(text, value)
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.stack.project,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        # The findings of `doctor` depend on the machine.
        if result.returncode and command != "./dev doctor":
            pytest.fail(f"{command}:\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def git(self, *args: str) -> None:
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        subprocess.run(
            ["git", *who, *args], cwd=self.stack.project, check=True, capture_output=True
        )


@pytest.fixture(scope="module")
def run(stack: StackUnderTest) -> Shell:
    (stack.directory / "backup").mkdir()
    return Shell(stack)


@pytest.fixture(scope="module", autouse=True)
def history_of_the_checkout(run: Shell) -> None:
    """Make two commits; the older one has another monitor and the same settings."""
    page = run.stack.project / "app" / "monitor" / "__init__.py"
    now = page.read_text(encoding="utf-8")
    page.write_text(now + "# older\n", encoding="utf-8")
    run.git("init", "--quiet")
    run.git("add", "--all")
    run.git("commit", "--quiet", "--message", "Older")
    page.write_text(now, encoding="utf-8")
    run.git("commit", "--quiet", "--all", "--message", "Now")
    chat, monitor = free_port(), free_port()
    run.stack.configure(
        services=["chat-interface", "phi-inference"],
        hostPorts={"chat-interface": chat, "monitor": monitor},
        monitor={"interval": 2},
        placeholderModel="tiny",
    )
    run.values["127.0.0.1:8080"] = f"127.0.0.1:{chat}"


def calls() -> Iterator[str]:
    """The commands that this file runs."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run":
            (argument,) = node.args
            assert isinstance(argument, ast.Constant)
            yield str(argument.value)


def test_every_documented_command_is_run_here_or_listed_as_exception() -> None:
    documented = {command for page in PAGES for command in commands(PROJECT_ROOT / page)}
    assert documented == {*calls(), *ELSEWHERE}


def test_up_and_inspection(run: Shell) -> None:
    run(". toolchain/activate")
    run("pulumi preview")
    run("pulumi up")
    services = {"chat-interface", "phi-inference", "monitor", "restarter"}
    assert set(run.stack.containers()) == services
    for line in (
        run("docker ps"),
        run("docker ps --filter label=llm-stack.stack=dev"),
        run("docker ps -a --filter label=llm-stack.stack=dev"),
    ):
        assert all(service in line for service in services)
    assert "phi-inference" in run("docker stats $(docker ps -qf label=llm-stack.stack=dev)")
    socket_group = run("docker run --rm -v /var/run/docker.sock:/s python:3.11-slim stat -c %g /s")
    assert socket_group.strip().isdigit()
    assert "phi-3-mini" in run("curl -s 127.0.0.1:8080/v1/models")
    assert "phi-3-mini" in run("curl -s 127.0.0.1:8080/status")
    assert "docker:index/container:Container" in run("pulumi stack --show-urns")
    assert "phi-inference-models" in run("docker volume ls --filter label=llm-stack.stack=dev")
    assert "Build Cache" in run("docker system df")
    assert "Docker Engine" in run("./dev doctor")
    # The engine runs its first check after 30 s: last.
    run.stack.wait_for_the_engines_checks()
    assert '"healthy"' in run(
        "docker inspect --format '{{json .State.Health}}' "
        "$(docker ps -qf label=llm-stack.stack=dev -f label=llm-stack.service=phi-inference)"
    )


def test_logs(run: Shell) -> None:
    assert run(
        "docker logs --tail 50 $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=phi-inference)"
    )
    run.values["<container>"] = run.stack.containers()["monitor"].name or ""
    assert run("docker logs <container>")
    assert run("tail -f logs/*.log")
    assert run("tail -f logs/<image>.log")


def test_one_service_is_restarted_and_stopped(run: Shell) -> None:
    before = run.stack.containers()["phi-inference"].attrs["State"]["StartedAt"]
    run(
        "docker restart $(docker ps -qf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=phi-inference)"
    )
    assert run.stack.containers()["phi-inference"].attrs["State"]["StartedAt"] > before
    run(
        "docker stop $(docker ps -qf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=phi-inference)"
    )
    assert run.stack.containers()["phi-inference"].status == "exited"
    run("pulumi up")
    assert run.stack.containers()["phi-inference"].status == "running"
    run("pulumi refresh")
    run("pulumi refresh --clear-pending-creates")
    run.stack.pulumi("preview", "--expect-no-changes")


def test_the_update_mode_of_a_service_is_set(run: Shell) -> None:
    """Its effect is tested in test_updates.py."""
    run("pulumi config set --path 'llm-stack:updates.phi-inference' recreate")
    run("pulumi preview")
    run("pulumi config rm --path 'llm-stack:updates.phi-inference'")
    run.stack.pulumi("config", "rm", "llm-stack:updates")


@contextmanager
def webhook_receiver(run: Shell) -> Iterator[Callable[[str], None]]:
    """Run a webhook receiver on the stack's network; yield a function that waits for a text."""
    container = run.stack.engine.containers.run(
        run.stack.containers()["chat-interface"].attrs["Image"],
        ["-c", WEBHOOK_RECEIVER.read_text(encoding="utf-8")],
        entrypoint=["python3"],
        name=f"{run.stack.name}-sink",
        detach=True,
        network=run.stack.outputs()["network"],
        labels={"llm-stack.stack": run.stack.name},
    )

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 90
        while text not in (log := container.logs().decode()):
            assert time.monotonic() < deadline, f"{text!r} is not in {log}"
            time.sleep(0.5)

    try:
        yield wait_for
    finally:
        container.remove(force=True)


def test_alerts_are_sent_for_a_failure_and_its_recovery(run: Shell) -> None:
    # Without a terminal, pulumi does not prompt for the URL.
    for command, path in (("alertWebhook-team", "team"), ("heartbeatUrl", "beat")):
        url = f"http://{run.stack.name}-sink:8000/{path}"
        run.values[f"--secret {command}"] = f"--secret {command} {url}"
    with webhook_receiver(run) as wait_for:
        run("pulumi config set --secret alertWebhook-team")
        run("pulumi config set --secret heartbeatUrl")
        run("pulumi up")
        wait_for("/beat")
        run(
            "docker stop $(docker ps -qf label=llm-stack.stack=dev "
            "-f label=llm-stack.service=phi-inference)"
        )
        wait_for("/team")
        wait_for("phi-inference")
        run("pulumi up --refresh")
        wait_for("recovered")
    run("pulumi config rm alertWebhook-team")
    run.stack.pulumi("config", "rm", "heartbeatUrl")
    run("pulumi up")


def monitors_file(run: Shell, name: str) -> bytes:
    """Read a file of the monitor's volume."""
    chunks, _ = run.stack.containers()["monitor"].get_archive(f"/var/lib/monitor/{name}")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        return content(archive, name)


def content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()


def test_a_backup_is_restored_after_everything_was_lost(run: Shell) -> None:
    run("pulumi stack export --file stack.json")
    run(
        "docker run --rm --volumes-from $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=monitor) "
        "--entrypoint tar $(docker inspect --format '{{.Image}}' "
        "$(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=monitor)) -c -C /var/lib/monitor . > history.tar"
    )
    used = usage_after_a_request(run)
    run(
        "docker exec $(docker ps -qf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=chat-interface) python3 -m app.chat.usage --backup "
        "> usage.sqlite"
    )
    run("cp Pulumi.dev.yaml stack.json history.tar usage.sqlite <somewhere else>")
    assert set(os.listdir(run.stack.directory / "backup")) == {
        f"Pulumi.{run.stack.name}.yaml",
        "stack.json",
        "history.tar",
        "usage.sqlite",
    }
    with tarfile.open(run.stack.project / "history.tar") as archive:
        kept = content(archive, "./state.json")
    run("pulumi destroy")
    assert not run.stack.containers()
    lose_the_state(run)
    run("pulumi stack select --create dev")
    run("pulumi stack import --file stack.json")
    run("pulumi up --refresh")
    run("docker stop $(docker ps -qf label=llm-stack.stack=dev -f label=llm-stack.service=monitor)")
    run(
        "docker run --rm -i --volumes-from $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=monitor) "
        "--entrypoint tar $(docker inspect --format '{{.Image}}' "
        "$(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=monitor)) -x -C /var/lib/monitor < history.tar"
    )
    assert monitors_file(run, "state.json") == kept
    run(
        "docker start $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=monitor)"
    )
    run(
        "docker stop $(docker ps -qf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=chat-interface)"
    )
    run(
        "docker run --rm -i --volumes-from $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=chat-interface) "
        "--entrypoint sh $(docker inspect --format '{{.Image}}' "
        "$(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=chat-interface)) "
        "-c 'cd /var/lib/chat && rm -f usage.sqlite-* && cat > usage.sqlite' < usage.sqlite"
    )
    run(
        "docker start $(docker ps -aqf label=llm-stack.stack=dev "
        "-f label=llm-stack.service=chat-interface)"
    )
    run.stack.wait_until_healthy()
    assert usage(run) == used
    run.stack.pulumi("preview", "--expect-no-changes")


def usage(run: Shell) -> str:
    """The table of the usage."""
    chat = run.stack.containers()["chat-interface"]
    _, output = chat.exec_run(["python3", "-m", "app.chat.usage"])
    assert isinstance(output, bytes)
    return output.decode()


def usage_after_a_request(run: Shell) -> str:
    """The table once the gateway has written a request, which it does every five seconds."""
    url = f"http://{run.values['127.0.0.1:8080']}/v1/chat/completions"
    body = {"model": "phi-3-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    wait_until(lambda: httpx.post(url, json=body, timeout=60).status_code == 200)
    wait_until(lambda: "phi-3-mini" in usage(run))
    # Stopped and started, it has written all of them.
    run.stack.containers()["chat-interface"].restart()
    run.stack.wait_until_healthy()
    return usage(run)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def lose_the_state(run: Shell) -> None:
    state = run.stack.directory / "state"
    shutil.rmtree(state)
    state.mkdir()


def kept_volumes(run: Shell) -> set[str]:
    """Volumes with data, without those that only hold generated settings."""
    label: dict[str, Any] = {"label": f"llm-stack.stack={run.stack.name}"}
    names = {volume.name for volume in run.stack.engine.volumes.list(filters=label)}
    return {name for name in names if "-volume-" not in name}


def test_running_resources_are_imported_into_a_new_state(run: Shell) -> None:
    label: dict[str, Any] = {"label": f"llm-stack.stack={run.stack.name}"}
    engine = run.stack.engine
    networks = {network.id for network in engine.networks.list(filters=label)}
    volumes = kept_volumes(run)
    containers = set(run.stack.containers())
    lose_the_state(run)
    run("pulumi stack select --create dev")
    run("pulumi preview --import-file import.json")
    found = run("python3 -m toolchain.commands.adopt dev import.json")
    assert "phi-inference-models" not in found.partition("creates")[2]
    run("pulumi import --file import.json --yes --protect=false --generate-code=false")
    run("pulumi up")
    assert {network.id for network in engine.networks.list(filters=label)} == networks
    assert kept_volumes(run) == volumes
    assert set(run.stack.containers()) == containers
    assert len(engine.containers.list(filters=label)) == len(containers), (
        "no duplicate container is left"
    )
    run.stack.pulumi("preview", "--expect-no-changes")


def created_services(run: Shell) -> set[str]:
    return {
        name.partition("::")[2]
        for name, step in run.stack.planned_changes().items()
        if "ServiceStack::" in name and step == "create"
    }


def test_a_service_can_be_stopped_before_its_new_version_starts(run: Shell) -> None:
    """Its effect is tested in test_updates.py and in the unit tests."""
    run("pulumi config set --path 'llm-stack:updates.phi-inference' recreate")
    run("pulumi preview")
    run("pulumi config rm --path 'llm-stack:updates.phi-inference'")
    run.stack.pulumi("preview", "--expect-no-changes")


def test_the_enabled_services_are_set(run: Shell) -> None:
    own = {"monitor", "restarter"}
    run('pulumi config set services \'["chat-interface", "qwen-inference"]\'')
    assert created_services(run) == {"qwen-inference"}
    run("pulumi config set services all")
    assert created_services(run) == {"qwen-inference", "llama-inference"}
    run("pulumi config set services '[\"phi-inference\"]'")
    run("pulumi up")
    assert set(run.stack.containers()) == own | {"phi-inference"}
    run("pulumi config set services '[\"chat-interface\"]'")
    run("pulumi up")
    assert set(run.stack.containers()) == own | {"chat-interface"}


def test_the_subnet_of_the_networks_is_set(run: Shell) -> None:
    run("pulumi config set --path llm-stack:network.subnet 10.213.0.0/24")
    run("pulumi up")
    run.stack.wait_until_healthy()
    shown = run("docker network inspect -f '{{.Name}} {{.IPAM.Config}}' $(docker network ls -q)")
    assert "10.213.0.0/25" in shown
    assert "10.213.0.240/28" in shown
    run("pulumi up --refresh")
    run.stack.pulumi("preview", "--expect-no-changes")
    run.stack.pulumi("config", "rm", "llm-stack:network")
    run.stack.pulumi("preview", "--expect-no-changes")


def test_the_number_of_connectors_is_set(run: Shell) -> None:
    """Its effect on a stack with tunnels is tested in tests/integration/prod."""
    run("pulumi config set --path llm-stack:tunnel.replicas 3")
    run("pulumi preview")
    run.stack.pulumi("config", "rm", "llm-stack:tunnel")


def test_rollback_by_git_and_kept_versions(run: Shell) -> None:
    run("pulumi config set keepVersions 3")
    run("pulumi up")
    before = run.stack.containers()["monitor"].attrs["Image"]
    run("git checkout <commit> && pulumi up")
    assert run.stack.containers()["monitor"].attrs["Image"] != before
    assert run("docker image ls 'llm-stack-dev/*:served-*'").count("/monitor") == 2


def test_containers_can_be_removed_by_label_and_created_again(run: Shell) -> None:
    run("docker rm -f $(docker ps -aqf label=llm-stack.stack=dev)")
    assert not run.stack.containers(running=False)
    run("pulumi cancel")
    lose_the_state(run)
    run.stack.pulumi("stack", "init", run.stack.name)
    run("pulumi up")
    assert set(run.stack.containers()) == {"chat-interface", "monitor", "restarter"}


def test_destroy_and_clean_up(run: Shell) -> None:
    run("pulumi destroy")
    assert not run.stack.containers(running=False)
    run(
        "docker image rm --force $(docker image ls --format '{{.Repository}}:{{.Tag}}' "
        "'llm-stack-dev/*:served-*')"
    )
    images = run.stack.engine.images.list(filters={"reference": f"llm-stack-{run.stack.name}/*"})
    assert images == []
