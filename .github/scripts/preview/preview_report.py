"""Prints the report of a preview as Markdown: preview_report.py STACK FOLDER

FOLDER holds events.json (Pulumi's event log), preview.txt and errors.txt.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# GitHub's limit for a comment is 65536 characters.
LONGEST = 60_000
# Component resources have no properties that could change.
OURS = ("llm-stack:", "pulumi:")
VERBS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "create-replacement": "replace",
    "replace": "replace",
    "delete-replaced": "replace",
    "import": "import",
}


@dataclass
class Change:
    """What happens to one resource."""

    urn: str
    first: str
    """The first operation on it: a replacement may begin by deleting."""
    properties: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.urn.split("::")[2].rpartition(":")[2]

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def verb(self) -> str:
        return VERBS[self.first]


@dataclass
class Preview:
    """What the event log contains."""

    changes: list[Change]
    violations: list[str]
    """Of mandatory policies."""
    remarks: list[str]
    """Of advisory policies: what the catalogue opens for a service."""
    finished: bool

    def names(self, kind: str, *firsts: str) -> list[str]:
        """Sorted names of the resources of a kind whose first operation is one of `firsts`."""
        return sorted(c.name for c in self.changes if c.kind == kind and c.first in firsts)


def read(events: Iterator[dict[str, Any]]) -> Preview:
    """Collect changes, policy violations, and whether the preview completed."""
    changes: dict[str, Change] = {}
    found: dict[str, list[str]] = {"mandatory": [], "advisory": []}
    finished = False
    for event in events:
        if metadata := event.get("resourcePreEvent", {}).get("metadata"):
            if metadata["op"] in VERBS and not metadata["type"].startswith(OURS):
                change = changes.setdefault(
                    metadata["urn"], Change(metadata["urn"], metadata["op"])
                )
                change.properties = change.properties or sorted(metadata.get("diffs") or [])
        elif policy := event.get("policyEvent"):
            text = policy["message"].strip().splitlines()[-1]
            if (level := policy["enforcementLevel"]) in found:
                found[level].append(f"{policy['policyName']}: {text}")
        elif summary := event.get("summaryEvent"):
            finished = summary["result"] == "succeeded"
    return Preview(list(changes.values()), found["mandatory"], found["advisory"], finished)


def report(stack: str, preview: Preview, text: str, errors: str) -> str:
    """Markdown: the summary, a table of changes, then all of the output."""
    # The script `comment` finds the comment of an earlier run by this marker.
    lines = [f"<!-- llm-stack preview of {stack} -->", f"### Preview of `{stack}`", ""]
    lines += [*_verdict(preview), ""]
    if preview.changes:
        lines += ["| | resource | changed properties |", "|---|---|---|"]
        lines += [
            f"| {c.verb} | {c.kind} `{c.name}` | {', '.join(c.properties)} |"
            for c in sorted(preview.changes, key=lambda c: (c.verb, c.kind, c.name))
        ]
        lines.append("")
    if not preview.finished and errors.strip():
        lines += ["The preview failed:", *_fenced(errors.strip(), LONGEST // 4), ""]
    used = sum(len(line) + 1 for line in lines)
    if text.strip():
        details = _fenced(text.strip(), max(LONGEST - used, 1000))
        lines += ["<details><summary>Full output</summary>", "", *details, "", "</details>"]
    return "\n".join(lines)[: LONGEST + 5000]


def _verdict(preview: Preview) -> Iterator[str]:
    for violation in preview.violations:
        yield f"- **Policy violation:** {violation}"
    for remark in preview.remarks:
        yield f"- **Less strict than the default:** {remark}"
    lost = preview.names("Volume", "delete", "create-replacement", "delete-replaced", "replace")
    models = [name for name in lost if name.endswith("-models")]
    if models:
        yield f"- **Model volumes are removed**, and models are downloaded again: {_list(models)}"
    interrupted = preview.names("Container", "delete-replaced", "delete")
    if interrupted:
        yield f"- **Stops before its replacement starts:** {_list(interrupted)}"
    uninterrupted = [
        n for n in preview.names("Container", "create-replacement") if "carrier" not in n
    ]
    if uninterrupted:
        yield f"- Replaced while it keeps serving: {_list(uninterrupted)}"
    new = [name for name in preview.names("Container", "create") if "carrier" not in name]
    if new:
        yield f"- New: {_list(new)}"
    in_place = sorted(c.name for c in preview.changes if c.verb == "update")
    if in_place:
        yield f"- Updated in place: {_list(in_place)}"
    images = preview.names("RemoteImage", "create", "create-replacement", "replace")
    if images:
        yield f"- Changed images: {_list(images)}"
    if not preview.finished:
        yield "- **The preview did not complete.**"
    elif not preview.changes:
        yield "- No changes."


def _list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fenced(text: str, longest: int) -> list[str]:
    """A code block with a fence that its content does not contain, cut to `longest` characters."""
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * max(3, *(run + 1 for run in runs), 3)
    if len(text) > longest:
        text = text[:longest] + "\n… cut here; the log of the run has the full output"
    return [f"{fence}text", text, fence]


def main(stack: str, folder: Path) -> None:
    """Print the report."""
    events = folder / "events.json"
    lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
    preview = read(json.loads(line) for line in lines if line.strip())
    text, errors = (
        (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in ("preview.txt", "errors.txt")
    )
    print(report(stack, preview, text, errors))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
