"""Random forms to the gateway: each gets an answer, or an error that is the client's.

`FUZZ_EXAMPLES` sets their number: a third of that of test_fuzz.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from app.chat.schema.transcriptions import TRANSCRIPTION_FIELDS
from tests.unit.chat.test_fuzz import EXAMPLES, MOST_GROWTH_MIB, Fuzzed, check, fuzzed

__all__ = ["fuzzed"]

PATH = "/v1/audio/transcriptions"
_BOUNDARY = b"boundary"
_WORDS = some.sampled_from(
    ["", "m", "auto", "1", "-1", "1e999", "nan", "true", "json", "verbose_json", "a" * 70_000]
)
_NAMES = some.sampled_from(
    [
        *("model", "file", "stream", "temperature", "max_tokens", "response_format", "prompt"),
        *("timestamp_granularities[]", "include[]", "file[]", "__proto__", "a" * 65, "[]", ""),
    ]
) | some.sampled_from(sorted(TRANSCRIPTION_FIELDS.known))
_HEADERS = some.sampled_from(
    [
        b"Content-Type: audio/wav",
        b"Content-Type: multipart/mixed; boundary=inner",
        b"Content-Type: \xff/\x00",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: binary",
        b"Content-Disposition: attachment",
        b"X-Long: " + b"a" * 2000,
        b": no name",
        b"no colon",
        b"",
    ]
)
_FILE_NAMES = some.sampled_from(
    [b"a.wav", b"", b"../../etc/passwd", b'a\\"b.wav', b"\xff\x00", b"a" * 5000, b"\r\nX: y"]
)
_TYPES = some.sampled_from(
    [f"multipart/form-data; boundary={_BOUNDARY.decode()}"] * 12
    + ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x"]
    + ['multipart/form-data; boundary="boundary"', "multipart/form-data; boundary=" + "b" * 500]
    + ["application/x-www-form-urlencoded", "application/json", "", "multipart/form-data;;=;"]
)


@some.composite
def parts(draw: some.DrawFn) -> bytes:
    """One part of a form, mostly well formed."""
    name = draw(_NAMES).encode()
    disposition = b'Content-Disposition: form-data; name="' + name + b'"'
    if draw(some.booleans()):
        disposition += b'; filename="' + draw(_FILE_NAMES) + b'"'
    head = [disposition, *draw(some.lists(_HEADERS, max_size=1)) * draw(some.sampled_from([1, 9]))]
    content = draw(_WORDS.map(str.encode) | some.binary(max_size=40))
    content += b"\r\n--" * draw(some.booleans())
    return b"\r\n".join([b"--" + _BOUNDARY, *head, b"", content, b""])


@some.composite
def forms(draw: some.DrawFn) -> tuple[bytes, str, int]:
    """The body of a form, its type, and the size of the pieces in which it is sent."""
    valid = draw(some.booleans())
    first = [
        b'--boundary\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n',
        b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF\r\n',
    ]
    pieces = [*(first if valid else ()), *draw(some.lists(parts(), max_size=4))]
    pieces *= draw(some.sampled_from([1] * 8 + [40]))
    body = b"".join(pieces) + b"--boundary--\r\n"
    damage = draw(some.sampled_from(["none"] * 5 + ["cut", "bytes", "line ends", "epilogue"]))
    at = draw(some.integers(0, len(body)))
    if damage == "cut":
        body = body[:at]
    elif damage == "bytes":
        body = body[:at] + draw(some.binary(min_size=1, max_size=4)) + body[at:]
    elif damage == "line ends":
        body = body.replace(b"\r\n", b"\n")
    elif damage == "epilogue":
        body += b"\r\n--boundary\r\n" * draw(some.sampled_from([1, 5000]))
    return body, draw(_TYPES), draw(some.sampled_from([0, 0, 1, 7, 4096]))


def _in_pieces(body: bytes, size: int) -> bytes | Iterator[bytes]:
    """The body, or what httpx sends in chunks without a length."""
    if not size:
        return body
    size = max(size, len(body) // 50)
    return (body[at : at + size] for at in range(0, len(body), size))


def test_no_form_ends_the_gateway_or_gets_an_error_of_a_server(fuzzed: Fuzzed) -> None:
    statuses: set[int] = set()
    with httpx.Client(base_url=fuzzed.url, timeout=60, trust_env=False) as client:

        @settings(
            max_examples=max(100, EXAMPLES // 3),
            deadline=None,
            database=None,
            derandomize="FUZZ_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        )
        @given(forms())
        def send(form: tuple[bytes, str, int]) -> None:
            body, kind, size = form
            response = client.post(
                PATH, content=_in_pieces(body, size), headers={"content-type": kind}
            )
            check(response, body)
            statuses.add(response.status_code)

        send()
        before = fuzzed.memory
        send()
        assert fuzzed.memory - before < MOST_GROWTH_MIB
    assert {200, 400} <= statuses
