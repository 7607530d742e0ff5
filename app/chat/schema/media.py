"""Images, recordings and videos in a request, which cost other numbers of tokens than texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# llama-server makes 256 to 2000 tokens of an image, whatever the size of its file.
_TOKENS_OF_IMAGE = 1024
_TOKENS_OF_VIDEO = 4096
# A second of speech has about 25 tokens. In base64, one of compressed speech has 5 kB or more, and
# one of a WAV file 43 kB.
_CHARACTERS_PER_TOKEN = 200
_CHARACTERS_PER_TOKEN_OF_WAV = 1700
# As a text in the body.
_CHARACTERS_PER_TOKEN_OF_FILE = 4

_IMAGES = ("image_url", "input_image", "image")
_RECORDINGS = ("input_audio", "audio", "audio_url")
_VIDEOS = ("video_url", "input_video")
_FILES = ("file", "input_file")
_KINDS = frozenset((*_IMAGES, *_RECORDINGS, *_VIDEOS, *_FILES))
# Fields of a request with messages, and fields of these with parts: also of the results of tools.
_HOLDERS = ("messages", "input")
_PART_HOLDERS = ("content", "output")


@dataclass(frozen=True)
class Media:
    """What a request has of them.

    :param characters: of their data in the body.
    :param tokens: that they probably cost.
    """

    characters: int = 0
    tokens: int = 0


def media_of(body: Mapping[str, Any]) -> Media:
    """The media in the messages of a request."""
    characters = tokens = 0
    for name in _HOLDERS:
        for part in _parts(body.get(name), depth=3):
            size = _longest_text(part)
            characters += size
            tokens += _tokens_of(part, size)
    return Media(characters, tokens)


def _parts(items: object, depth: int) -> Iterator[Mapping[str, Any]]:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if isinstance(kind, str) and kind in _KINDS:
            yield item
        elif depth:
            for holder in _PART_HOLDERS:
                yield from _parts(item.get(holder), depth - 1)


def _tokens_of(part: Mapping[str, Any], size: int) -> int:
    kind = part["type"]
    if kind in _IMAGES:
        return _TOKENS_OF_IMAGE
    if kind in _VIDEOS:
        return _TOKENS_OF_VIDEO
    if kind in _RECORDINGS:
        sound = part.get(kind)
        is_wav = isinstance(sound, dict) and sound.get("format") == "wav"
        return size // (_CHARACTERS_PER_TOKEN_OF_WAV if is_wav else _CHARACTERS_PER_TOKEN) + 1
    return size // _CHARACTERS_PER_TOKEN_OF_FILE


def _longest_text(value: Any, depth: int = 4) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict) and depth:
        return max((_longest_text(one, depth - 1) for one in value.values()), default=0)
    return 0
