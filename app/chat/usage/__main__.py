"""`python3 -m app.chat.usage` prints the usage of all keys as a table, or a copy of its file."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from app.chat.settings import DEFAULT_USAGE, usage_file
from app.chat.usage.store import Bucket, Usage, UsageStore
from app.shared.settings_file import SettingsError

_DEFAULT_DAYS = 30
_GROUPS = ("day", "key", "model")


def main(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    last: date = options.to or datetime.now(UTC).date()
    first: date = options.first or last - timedelta(days=_DEFAULT_DAYS - 1)
    try:
        path = usage_file()
        if path is None or not path.exists():
            print(f"{path or DEFAULT_USAGE}: no usage was written yet", file=sys.stderr)
            return 1
        if options.backup:
            sys.stdout.buffer.write(UsageStore(path).copy())
            return 0
        found = UsageStore(path).read(first.isoformat(), last.isoformat(), options.key)
    except (SettingsError, sqlite3.Error) as error:
        print(f"the usage cannot be read: {error}", file=sys.stderr)
        return 1
    for line in table(found, options.by):
        print(line)
    return 0


def table(usage: dict[Bucket, Usage], by: Sequence[str]) -> Iterable[str]:
    """Lines with aligned columns, and the total at the end."""
    groups: dict[tuple[str, ...], Usage] = {}
    for bucket, one in sorted(usage.items()):
        group = tuple(getattr(bucket, name) for name in by)
        groups[group] = groups.get(group, Usage()) + one
    total = sum(usage.values(), Usage())
    rows = [
        [*by, "requests", "prompt tokens", "completion tokens", "seconds"],
        *([*group, *_numbers(one)] for group, one in sorted(groups.items())),
        ["total", *("" for _ in by[1:]), *_numbers(total)],
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < len(by) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _numbers(usage: Usage) -> list[str]:
    return [
        str(usage.requests),
        str(usage.prompt_tokens),
        str(usage.completion_tokens),
        f"{usage.seconds:.0f}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m app.chat.usage", description="Requests and tokens of each key and model."
    )
    day = date.fromisoformat
    parser.add_argument("--from", dest="first", type=day, metavar="DAY", help="2030-01-31, UTC")
    parser.add_argument("--to", type=day, metavar="DAY", help="the last day; default: today")
    parser.add_argument("--key", metavar="NAME", help="only this key")
    parser.add_argument(
        "--by", nargs="+", choices=_GROUPS, default=["key", "model"], help="the columns"
    )
    parser.add_argument(
        "--backup", action="store_true", help="write a copy of the SQLite file instead"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
