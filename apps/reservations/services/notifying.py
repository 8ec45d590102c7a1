"""Tell the holders of tickets something, and take it back."""

from django.utils.translation import gettext as _

from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import Concert, Performance
from apps.core.history import note
from apps.core.notices import NoticeText
from apps.core.transactions import database_now, requires_transaction, use_case
from apps.reservations.models import HolderNotice
from apps.reservations.selectors import count_ticket_holders


@use_case
def notify_holders(*, performance_id: int, text: NoticeText, staff_id: int) -> HolderNotice:
    """Show a text to all who have tickets for a performance, or will have bought some by its end, until it is taken back.

    It is one row, which their reservations are read with. A consumer that sends it by mail would get an event from here, recorded in this
    transaction; until there is one, an event would be a row that nothing reads and no retention deletes.

    :raises PerformanceNotFound: there is none.
    :raises ValidationError: there is no text, it is too long, or it hides something.
    """
    performance = Performance.objects.select_related("concert").filter(pk=performance_id).first()
    if performance is None:
        raise PerformanceNotFound
    return _notify(performance.concert, performance, text, staff_id)


@use_case
def notify_holders_of_concert(*, concert_id: int, text: NoticeText, staff_id: int) -> HolderNotice:
    """Show a text to all who have tickets for any date of a concert, as `notify_holders` does for one.

    :raises ConcertNotFound: there is none.
    :raises ValidationError: there is no text, it is too long, or it hides something.
    """
    concert = Concert.objects.filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    return _notify(concert, None, text, staff_id)


@requires_transaction
def _notify(
    concert: Concert, performance: Performance | None, text: NoticeText, staff_id: int
) -> HolderNotice:
    performance_id = performance.pk if performance else None
    holders = count_ticket_holders(concert_id=concert.pk, performance_id=performance_id)
    notice = HolderNotice(
        concert=concert,
        performance=performance,
        text_en=text.en,
        text_ko=text.ko,
        customers=holders.customers,
        tickets=holders.tickets,
        sent_by_id=staff_id,
        sent_at=database_now(),
    )
    notice.full_clean()
    notice.save()
    words = _("Told ticket holders: “%(text)s”") % {"text": notice}
    note([performance or concert, notice], words, staff_id=staff_id)
    return notice


@use_case
def take_back_holder_notice(*, notice_id: int, staff_id: int) -> bool:
    """Show a notice no longer. Returns False if it was taken back before, or was never there."""
    if not HolderNotice.objects.end(notice_id, at=database_now(), staff_id=staff_id):
        return False
    notice = HolderNotice.objects.select_related("concert", "performance").get(pk=notice_id)
    words = _("Took back what ticket holders were told: “%(text)s”") % {"text": notice}
    note([notice.performance or notice.concert, notice], words, staff_id=staff_id)
    return True
