"""Files to attach: images and PDFs, written byte by byte."""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.async_api import FilePayload


def text_file(name: str, content: str | bytes) -> FilePayload:
    """A file whose type the browser does not report."""
    content = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "", "buffer": content}


def png(name: str, width: int, height: int, comment: str = "") -> FilePayload:
    """A red image; `comment` is in its metadata."""
    row = b"\0" + b"\xc0\x20\x20" * width
    content = b"\x89PNG\r\n\x1a\n" + _chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    )
    if comment:
        content += _chunk(b"tEXt", b"Comment\0" + comment.encode())
    content += _chunk(b"IDAT", zlib.compress(row * height, 9)) + _chunk(b"IEND", b"")
    return {"name": name, "mimeType": "image/png", "buffer": content}


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def jpeg_size(data_url: str) -> tuple[int, int]:
    """Width and height of a JPEG in a data URL."""
    content = image_bytes(data_url)
    at = 2
    while content[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    height, width = struct.unpack(">HH", content[at + 5 : at + 9])
    return width, height


def image_bytes(data_url: str) -> bytes:
    kind, _, content = data_url.partition(";base64,")
    assert kind == "data:image/jpeg"
    return base64.b64decode(content)


LATIN = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
# A font whose codes a reader finds in a table of its own (UniGB-UCS2-H: code units of UTF-16).
CHINESE = (
    "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H "
    "/DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light "
    "/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> "
    "/FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 "
    "/FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 "
    "/StemV 80 >> >>] >>"
)


def pdf(name: str, *pages: str, font: str = LATIN) -> FilePayload:
    """A PDF with one line on each page."""
    texts = [
        f"<{page.encode('utf-16-be').hex()}>" if font == CHINESE else f"({page})" for page in pages
    ]
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in texts:
        stream = f"BT /F1 18 Tf 72 720 Td {text} Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    content = b"%PDF-1.4\n"
    offsets = []
    for number, item in enumerate(objects, 1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{item}\nendobj\n".encode()
    table = len(content)
    content += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    content += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    content += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    content += f"startxref\n{table}\n%%EOF\n".encode()
    return {"name": name, "mimeType": "application/pdf", "buffer": content}
