"""The commands of `./dev`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from toolchain.commands.checks import Checks
from toolchain.commands.compose_import import import_compose
from toolchain.commands.logs import StackLogs
from toolchain.commands.rollback import Rollback
from toolchain.compose import arguments as import_arguments
from toolchain.project import DEV_STACK, Project
from toolchain.setup.base_images import BaseImage
from toolchain.setup.browsers import Browsers
from toolchain.setup.checking_programs import CheckingPrograms
from toolchain.setup.docker_engine import DockerEngine
from toolchain.setup.docker_plugin import DockerPlugin
from toolchain.setup.engine_checks import Verdict, engine_checks, read_engine_info
from toolchain.setup.image_store import ImageStore
from toolchain.setup.pulumi_programs import PulumiPrograms
from toolchain.setup.python_environment import PythonEnvironment
from toolchain.stack import containers, first_answer, proxy
from toolchain.stack.environment import pulumi_environment, with_docker_host
from toolchain.stack.local_state import LocalState
from toolchain.stack.pulumi_command import PulumiCommand
from toolchain.stack.stack import DevStack
from toolchain.steps import SetupStep, ensure
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress

INTERRUPTED = 130
ANSWER_SHOWN = 60
# Commands whose further arguments go to pytest.
PYTEST_COMMANDS = ("check", "test")
CHAT = "chat-interface"


def main(args: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    options, rest = parser().parse_known_args(args)
    if rest and options.command not in PYTEST_COMMANDS:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command is None:
        parser().print_help()
        return 0
    project = Project.at(Path(__file__).resolve().parents[2])
    progress = Progress()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        match options.command:
            case "up":
                return up(project, progress)
            case "down":
                return down(project, progress, volumes=options.volumes)
            case "rollback":
                return rollback(project, progress, options.stack, options.images)
            case "logs":
                return logs(project, progress, options)
            case "import":
                return import_compose(project, args[1:])
            case "install":
                return install(project, progress)
            case "check":
                return check(project, progress, rest)
            case "test":
                return test(project, progress, rest)
            case _:
                return doctor(project, progress)
    except SetupError as error:
        progress.print(f"error: {error}")
        return 1
    except PermissionError as error:
        progress.print(
            f"error: no permission for {error.filename}. If an earlier run as root created it: "
            "sudo chown -R $(id -u) .state .venv logs"
        )
        return 1
    except KeyboardInterrupt:
        progress.print(f"Interrupted. Run ./dev {options.command} again to continue.")
        return INTERRUPTED


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """The arguments of `./dev`."""
    top = argparse.ArgumentParser(
        prog="./dev", description="Set up this machine and run the dev stack on it."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (
        ("up", "install what is missing, deploy the dev stack, wait until its chat answers"),
        ("down", "remove the dev stack; its model volumes are kept"),
        ("logs", "show the logs of all services of a stack, and follow them"),
        ("rollback", "run the images of the previous version of a stack"),
        ("import", import_arguments.SUMMARY),
        ("install", "install Pulumi and its Python environment only, without Docker Engine"),
        ("check", "run format, lint, types, layers and unit tests, without Docker"),
        ("test", "run all checks and all tests"),
        ("doctor", "report what is installed and what the other commands would do"),
    ):
        pytest_arguments = name in PYTEST_COMMANDS
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}."
            + (" Further arguments are passed to pytest." if pytest_arguments else ""),
            usage=f"./dev {name} [--help] [PYTEST ARGUMENTS]" if pytest_arguments else None,
            # -h is an option of pytest.
            add_help=not pytest_arguments,
        )
        if pytest_arguments:
            command.add_argument("--help", action="help", help="show this; pytest's help: -h")
        if name == "down":
            command.add_argument(
                "--volumes", action="store_true", help="remove the model volumes too"
            )
        if name == "import":
            import_arguments.add_arguments(command)
        if name == "logs":
            command.add_argument(
                "--stack", default=DEV_STACK, metavar="NAME", help="default: %(default)s"
            )
            command.add_argument("--since", metavar="TIME", help="such as 10m, or 2026-11-28T05:31")
            command.add_argument(
                "--tail", metavar="N", help="last lines of each; default: 20, or all with --since"
            )
            command.add_argument(
                "--no-follow", dest="follow", action="store_false", help="end after these lines"
            )
            command.add_argument(
                "services", nargs="*", metavar="SERVICE", help="default: all services"
            )
        if name == "rollback":
            command.add_argument(
                "--stack", default=DEV_STACK, metavar="NAME", help="default: %(default)s"
            )
            command.add_argument(
                "images", nargs="*", metavar="IMAGE", help="such as chat; default: all images"
            )
    return top


def setup_steps(project: Project) -> list[SetupStep]:
    """The setup of `up` and `test`, in order."""
    return [
        PythonEnvironment(project),
        DockerEngine(project),
        ImageStore(),
        PulumiPrograms(project),
        DockerPlugin(project),
        BaseImage(project, "ubuntu:24.04"),
        BaseImage(project, "python:3.11-slim"),
    ]


def up(project: Project, progress: Progress) -> int:
    """Set up the machine, deploy the dev stack and wait for the first chat completion."""
    start = time.monotonic()
    for setup in [*setup_steps(project), LocalState(project)]:
        ensure(setup, progress)
    stack = DevStack(project, progress)
    with progress.step(f"Stack {DEV_STACK}") as step:
        stack.select(step)
    with progress.step("Settings of this machine") as step:
        stack.adapt(step)
    try:
        with progress.step("pulumi up") as step:
            step.doing("building images and starting containers")
            stack.up()
            step.done("finished")
        urls = stack.outputs()["urls"]
        print_first_answer(urls, stack, progress)
    except SetupError:
        print_unhealthy_containers(stack, progress)
        raise
    where = f"The chat is at {urls[CHAT]}" if urls.get(CHAT) else "The stack is running"
    progress.print()
    progress.print(f"{where} (total time {time.monotonic() - start:.0f} s). Next:")
    progress.print("  . toolchain/activate    adds pulumi and its environment to this shell, then")
    progress.print("  pulumi preview          shows the effect of your changes")
    progress.print("  ./dev down              removes the stack")
    return 0


def print_first_answer(urls: Mapping[str, str | None], stack: DevStack, progress: Progress) -> None:
    """Request a chat completion and print it, or print why no request is possible.

    :param urls: by service, its URL on this machine; None without a host port.
    """
    url = urls.get(CHAT)
    if not url:
        progress.print(
            f"      {CHAT} has no host port (llm-stack:hostPorts.{CHAT}): no request sent."
            if CHAT in urls
            else "      The stack has no chat."
        )
        running = [f"{name} at {address}" if address else name for name, address in urls.items()]
        progress.print(
            f"      Running: {', '.join(running) or 'only the monitor'}. List the containers:"
        )
        progress.print(f"      docker ps --filter label={containers.STACK_LABEL}")
        return
    with progress.step("First answer") as step:
        try:
            reply = first_answer.wait(url, step, stack.containers)
        except first_answer.NoModel:
            step.done("the chat is running without models. To add one, after . toolchain/activate:")
            services = json.dumps([*urls, "phi-inference"])
            step.print(f"pulumi config set services '{services}' && pulumi up")
            return
        except first_answer.KeyNeeded:
            step.done(
                "the chat is running; it requires an API key (llm-stack:apiKeys): no request sent"
            )
            return
        step.done(f"{reply.model} sent {reply.chunks} chunks")
    shown = reply.text[:ANSWER_SHOWN].replace("\n", " ")
    progress.print(f"      {shown}{'…' if len(reply.text) > ANSWER_SHOWN else ''}")
    if reply.placeholder:
        progress.print(
            f"      This is the demo model {reply.placeholder}, in place of {reply.model}."
        )


def print_unhealthy_containers(stack: DevStack, progress: Progress) -> None:
    """Print the last log lines of every unhealthy container of the stack."""
    for container in stack.containers():
        if not container.healthy:
            progress.print(f"{container.name} is {container.condition}. Its last log lines:")
            for line in container.last_log_lines():
                progress.print(f"    {line}")


def down(project: Project, progress: Progress, *, volumes: bool) -> int:
    """Destroy the stack, and optionally its model volumes."""
    if not project.pulumi_state.is_dir() or not (project.bin / "pulumi").exists():
        progress.print("This checkout has no dev stack.")
        return 0
    ensure(DockerEngine(project), progress)
    stack = DevStack(project, progress)
    if stack.exists:
        with progress.step("pulumi destroy") as step:
            step.doing("removing containers, networks and images")
            stack.select(step)
            stack.destroy()
            step.done("finished")
    kept = containers.volumes()
    if volumes and kept:
        containers.remove_volumes(kept)
        progress.print(f"Removed the volumes {', '.join(kept)}.")
    elif kept:
        progress.print(f"Kept the volumes {', '.join(kept)}; ./dev down --volumes removes them.")
    return 0


def rollback(project: Project, progress: Progress, stack: str, images: Sequence[str]) -> int:
    """Return a stack to its previous version."""
    with progress.step(f"Rollback of {stack}") as step:
        step.doing("looking for the previous version")
        Rollback(project, progress, stack).run(images)
        step.done("the previous version is running")
    return 0


def logs(project: Project, progress: Progress, options: argparse.Namespace) -> int:
    """Show the logs of a stack until Ctrl-C."""
    stack = PulumiCommand(project, progress, options.stack)
    # On the engine of the stack, which only its settings name.
    environment = stack.environment if options.stack == DEV_STACK else stack.docker_environment()
    tail = options.tail or ("all" if options.since else "20")
    try:
        StackLogs(options.stack, options.services, environment).show(
            tail=tail, since=options.since, follow=options.follow
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as head, has ended: nothing more may be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def install(project: Project, progress: Progress) -> int:
    """Install what previews and deployments to other machines need."""
    for setup in (
        PythonEnvironment(project),
        PulumiPrograms(project),
        DockerPlugin(project),
        LocalState(project),
    ):
        ensure(setup, progress)
    return 0


def check(project: Project, progress: Progress, pytest_args: Sequence[str]) -> int:
    """Run the linters and the unit tests."""
    ensure(PythonEnvironment(project), progress)
    return Checks(project, progress, pulumi_environment(project)).quick(pytest_args)


def test(project: Project, progress: Progress, pytest_args: Sequence[str]) -> int:
    """Set up what the tests need, then run all checks and tests."""
    for setup in [*setup_steps(project), Browsers(project), CheckingPrograms(project)]:
        ensure(setup, progress)
    environment = with_docker_host(pulumi_environment(project))
    return Checks(project, progress, environment).full(pytest_args)


def doctor(project: Project, progress: Progress) -> int:
    """Report every setup step and the engine; return 1 if anything is missing or broken."""
    complete = True
    every = [
        *setup_steps(project),
        LocalState(project),
        Browsers(project),
        CheckingPrograms(project),
    ]
    for setup in every:
        finding = setup.find()
        complete = complete and finding.ready
        outcome = "present" if finding.ready else "missing"
        progress.print(f"{outcome:>13}  {setup.title}: {finding.what}")
    info = read_engine_info()
    for check in engine_checks(info) if info else ():
        complete = complete and check.verdict is not Verdict.PROBLEM
        progress.print(f"{check.verdict:>13}  {check.title}: {check.what}")
    for note in proxy.notes():
        progress.print(f"{'note':>13}  Proxy: {note}")
    print_containers(DevStack(project, progress), progress)
    if not complete:
        progress.print("Run ./dev up to install what is missing.")
    return 0 if complete else 1


def print_containers(stack: DevStack, progress: Progress) -> None:
    """Print the state of this checkout's containers, and name what else has the stack's label."""
    own = stack.containers() if stack.exists else []
    for container in own:
        if container.service:
            progress.print(f"{'stack':>13}  {container.name}: {container.condition}")
    known = {container.id for container in own}
    found = (one for one in containers.list_containers() if one.service)
    others = [one.name for one in found if one.id not in known]
    if others:
        progress.print(
            f"{'note':>13}  Another checkout has a stack {DEV_STACK} on this engine, or a killed "
            f"update left these containers: {', '.join(others)}"
        )
