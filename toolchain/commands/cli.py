"""The commands of `./dev`: up, down, rollback, install, test and doctor."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from toolchain.commands.checks import Checks
from toolchain.commands.rollback import Rollback
from toolchain.commands.steps import SetupStep, ensure
from toolchain.offline.base_images import PYTHON_RECIPE, BaseImage
from toolchain.project import DEV_STACK, Project
from toolchain.setup.browser import Browser
from toolchain.setup.checking_programs import CheckingPrograms
from toolchain.setup.docker_engine import DockerEngine
from toolchain.setup.docker_plugin import DockerPlugin
from toolchain.setup.engine_checks import Verdict, ask_engine, engine_checks
from toolchain.setup.image_store import ImageStore
from toolchain.setup.pulumi_programs import PulumiPrograms
from toolchain.setup.python_environment import PythonEnvironment
from toolchain.stack import containers, first_answer, proxy
from toolchain.stack.local_state import LocalState
from toolchain.stack.stack import DevStack
from toolchain.terminal.errors import SetupError
from toolchain.terminal.progress import Progress

INTERRUPTED = 130
ANSWER_SHOWN = 60
CHAT = "chat-interface"


def main(args: Sequence[str]) -> int:
    """Run one command; give its exit code."""
    options, rest = parser().parse_known_args(args)
    if rest and options.command != "test":
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
            case "install":
                return install(project, progress)
            case "test":
                return test(project, progress, rest)
            case _:
                return doctor(project, progress)
    except SetupError as error:
        progress.say(f"error: {error}")
        return 1
    except PermissionError as error:
        progress.say(
            f"error: You may not use {error.filename}. Where an earlier run as root made it, take "
            "it over: sudo chown -R $(id -u) .state .venv logs"
        )
        return 1
    except KeyboardInterrupt:
        progress.say(f"Interrupted. ./dev {options.command} goes on from here when run again.")
        return INTERRUPTED


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """What a person may type."""
    top = argparse.ArgumentParser(
        prog="./dev", description="Set this machine up, and run the stack for developers on it."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (
        ("up", "install what is missing, bring the dev stack up, wait until its chat answers"),
        ("down", "take the dev stack down; its model volumes stay"),
        ("rollback", "bring the images of the version that served before back, and run them"),
        ("install", "install what pulumi needs, and nothing else: no engine, no stack"),
        ("test", "run format, lint, type checks and all tests; further arguments go to pytest"),
        ("doctor", "say what is there and what would be done about the rest; change nothing"),
    ):
        command = commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", add_help=name != "test"
        )
        if name == "down":
            command.add_argument(
                "--volumes", action="store_true", help="remove the model volumes too"
            )
        if name == "rollback":
            command.add_argument(
                "--stack", default=DEV_STACK, metavar="NAME", help="another one than %(default)s"
            )
            command.add_argument(
                "images",
                nargs="*",
                metavar="IMAGE",
                help="such as chat; all that differ by default",
            )
        if name == "test":
            command.add_argument("--help", action="help", help="show this; pytest's own: -h")
    return top


def setup_steps(project: Project) -> list[SetupStep]:
    """What every command but `doctor` needs, in order."""
    return [
        PythonEnvironment(project),
        DockerEngine(project),
        ImageStore(),
        PulumiPrograms(project),
        DockerPlugin(project),
        BaseImage(project, "ubuntu:24.04"),
        BaseImage(project, "python:3.11-slim", PYTHON_RECIPE),
    ]


def up(project: Project, progress: Progress) -> int:
    """Everything from a bare machine to a chat that has answered, where the stack has one."""
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
        tell_the_first_answer(urls, stack, progress)
    except SetupError:
        tell_what_is_not_well(stack, progress)
        raise
    where = f"The chat is at {urls[CHAT]}" if urls.get(CHAT) else "The stack is up"
    progress.say()
    progress.say(f"{where} (all took {time.monotonic() - start:.0f} s). Next:")
    progress.say("  . toolchain/activate    put pulumi and its settings into this shell, then")
    progress.say("  pulumi preview          shows what a change of yours would do")
    progress.say("  ./dev down              takes the stack down")
    return 0


def tell_the_first_answer(
    urls: Mapping[str, str | None], stack: DevStack, progress: Progress
) -> None:
    """Ask the chat and show its answer, or say why there is nothing to ask.

    :param urls: by service, its address on this machine, where it has one.
    """
    url = urls.get(CHAT)
    if not url:
        progress.say(
            f"      {CHAT} has no port on this machine (llm-stack:hostPorts.{CHAT}): not asked."
            if CHAT in urls
            else "      There is no chat to ask."
        )
        running = [f"{name} at {address}" if address else name for name, address in urls.items()]
        progress.say(f"      What runs: {', '.join(running) or 'the monitor alone'}. See it by:")
        progress.say(f"      docker ps --filter label={containers.STACK_LABEL}")
        return
    with progress.step("First answer") as step:
        try:
            reply = first_answer.wait(url, step, stack.containers)
        except first_answer.NoModel:
            step.done("the chat runs, but no model is on. Add one, once pulumi is in the shell:")
            step.say(f"pulumi config set --path 'services[{len(urls)}]' phi-inference && pulumi up")
            return
        except first_answer.KeyNeeded:
            step.done("the chat runs, and was not asked, as it wants a key (llm-stack:apiKeys)")
            return
        step.done(f"{reply.model} answered in {reply.chunks} pieces")
    shown = reply.text[:ANSWER_SHOWN].replace("\n", " ")
    progress.say(f"      {shown}{'…' if len(reply.text) > ANSWER_SHOWN else ''}")
    if reply.placeholder:
        progress.say(
            f"      This was the demo model {reply.placeholder}, in place of {reply.model}."
        )


def tell_what_is_not_well(stack: DevStack, progress: Progress) -> None:
    """Show the last words of every container of the stack that is not healthy."""
    for container in stack.containers():
        if not container.well:
            progress.say(f"{container.name} is {container.condition}. It said last:")
            for line in container.last_log_lines():
                progress.say(f"    {line}")


def down(project: Project, progress: Progress, *, volumes: bool) -> int:
    """Destroy the stack, and its volumes where that is asked."""
    if not project.pulumi_state.is_dir() or not (project.bin / "pulumi").exists():
        progress.say("There is no dev stack here.")
        return 0
    ensure(DockerEngine(project), progress)
    stack = DevStack(project, progress)
    if stack.exists:
        with progress.step("pulumi destroy") as step:
            step.doing("taking containers, networks and images away")
            stack.select(step)
            stack.destroy()
            step.done("finished")
    kept = containers.volumes()
    if volumes and kept:
        containers.remove_volumes(kept)
        progress.say(f"Removed the volumes {', '.join(kept)}.")
    elif kept:
        progress.say(f"Kept the volumes {', '.join(kept)}; ./dev down --volumes removes them.")
    return 0


def rollback(project: Project, progress: Progress, stack: str, images: Sequence[str]) -> int:
    """Go back to the version before the one that the stack's state names."""
    with progress.step(f"Rollback of {stack}") as step:
        step.doing("looking for the version that served before")
        Rollback(project, progress, stack).run(images)
        step.done("the version before serves")
    return 0


def install(project: Project, progress: Progress) -> int:
    """What a stack elsewhere is previewed and deployed with."""
    for setup in (
        PythonEnvironment(project),
        PulumiPrograms(project),
        DockerPlugin(project),
        LocalState(project),
    ):
        ensure(setup, progress)
    return 0


def test(project: Project, progress: Progress, pytest_args: Sequence[str]) -> int:
    """Set up what the tests need, then run all checks."""
    for setup in [*setup_steps(project), Browser(project), CheckingPrograms(project)]:
        ensure(setup, progress)
    return Checks(project, progress).run(pytest_args)


def doctor(project: Project, progress: Progress) -> int:
    """Look at every step and at the engine; 1 where anything is missing or cannot work."""
    complete = True
    every = [
        *setup_steps(project),
        LocalState(project),
        Browser(project),
        CheckingPrograms(project),
    ]
    for setup in every:
        finding = setup.find()
        complete = complete and finding.ready
        outcome = "there" if finding.ready else "missing"
        progress.say(f"{outcome:>13}  {setup.title}: {finding.what}")
    info = ask_engine()
    for check in engine_checks(info) if info else ():
        complete = complete and check.verdict is not Verdict.PROBLEM
        progress.say(f"{check.verdict:>13}  {check.title}: {check.what}")
    for note in proxy.notes():
        progress.say(f"{'note':>13}  Proxy: {note}")
    for container in containers.list_containers():
        if container.service:
            progress.say(f"{'stack':>13}  {container.name}: {container.condition}")
    if not complete:
        progress.say("./dev up does what is said of the missing ones, where it can.")
    return 0 if complete else 1
