"""Posters that staff upload: what is taken, what is left of it, and who sees it."""

import struct
import zlib
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.concerts.copying import duplicate_concert
from apps.concerts.models import Concert, Poster
from apps.concerts.pictures import BYTES_MAX, PictureRefused, read_picture
from tests.boxoffice.sending import send
from tests.boxoffice.staff import clerk, page_of
from tests.factories.concerts import ConcertFactory

SECRET = b"GPS 37.5665 126.9780"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 500, height: int = 700, *, more: bytes = b"", grey: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes([grey]) * width) * height)
    parts = [chunk(b"IHDR", head), more, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(width: int = 500, height: int = 700, *, more: bytes = b"") -> bytes:
    frame = segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0")
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"abc\xff\x00def\xff\xd0ghi"
    profile = segment(0xE2, b"ICC_PROFILE\0...")
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0") + more + profile + frame + scan * 2 + b"\xff\xd9"


def webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp(width: int = 500, height: int = 700, *, flags: int = 0x08, more: bytes = b"") -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)
    body = b"WEBP" + head + webp_chunk(b"VP8L", b"\x2f" + b"\0" * 8) + more
    return b"RIFF" + struct.pack("<I", len(body)) + body


WITH_METADATA = {
    "png": png(more=chunk(b"tEXt", SECRET) + chunk(b"eXIf", SECRET)),
    "jpeg": jpeg(more=segment(0xE1, b"Exif\0\0" + SECRET) + segment(0xFE, SECRET)),
    "webp": webp(more=webp_chunk(b"EXIF", SECRET) + webp_chunk(b"XMP ", SECRET + b"x")),
}


class TestPictures:
    @pytest.mark.parametrize("format", WITH_METADATA)
    def test_lose_what_tells_where_they_were_made(self, format: str) -> None:
        content = WITH_METADATA[format]

        picture = read_picture(content + b"PK\x03\x04 more behind the end")

        assert (picture.format, picture.width, picture.height) == (format, 500, 700)
        assert SECRET in content
        assert SECRET not in picture.content
        assert b"PK\x03\x04" not in picture.content
        # And what is left is a picture that is read in the same way.
        assert read_picture(picture.content) == picture

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_that_are_stored_turned_are_refused(self, order: str, orientation: int) -> None:
        mark = b"II*\0" if order == "<" else b"MM\0*"
        entries = [(0x010F, 2, 1, 0), (0x0112, 3, 1, orientation)]
        directory = b"".join(struct.pack(f"{order}HHIHxx", *entry) for entry in entries)
        exif = mark + struct.pack(f"{order}IH", 8, len(entries)) + directory
        content = jpeg(more=segment(0xE1, b"Exif\0\0" + exif))

        if orientation == 1:
            assert read_picture(content).content == jpeg()
        else:
            with pytest.raises(PictureRefused) as refusal:
                read_picture(content)
            assert "Turn it and save it again." in refusal.value.reason

    def test_keep_all_that_is_needed_to_show_them(self) -> None:
        assert read_picture(png()).content == png()
        assert read_picture(jpeg()).content == jpeg()
        assert read_picture(WITH_METADATA["webp"]).content == webp(flags=0)

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"RIFF\0\0\0\0WEBP",
            png()[:-20], png().replace(b"IDAT", b"IDAX"), png(width=100), png(height=4_001),
            jpeg()[:-2], jpeg(width=0), webp()[:-5], webp(flags=0x02), webp(width=5_000),
            b"\0" * (BYTES_MAX + 1),
        ],
    )  # fmt: skip
    def test_that_cannot_be_shown_are_refused(self, content: bytes) -> None:
        with pytest.raises(PictureRefused):
            read_picture(content)


def upload(staff: Client, concert: Concert, content: bytes) -> Any:
    file = SimpleUploadedFile("poster", content)
    return send(staff, page_of(concert, "poster"), {"picture": file})


def shown(concert: Concert, **how: Any) -> Any:
    return Client().get(f"/concerts/{concert.pk}/poster.svg", **how)


@pytest.mark.django_db
class TestPoster:
    @pytest.fixture
    def concert(self) -> Concert:
        other = ConcertFactory()
        Poster.objects.create(
            concert=other, digest="0" * 32, format="png", width=1, height=1, image=b"other"
        )
        concert: Concert = ConcertFactory()
        return concert

    def test_is_seen_on_the_public_pages(self, staff: Client, concert: Concert) -> None:
        drawn = shown(concert)

        answer = upload(staff, concert, WITH_METADATA["jpeg"])
        first = shown(concert)
        again = shown(concert, headers={"If-None-Match": first.headers["ETag"]})

        assert answer.status_code == 302
        assert drawn.headers["Content-Type"] == "image/svg+xml"
        assert (first.headers["Content-Type"], first.content) == ("image/jpeg", jpeg())
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age" in first.headers["Cache-Control"]
        assert (again.status_code, again.content) == (304, b"")

    def test_is_replaced_and_taken_away(self, staff: Client, concert: Concert) -> None:
        upload(staff, concert, jpeg())
        upload(staff, concert, png(grey=7))
        replaced = shown(concert)
        page = staff.get(page_of(concert, "poster"))
        image = staff.get(page_of(concert, "poster") + "?image=1")
        send(staff, page_of(concert, "poster"), {"remove": "1"})

        assert replaced.content == image.content == png(grey=7)
        assert "Remove the poster" in page.content.decode()
        assert shown(concert).headers["Content-Type"] == "image/svg+xml"
        assert staff.get(page_of(concert, "poster") + "?image=1").status_code == 404
        assert Poster.objects.count() == 1

    def test_that_is_none_is_refused_in_words(self, staff: Client, concert: Concert) -> None:
        page = upload(staff, concert, b"<svg/>")

        assert "Upload a PNG, a JPEG or a WebP." in page.content.decode()
        assert Poster.objects.count() == 1

    def test_of_a_concert_that_is_offline_is_not_public(self, staff: Client, concert) -> None:
        upload(staff, concert, png())
        Concert.objects.filter(pk=concert.pk).update(is_published=False)

        assert shown(concert).status_code == 404

    def test_goes_along_when_a_concert_is_duplicated(self, staff: Client, concert) -> None:
        upload(staff, concert, png())

        copy = duplicate_concert(
            concert_id=concert.pk, title="T", days=0, with_dates=False, with_halls=False
        ).concert

        assert bytes(copy.poster.image) == bytes(concert.poster.image)

    def test_needs_the_permission(self, concert: Concert) -> None:
        assert clerk("view_concert").get(page_of(concert, "poster")).status_code == 403
        assert clerk("change_concert").get(page_of(concert, "poster")).status_code == 200
