"""The tasks of staff before a sale, each in a browser, by the clerk who has to do it; `docs/box-office.md` tells the same in words."""

from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import expect

from apps.boxoffice.roles import BOX_OFFICE, set_roles
from apps.concerts.models import Concert
from tests.boxoffice.staff import list_of
from tests.browser.conftest import StartVisit
from tests.factories.accounts import CustomerFactory


def test_put_two_dates_of_a_hall_with_aisles_on_sale(
    visit: StartVisit, transactional_db: None
) -> None:
    set_roles(using="default")
    clerk = CustomerFactory(staff=True)
    clerk.groups.add(Group.objects.get(name=BOX_OFFICE))
    page = visit("desktop", clerk).open("/admin/")
    yesterday, day = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=30)

    page.locator(f'a[href="{list_of(Concert)}"]').first.click()
    page.locator(f'a[href^="{list_of(Concert, "add")}"]').first.click()
    page.get_by_label("Title").fill("Night Garden")
    page.get_by_label("Artist").fill("Ada Lund")
    page.get_by_label("Venue").fill("Harbour Hall")
    page.locator("[name=sales_open_at_0]").fill(f"{yesterday:%Y-%m-%d}")
    page.locator("[name=sales_open_at_1]").fill("10:00")
    for number in range(2):
        page.get_by_text("Add another Performance").click()
        page.locator(f"[name=performances-{number}-starts_at_0]").fill(
            f"{day + timedelta(days=number):%Y-%m-%d}"
        )
        page.locator(f"[name=performances-{number}-starts_at_1]").fill("19:30")
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("link", name="Generate seats").click()
    page.locator("[name=form-0-name]").fill("Stalls")
    page.locator("[name=form-0-rows]").fill("20")
    page.locator("[name=form-0-seats_per_row]").fill("20")
    page.locator("[name=form-0-price]").fill("88,000")
    page.get_by_text("Aisles, numbers and names of rows").first.click()
    page.locator("[name=form-0-aisles]").fill("5, 15")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("400").first).to_be_visible()
    page.get_by_role("button", name="Generate seats").click()
    page.locator(f'a[href="{list_of(Concert)}"]').first.click()
    page.locator("#result_list").get_by_role("link", name="Night Garden").click()
    page.locator('a[href*="publish_this"]').click()
    page.get_by_role("button", name="Publish").click()

    concert = Concert.objects.get()
    assert concert.is_published
    for performance in concert.performances.all():
        row = list(performance.seats.filter(row="A").order_by("x"))
        assert performance.seats_total == 400
        assert [seat.x - row[0].x for seat in row[4:6]] == [4, 6]
    shop = visit("desktop").open(f"/concerts/{concert.pk}/")
    expect(shop.get_by_text("₩88,000").first).to_be_visible()
