"""Pictures that staff upload: what they are, and no more of them than is needed to show them.

Their parts are read one by one, and written anew without those that say where, when and with what they were made. Nothing is
decoded: a picture whose pixels are damaged is shown damaged.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.concerts.models import Poster

BYTES_MAX = 2 * 1024 * 1024 - 64 * 1024  # what a form may have, less the rest of the form
SIDE_MIN, SIDE_MAX = 200, 4_000  # pixels
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT")
)
_JPEG = b"\xff\xd8"
_SOS, _EOI = 0xDA, 0xD9
_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # each says width and height
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"))
_ANIMATED, _WITH_METADATA = 0x02, 0x0C  # flags of an extended WebP


class PictureRefused(Exception):
    """A file is no picture that can be shown; `reason` says why to people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture without metadata; sides are in pixels."""

    format: Poster.Format
    width: int
    height: int
    content: bytes


def read_picture(content: bytes) -> Picture:
    """Return a PNG, JPEG or WebP without its metadata.

    :raises PictureRefused: it is none of them, damaged, animated, too small or too large.
    """
    try:
        picture = _read(content)
    except (struct.error, IndexError, ValueError) as error:
        raise PictureRefused(_("This picture is damaged. Save it again.")) from error
    if not all(SIDE_MIN <= side <= SIDE_MAX for side in (picture.width, picture.height)):
        raise PictureRefused(
            _("The picture has %(width)s × %(height)s pixels. Each side needs %(min)s to %(max)s.")
            % {"width": picture.width, "height": picture.height, "min": SIDE_MIN, "max": SIDE_MAX}
        )
    return picture


def _read(content: bytes) -> Picture:
    if len(content) > BYTES_MAX:
        raise PictureRefused(
            _("A picture may have at most %(max)s MB.") % {"max": f"{BYTES_MAX / 1024 / 1024:.1f}"}
        )
    if content.startswith(_PNG):
        return _read_png(content)
    if content.startswith(_JPEG):
        return _read_jpeg(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _read_webp(content)
    raise PictureRefused(_("Upload a PNG, a JPEG or a WebP."))


def _read_png(content: bytes) -> Picture:
    """Read the chunks of PNG (ISO/IEC 15948)."""
    kept, at = [_PNG], len(_PNG)
    names: list[bytes] = []
    while not names or names[-1] != b"IEND":
        length, name = struct.unpack_from(">I4s", content, at)
        chunk = content[at : at + 12 + length]
        (checksum,) = struct.unpack_from(">I", chunk, 8 + length)
        if zlib.crc32(chunk[4:-4]) != checksum:
            raise ValueError(name)
        names.append(name)
        if name in _PNG_KEPT:
            kept.append(chunk)
        at += len(chunk)
    if names[0] != b"IHDR" or b"IDAT" not in names:
        raise ValueError(names)
    width, height = struct.unpack_from(">II", content, len(_PNG) + 8)
    return Picture(Poster.Format.PNG, width, height, b"".join(kept))


def _read_jpeg(content: bytes) -> Picture:
    """Read the segments of JPEG (ITU-T T.81) up to the end of the image."""
    kept: list[bytes] = [_JPEG]
    size: tuple[int, int] | None = None
    for marker, segment in _segments(content):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", segment, 5)
            size = width, height
        if segment[4:].startswith(_EXIF) and _is_turned(segment[4 + len(_EXIF) :]):
            raise PictureRefused(
                _(
                    "This picture is only turned upright when it is shown. Turn it and save it again."
                )
            )
        if not _is_metadata(marker, segment):
            kept.append(segment)
    if size is None:
        raise ValueError("no frame")
    return Picture(Poster.Format.JPEG, *size, b"".join(kept))


def _is_turned(exif: bytes) -> bool:
    """Look for an orientation other than upright in the first directory of Exif, which is laid out as TIFF."""
    order = "<" if exif.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", exif, entry)
            if tag == _ORIENTATION:
                return bool(value > 1)
    except struct.error:
        pass  # damaged metadata, which is dropped anyway
    return False


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each segment with its marker; what a scan contains is a part of its segment."""
    at, marker = len(_JPEG), 0
    while marker != _EOI:
        if content[at] != 0xFF:
            raise ValueError(at)
        marker = content[at + 1]
        end = at + 2
        if marker not in _WITHOUT_LENGTH and marker != _EOI:
            (length,) = struct.unpack_from(">H", content, end)
            end += length
            if length < 2 or end > len(content):
                raise ValueError(at)
        if marker == _SOS:
            end = _end_of_scan(content, end)
        yield marker, content[at:end]
        at = end


def _end_of_scan(content: bytes, at: int) -> int:
    """Return where the next marker begins: within a scan a 0xFF has a zero or a restart marker behind it."""
    while True:
        at = content.index(b"\xff", at)
        if content[at + 1] != 0 and content[at + 1] not in _WITHOUT_LENGTH:
            return at
        at += 2


def _is_metadata(marker: int, segment: bytes) -> bool:
    """Keep JFIF, colour profiles and Adobe's colour transform of the application's segments, and no comments."""
    is_needed = marker == 0xE0 or marker == 0xEE or segment[4:].startswith(b"ICC_PROFILE\0")
    return marker == 0xFE or (0xE0 <= marker <= 0xEF and not is_needed)


def _read_webp(content: bytes) -> Picture:
    """Read the chunks of WebP (RFC 9649)."""
    kept: list[bytes] = []
    size: tuple[int, int] | None = None
    at, end = 12, 8 + struct.unpack_from("<I", content, 4)[0]
    if end > len(content):
        raise ValueError(end)
    while at < end:
        name, length = struct.unpack_from("<4sI", content, at)
        data = content[at + 8 : at + 8 + length]
        if len(data) < length:
            raise ValueError(name)
        if name == b"VP8X":
            if data[0] & _ANIMATED:
                raise PictureRefused(_("A poster cannot be animated."))
            data = bytes([data[0] & ~_WITH_METADATA]) + data[1:]
        if size is None and (found := _size_of_webp(name, data)) is not None:
            size = found
        if name in _WEBP_KEPT:
            kept.append(struct.pack("<4sI", name, length) + data + b"\0" * (length % 2))
        at += 8 + length + length % 2
    if size is None:
        raise ValueError("no image")
    body = b"WEBP" + b"".join(kept)
    return Picture(Poster.Format.WEBP, *size, b"RIFF" + struct.pack("<I", len(body)) + body)


def _size_of_webp(name: bytes, data: bytes) -> tuple[int, int] | None:
    if name == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if name == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
