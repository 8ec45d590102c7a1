"""Posters that staff upload for a concert."""

import hashlib

from apps.concerts.models import DIGEST_LENGTH, Poster
from apps.concerts.pictures import Picture
from apps.core.transactions import requires_transaction


@requires_transaction
def set_poster(*, concert_id: int, picture: Picture) -> Poster:
    """Show this picture for a concert, in place of another one or of the drawn poster.

    :raises IntegrityError: there is no such concert.
    """
    poster = Poster(
        concert_id=concert_id,
        digest=hashlib.sha256(picture.content).hexdigest()[:DIGEST_LENGTH],
        format=picture.format,
        width=picture.width,
        height=picture.height,
        image=picture.content,
    )
    fields = [
        field.name
        for field in Poster._meta.concrete_fields
        if not field.primary_key and field.name != "concert"
    ]
    # Of two at the same time the later one stays.
    Poster.objects.bulk_create(
        [poster], update_conflicts=True, unique_fields=["concert"], update_fields=fields
    )
    return poster


@requires_transaction
def remove_poster(*, concert_id: int) -> bool:
    """Show the drawn poster again; returns False if it was shown already."""
    deleted, _by_model = Poster.objects.filter(concert_id=concert_id).delete()
    return deleted > 0
