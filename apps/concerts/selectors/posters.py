"""Reads of the posters that staff have uploaded."""

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert, Poster
from apps.core.caching import ProcessCache

# A picture never changes, so this bounds memory and not age: each has at most 2 MB.
_images: ProcessCache[str, bytes] = ProcessCache(seconds=24 * 3600, entries_max=16)


def concert_with_poster(concert_id: int) -> Concert:
    """Return a concert, published or not, with its poster if it has one, without the picture; one query.

    :raises ConcertNotFound: there is none.
    """
    concerts = Concert.objects.select_related("poster").defer("poster__image")
    concert = concerts.filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    return concert


def poster_of(concert_id: int) -> Poster | None:
    """Return the poster of a concert without its picture; None if it has the drawn one."""
    return Poster.objects.filter(concert=concert_id).defer("image").first()


def poster_image(poster: Poster) -> bytes:
    """Return the picture; no query if this process has sent it before."""
    return _images.get(poster.digest, lambda: bytes(poster.image))
