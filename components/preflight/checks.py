"""What must hold before anything is made: a plan, held against the engine that will run it."""

from __future__ import annotations

from collections.abc import Set

from components.engine.build_engine import ensure_builds_reach_the_engine, ensure_the_engine_can_build
from components.preflight.cpu_limits import ensure_cpus_can_be_limited
from components.engine.info import EngineInfo
from components.preflight.gpu import ensure_gpus_can_be_had
from components.images.kept_versions import ensure_pins_are_held
from components.preflight.memory import warn_of_memory
from components.plan.plan import Plan


def ensure_the_engine_can_run(
    plan: Plan, images: Set[str], docker_host: str | None, info: EngineInfo | None
) -> None:
    """See that the engine can do what the plan asks; warns of what only may go wrong.

    Raises `SettingsError` with what is wrong and what is allowed.

    :param images: every image that the stack runs, built or pinned.
    :param info: what the engine reports about itself; None where it does not answer.
    """
    source, pins = f"Pulumi.{plan.stack}.yaml", plan.settings.image_digests
    ensure_gpus_can_be_had(plan, info)
    ensure_builds_reach_the_engine(images - pins.keys(), docker_host, source)
    ensure_the_engine_can_build(images - pins.keys(), info)
    ensure_cpus_can_be_limited(plan, info)
    if plan.settings.registry is None:
        ensure_pins_are_held(pins, docker_host, source)
    warn_of_memory(plan, info)
