"""The file of Access applications: the stack writes it once Cloudflare has made them."""

from __future__ import annotations

from app.chat.settings import AccessApplications
from app.shared.settings_file import parse_settings
from app.shared.watched_file import READ_EVERY, Watched, content_at, contents_of


def watched_applications(location: str, seconds: float = READ_EVERY) -> Watched[AccessApplications]:
    """The applications of a file or URL, as they are now and whenever they change."""
    return Watched(
        "access.json",
        lambda: contents_of([location]),
        lambda found: parse_settings(content_at(found, location), AccessApplications, location),
        seconds=seconds,
    )
