"""Staff see a hall before it is made, keep it as a template, and change it by files, by grades and by choice."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.progress import progress_of, report_progress
from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.concerts import inventory
from apps.concerts.admin import seat_drafts, seat_generator
from apps.concerts.halls import draft_seats, plan_of
from apps.concerts.layouts import PlannedSeat
from apps.concerts.models import (
    HallTemplate,
    InventoryCategory,
    Performance,
    Seat,
    SeatAllocation,
    SeatMapDraft,
)
from apps.concerts.services import fill_hall
from apps.concerts.sheets import read_sheet, write_csv
from tests.boxoffice.sending import act, layout_form, send
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.reservations import reservation

pytestmark = pytest.mark.django_db

GENERATOR = list_of(Performance, "generate_seats")
ENGLISH = "section,row,number,grade,price,x,y"


def hall_page(performance: Performance, name: str, *args: Any) -> str:
    return reverse(f"admin:concerts_performance_{name}", args=[performance.pk, *args])


def upload(staff: Client, performance: Performance, *lines: str, **fields: Any) -> Any:
    """Send a file, and return the answer."""
    file = SimpleUploadedFile("hall.csv", "\n".join(lines).encode())
    return staff.post(hall_page(performance, "sheet"), {"file": file, **fields})


def apply(staff: Client, url: str, **fields: Any) -> Any:
    """Look at the page of a draft, and confirm what it shows."""
    return staff.post(url, {**shown_on(staff.get(url)), **fields})


def shown_on(page: Any) -> dict[str, Any]:
    """Return what the page of a draft sends along when its changes are confirmed."""
    changes = page.context["changes"]
    return {
        "_shown": page.context["shown"],
        "seat_map_version": changes.version,
        "kept_back": changes.kept_back,
    }


@pytest.fixture
def performance() -> Performance:
    PerformanceFactory(seats=2)
    return PerformanceFactory(seats=4)


class TestGenerator:
    def test_shows_the_hall_before_anything_is_saved(self, staff: Client) -> None:
        form = layout_form(("Stalls", 2, 6, "VIP", 150_000), ("Balcony", 1, 4, "S", 50_000))
        form |= {"form-0-aisles": "3", "form-0-numbering": "ODD_LEFT", "form-0-first_row": "h",
                 "form-0-skipped": "i", "form-1-is_behind": "on", "preview": "1"}  # fmt: skip

        page = send(staff, GENERATOR, form)

        text = page.content.decode()
        assert page.context["hall"]["total"] == 16
        assert [row[:2] for row in page.context["hall"]["table"]["rows"]] == [
            ["Stalls", "VIP"],
            ["Balcony", "S"],
        ]
        assert '<svg xmlns="http://www.w3.org/2000/svg" role="img"' in text
        assert "Plan of a hall with 16 seats" in text
        assert not page.context["form"].errors
        assert not Seat.objects.exists()

    def test_is_folded_where_there_is_nothing_to_see(self, staff: Client) -> None:
        empty = staff.get(GENERATOR)
        form = layout_form(("Stalls", 2, 6, "VIP", 150_000)) | {"form-0-aisles": "3"}
        used = send(staff, GENERATOR, form | {"preview": "1"})

        assert all(line.is_folded for line in empty.context["sections"])
        assert [line.is_folded for line in used.context["sections"]][:1] == [False]

    def test_makes_what_it_has_shown(self, staff: Client) -> None:
        performance = PerformanceFactory()
        form = layout_form(("Stalls", 2, 6, "VIP", 150_000), performances=[performance.pk])
        form |= {"form-0-aisles": "3", "form-0-numbering": "FROM_RIGHT", "form-0-first_row": "h",
                 "form-0-first_number": "11", "form-0-skipped": "i"}  # fmt: skip

        answer = send(staff, GENERATOR, form)

        assert answer.status_code == 302
        assert list(performance.seats.order_by("pk").values_list("row", "number", "x")[:6]) == [
            ("H", 11, 6), ("H", 12, 5), ("H", 13, 4), ("H", 14, 2), ("H", 15, 1), ("H", 16, 0),
        ]  # fmt: skip
        assert set(performance.seats.values_list("row", flat=True)) == {"H", "J"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [("aisles", "x"), ("aisles", "6"), ("first_row", "?"), ("first_number", "0"), ("skipped", "\u202e")],
    )  # fmt: skip
    def test_explains_what_cannot_be(self, staff: Client, field: str, value: str) -> None:
        form = layout_form(("Stalls", 2, 6, "VIP", 150_000), performances=[PerformanceFactory().pk])

        page = send(staff, GENERATOR, form | {f"form-0-{field}": value})

        assert page.status_code == 200
        sections = page.context["sections"]
        assert sections.non_form_errors() or any(sections.errors)
        assert not Seat.objects.exists()

    @pytest.mark.parametrize("has_template", [True, False])
    def test_makes_many_seats_in_the_background(
        self, staff: Client, boss: User, performance, monkeypatch, has_template: bool
    ) -> None:
        monkeypatch.setattr(seat_generator, "SEATS_WAITED_FOR", 10)
        line = ("Stalls", 2, 6, "VIP", 150_000)
        lines = {"form-0-aisles": "3", "form-0-numbering": "FROM_RIGHT", "form-0-skipped": "A"}
        here, *dates = [PerformanceFactory() for _ in range(4)]
        send(staff, GENERATOR, layout_form(line, performances=[here.pk]) | lines)
        before = plan_of(here.pk)
        run_job(job_id=StaffJob.objects.get().pk)
        plan = plan_of(here.pk)
        chosen = [date.pk for date in dates]
        form = layout_form(line, performances=chosen) | lines
        if has_template:
            template = template_of(staff, here)
            form = layout_form(performances=chosen, template=template.pk)

        answer = send(staff, GENERATOR, form)
        job = StaffJob.objects.order_by("pk").reverse()[0]
        fill_hall(performance_id=dates[1].pk, seats=plan[:1])
        run_job(job_id=job.pk)

        assert (before, len(plan)) == ([], 12)
        assert answer.url == page_of(job)
        job.refresh_from_db()
        assert (job.status, job.rows_total, job.rows_applied) == ("DONE", 3, 2)
        assert job.requested_by == boss
        assert [plan_of(date.pk) for date in dates] == [plan, plan[:1], plan]
        refused = job.rows.get(outcome="REFUSED")
        assert refused.detail == "This performance has its seats already."
        entry = LogEntry.objects.get(object_id=dates[0].pk)
        assert entry.get_change_message() == "12 seats made."

    def test_names_no_more_performances_than_can_be_read(self, staff: Client, monkeypatch) -> None:
        monkeypatch.setattr(seat_generator, "NAMED_MAX", 1)
        dates = [PerformanceFactory() for _ in range(2)]
        form = layout_form(("A", 1, 2, "R", 1_000), performances=[date.pk for date in dates])

        page = send(staff, GENERATOR, form, follow=True).content.decode()

        assert "2 performances got 2 seats each." in page
        assert "2 seats made." not in page

    def test_takes_a_template_instead_of_sections(self, staff: Client, performance) -> None:
        template = template_of(staff, performance)
        first, second = PerformanceFactory.create_batch(2)
        form = layout_form(performances=[first.pk, second.pk], template=template.pk)

        both = send(
            staff, GENERATOR, form | layout_form(("A", 1, 1, "R", 1)) | {"template": template.pk}
        )
        preview = send(staff, GENERATOR, form | {"preview": "1"})
        answer = send(staff, GENERATOR, form)

        assert "Choose a template or describe sections, not both." in both.content.decode()
        assert preview.context["hall"]["total"] == 4
        assert answer.status_code == 302
        assert plan_of(first.pk) == plan_of(second.pk) == plan_of(performance.pk)


def template_of(staff: Client, performance: Performance, **names: Any) -> HallTemplate:
    names = {"name": "Seated", "venue": "Harbour Hall", **names}
    send(staff, hall_page(performance, "template"), names)
    return HallTemplate.objects.get()


class TestTemplates:
    def test_is_made_of_a_performance(self, staff: Client, performance: Performance) -> None:
        page = staff.get(hall_page(performance, "template"))
        template = template_of(staff, performance)

        assert page.context["form"].initial["venue"] == performance.concert.venue
        assert template.seats_total == 4
        text = staff.get(page_of(template)).content.decode()
        assert "Plan of a hall with 4 seats" in text
        assert LogEntry.objects.get().get_change_message() == "Template with 4 seats saved."

    def test_is_made_of_a_file(self, staff: Client) -> None:
        file = SimpleUploadedFile("hall.csv", f"{ENGLISH}\nFloor,A,1,R,1000,0,0".encode())
        url = list_of(HallTemplate, "file")

        answer = send(staff, url, {"name": "N", "venue": "V", "file": file})

        assert answer.status_code == 302
        assert HallTemplate.objects.get().seats_total == 1

    def test_of_a_file_with_errors_is_not_made(self, staff: Client) -> None:
        file = SimpleUploadedFile("hall.csv", f"{ENGLISH}\nFloor,A,1,?,1000,0,0".encode())

        page = send(staff, list_of(HallTemplate, "file"), {"name": "N", "venue": "V", "file": file})

        assert "Line 2, grade: Enter one of the grades" in page.content.decode()
        assert not HallTemplate.objects.exists()

    def test_is_not_made_twice(self, staff: Client, performance: Performance) -> None:
        template_of(staff, performance)

        names = {"name": "Seated", "venue": "Harbour Hall"}
        page = send(staff, hall_page(performance, "template"), names)

        assert "This venue has a template of that name already." in page.content.decode()
        assert HallTemplate.objects.count() == 1

    def test_is_renamed_exported_and_deleted(self, staff: Client, performance: Performance) -> None:
        template = template_of(staff, performance)

        send(staff, page_of(template), {"name": "Standing", "venue": "Pier"})
        export: Any = staff.get(
            reverse("admin:concerts_halltemplate_export", args=[template.pk, "csv"])
        )
        found = read_sheet(io.BytesIO(b"".join(export.streaming_content))).seats
        page = staff.get(page_of(template, "delete"))
        sent = {"_expected": page.context["expected"], "_shown": page.context["shown"]}
        staff.post(page_of(template, "delete"), sent)

        assert found == plan_of(performance.pk)
        assert not HallTemplate.objects.exists()
        assert performance.seats.count() == 4

    def test_keeps_its_name_when_another_has_it(self, staff: Client, performance) -> None:
        template = template_of(staff, performance)
        HallTemplate.objects.create(name="N", venue="V", seats_total=0, plan=b"")

        page = send(staff, page_of(template), {"name": "N", "venue": "V"})

        assert page.status_code == 200
        template.refresh_from_db()
        assert template.name == "Seated"


class TestFiles:
    @pytest.mark.parametrize("format", ["csv", "xlsx"])
    def test_an_export_that_is_imported_again_changes_nothing(
        self, staff: Client, performance: Performance, format: str
    ) -> None:
        export: Any = staff.get(hall_page(performance, "export", format))
        content = b"".join(export.streaming_content)
        file = SimpleUploadedFile(f"x.{format}", content)

        draft = staff.post(hall_page(performance, "sheet"), {"file": file}, follow=True)

        assert export.headers["Content-Length"] == str(len(content))
        assert export.headers["Content-Disposition"].endswith(f'seats-{performance.pk}.{format}"')
        assert not draft.context["changes"]
        assert "Nothing would change." in draft.content.decode()

    def test_a_hall_is_made_of_a_file(self, staff: Client) -> None:
        performance = PerformanceFactory()
        lines = [ENGLISH, "Floor,A,1,R,1000,0,2", "Floor,A,2,R,1000,1,2", "Top,A,1,S,500,0,5"]

        answer = upload(staff, performance, *lines)
        before = Seat.objects.count()
        applied = apply(staff, answer.url)

        assert (before, performance.seats.count()) == (0, 3)
        assert applied.url == page_of(performance)
        performance.refresh_from_db()
        assert (performance.seat_map_version, performance.seats_total) == (2, 3)
        assert not SeatMapDraft.objects.exists()
        assert LogEntry.objects.get().get_change_message() == (
            "Seats changed (hall.csv). Added: 3. Added: Floor A-1, Floor A-2, Top A-1."
        )

    def test_seats_without_places_stand_behind_the_others(self, staff: Client, performance) -> None:
        lines = ["section,row,number,grade,price", "1,A,1,R,50000", "New,B,7,R,50000", "New,B,9,R,50000"]  # fmt: skip

        apply(staff, upload(staff, performance, *lines).url)

        first = PlannedSeat("1", "A", 1, "R", 50_000, 1, 1, kind="STANDARD", category="")
        assert plan_of(performance.pk)[0] == first
        assert list(performance.seats.filter(section="New").order_by("pk").values_list("x", "y")) == [
            (0, 4),
            (1, 4),
        ]  # fmt: skip

    def test_errors_are_shown_by_line_and_nothing_is_kept(self, staff: Client, performance) -> None:
        page = upload(staff, performance, ENGLISH, "1,A,x,R,50000,1,1", "1,A,2,R,50000,1,1,,,")

        text = page.content.decode()
        assert "1 error. Nothing was changed." in text
        assert "Line 2, number: Enter a whole number from 1 to 30,000." in text
        assert not SeatMapDraft.objects.exists()

    @pytest.mark.parametrize("content", [b"", b"\x00\x01", b"PK\x03\x04", b"a;b"])
    def test_what_is_no_file_of_seats_is_refused(self, staff: Client, performance, content) -> None:
        file = SimpleUploadedFile("hall.csv", content)

        page = staff.post(hall_page(performance, "sheet"), {"file": file})

        assert page.status_code == 200
        assert page.context["form"].errors["file"]

    def test_a_file_may_be_larger_than_a_form(
        self, staff: Client, performance: Performance
    ) -> None:
        remark = "x" * 2_000
        lines = [f"1,A,{number},R,50000,{number},1,{remark}" for number in range(1, 1_501)]

        answer = upload(staff, performance, f"{ENGLISH},remark", *lines)
        elsewhere = staff.post("/login/", {"name": "x" * 3_000_000})

        assert answer.status_code == 302
        assert elsewhere.status_code in (400, 413)

    def test_removes_others_only_if_asked(self, staff: Client, performance: Performance) -> None:
        lines = [ENGLISH, "1,A,1,R,50000,1,1"]

        kept = staff.get(upload(staff, performance, *lines).url)
        apply(staff, upload(staff, performance, *lines, removes_missing="on").url)

        assert not kept.context["changes"]
        assert performance.seats.count() == 1

    def test_needs_the_permissions(self, performance: Performance) -> None:
        url = hall_page(performance, "sheet")
        hand = clerk("add_seat", "change_seat")

        assert clerk("change_seat").get(url).status_code == 403
        assert "removes_missing" not in hand.get(url).context["form"].fields
        draft = draft_seats(
            performance_id=performance.pk, seats=[], source="", removes_missing=True
        )
        assert hand.get(hall_page(performance, "draft", draft.pk)).status_code == 403
        assert hand.get(hall_page(performance, "export", "csv")).status_code == 403
        assert clerk("view_seat").get(hall_page(performance, "export", "csv")).status_code == 200
        assert clerk("view_seat").get(hall_page(performance, "export", "pdf")).status_code == 404


KEPT = [
    f"{ENGLISH},kind,category,reason",
    "1,A,1,R,50000,1,1,WHEELCHAIR,,",
    "1,A,2,R,50000,2,1,COMPANION,ACCESSIBLE,Beside the ramp",
    "1,A,3,R,50000,3,1,,HOUSE,",
    "1,A,4,R,50000,4,1,,,",
]
DESCRIBED = [
    ("WHEELCHAIR", "", ""),
    ("COMPANION", "ACCESSIBLE", "Beside the ramp"),
    ("STANDARD", "HOUSE", "Set by the layout"),
    ("STANDARD", "", ""),
]


def described(performance: Performance) -> list[tuple[str | None, str | None, str]]:
    return [(seat.kind, seat.category, seat.reason) for seat in plan_of(performance.pk)]


class TestKindsAndCategories:
    @pytest.fixture
    def kept(self, staff: Client, performance: Performance) -> Performance:
        """A performance with a wheelchair space, and with seats that are kept back."""
        apply(staff, upload(staff, performance, *KEPT).url)
        return performance

    def test_come_from_a_file(self, staff: Client, boss: User, kept: Performance) -> None:
        kept.refresh_from_db()

        assert described(kept) == DESCRIBED
        assert (kept.seats_total, kept.seats_unblocked) == (4, 2)
        by = SeatAllocation.objects.values_list("allocated_by", flat=True)
        assert set(by) == {boss.pk}
        entry = LogEntry.objects.get(object_id=kept.pk).get_change_message()
        assert "Of another kind: 1 A-1 (standard seat → wheelchair space), 1 A-2" in entry
        assert "1 A-2 (Open → ACCESSIBLE: Beside the ramp), 1 A-3 (Open → HOUSE)" in entry

    def test_are_named_by_line_if_they_are_unknown(self, staff: Client, performance) -> None:
        lines = [line.replace("WHEELCHAIR", "sofa") for line in KEPT]

        text = upload(staff, performance, *lines).content.decode()

        assert "Line 2, kind: Enter one of STANDARD, WHEELCHAIR" in text
        assert not SeatMapDraft.objects.exists()

    @pytest.mark.parametrize("format", ["csv", "xlsx"])
    def test_are_exported_and_change_nothing_when_they_come_back(
        self, staff: Client, kept: Performance, format: str
    ) -> None:
        export: Any = staff.get(hall_page(kept, "export", format))
        file = SimpleUploadedFile(f"x.{format}", b"".join(export.streaming_content))

        draft = staff.post(hall_page(kept, "sheet"), {"file": file}, follow=True)

        assert not draft.context["changes"]

    def test_stay_when_a_file_or_new_grades_say_nothing_of_them(
        self, staff: Client, kept: Performance
    ) -> None:
        lines = [",".join(line.split(",")[:7]).replace(",1,1", ",9,1") for line in KEPT]

        apply(staff, upload(staff, kept, *lines).url)
        regraded: Any = staff.post(hall_page(kept, "grades"), {"grade": "S", "price": "9000"})
        apply(staff, regraded.url)

        assert described(kept) == DESCRIBED
        assert set(kept.seats.values_list("grade", flat=True)) == {"S"}

    def test_go_through_a_template_into_other_performances(
        self, staff: Client, kept: Performance
    ) -> None:
        template = template_of(staff, kept)
        empty = PerformanceFactory()

        page = staff.get(page_of(template)).content.decode()
        preview = send(staff, GENERATOR, layout_form(template=template.pk, preview="1"))
        send(staff, GENERATOR, layout_form(performances=[empty.pk], template=template.pk))

        summary = ("wheelchair space", "companion seat", "Accessible", "House")
        assert "wheelchair space: 1, companion seat: 1, Accessible: 1, House: 1" in page
        assert dict(preview.context["hall"]["special"]) == dict.fromkeys(summary, "1")
        empty.refresh_from_db()
        assert described(empty) == DESCRIBED
        assert (empty.seats_total, empty.seats_unblocked) == (4, 2)

    def test_go_into_dates_that_are_added(self, staff: Client, kept: Performance) -> None:
        template = template_of(staff, kept)
        day = timezone.localdate() + timedelta(days=400)
        form = {
            "first": day.isoformat(),
            "last": (day + timedelta(days=1)).isoformat(),
            "weekdays": list(range(7)),
            "times": "19:00",
        }
        url = reverse("admin:concerts_concert_dates", args=[kept.concert_id])

        send(staff, url, {**form, "hall": f"template {template.pk}"})
        send(staff, url, {**form, "times": "14:00", "hall": f"date {kept.pk}"})

        made = Performance.objects.of_concert(kept.concert_id).exclude(pk=kept.pk)
        assert [described(date) for date in made] == [DESCRIBED] * 4
        assert set(made.values_list("seats_unblocked", flat=True)) == {2}

    def test_of_a_category_that_is_gone_are_refused_and_nothing_is_made(
        self, staff: Client, kept: Performance
    ) -> None:
        gone = InventoryCategory.objects.create(
            code="GONE", name="Gone", letter="9", colour="#112233"
        )
        SeatAllocation.objects.filter(category__code="HOUSE").update(category=gone)
        template = template_of(staff, kept)
        SeatAllocation.objects.filter(category=gone).delete()
        gone.delete()
        empty = PerformanceFactory()
        day = (timezone.localdate() + timedelta(days=400)).isoformat()
        dates = {"first": day, "last": day, "weekdays": list(range(7)), "times": "19:00"}

        form = layout_form(performances=[empty.pk], template=template.pk)
        send(staff, GENERATOR, form, follow=True)
        refused = send(
            staff,
            reverse("admin:concerts_concert_dates", args=[kept.concert_id]),
            {**dates, "hall": f"template {template.pk}"},
        )

        assert not empty.seats.exists()
        assert "There is no category GONE." in refused.content.decode()
        assert Performance.objects.of_concert(kept.concert_id).count() == 1

    def test_need_the_permission_to_change_what_is_kept_back(self, performance) -> None:
        hand = clerk("add_seat", "change_seat")

        page = apply(hand, upload(hand, performance, *KEPT[:1], *KEPT[3:]).url)
        apply(hand, upload(hand, performance, KEPT[0], KEPT[4].replace(",,,", ",AISLE,,")).url)

        assert "You may not change what seats are kept back for." in page.content.decode()
        assert not SeatAllocation.objects.exists()
        assert list(performance.seats.filter(kind="AISLE").values_list("number", flat=True)) == [4]

    def test_that_a_colleague_has_changed_meanwhile_are_looked_at_again(
        self, staff: Client, kept: Performance
    ) -> None:
        draft = upload(staff, kept, KEPT[0], KEPT[4].replace(",,,", ",,SPONSOR,")).url
        sent = shown_on(staff.get(draft))
        keep_back(kept.seats.get(number=4), category="KILLED")

        page = staff.post(draft, sent)

        assert "have changed in the meantime" in page.content.decode()
        assert (
            SeatAllocation.objects.get(seat__number=4, performance=kept).category.code == "KILLED"
        )

    def test_that_put_many_seats_on_sale_need_a_second_person(
        self, staff: Client, kept: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(seat_drafts, "RELEASED_ALONE", 1)
        open_all = [KEPT[0], "1,A,2,R,50000,2,1,,,", "1,A,3,R,50000,3,1,,,"]
        draft = upload(staff, kept, *open_all).url

        page = staff.get(draft).content.decode()
        answer = apply(staff, draft, entry_reason="The band brings nobody")

        job = StaffJob.objects.get()
        assert "a second person has to approve that" in page
        assert answer.url == page_of(job)
        assert (job.status, job.kind) == ("AWAITING_APPROVAL", "change_seats_and_release")
        assert job.reason == "The band brings nobody"
        assert SeatAllocation.objects.count() == 2

        approve_job(job_id=job.pk, staff_id=CustomerFactory(admin=True).pk)
        run_job(job_id=job.pk)

        assert not SeatAllocation.objects.exists()
        kept.refresh_from_db()
        assert kept.seats_unblocked == 4

    def test_that_put_seats_on_sale_in_portions_need_one_too(
        self, staff: Client, kept: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 1)
        first = upload(staff, kept, KEPT[0], "1,A,2,R,50000,2,1,,,").url

        apply(staff, first, entry_reason="Not needed")
        second = upload(staff, kept, KEPT[0], "1,A,3,R,50000,3,1,,,").url
        apply(staff, second, entry_reason="Not needed either")

        [kept_back] = SeatAllocation.objects.all()
        assert kept_back.seat.number == 3
        job = StaffJob.objects.get(status="AWAITING_APPROVAL")
        assert (job.kind, job.reason) == ("change_seats_and_release", "Not needed either")


class TestDrafts:
    @pytest.fixture
    def draft(self, staff: Client, performance: Performance) -> str:
        seats = [f"1,A,{number},S,9000,{number},1" for number in range(1, 5)]
        return upload(staff, performance, ENGLISH, *seats).url

    def test_says_what_would_change_and_what_is_refused(
        self, staff: Client, performance: Performance, draft: str
    ) -> None:
        reservation(CustomerFactory(), list(performance.seats.order_by("pk")[:1]))

        page = staff.get(draft)
        answer = apply(staff, draft)
        said = staff.get(answer.url).content.decode()

        text = page.content.decode()
        assert dict(page.context["changes"].counts)["With another grade"] == 3
        assert "1 A-1: It is sold, so it keeps its grade." in text
        assert "1 A-2 (R → S)" in text
        assert "1 A-1: It is sold, so it keeps its grade." in said
        assert sorted(performance.seats.values_list("grade", flat=True)) == ["R", "S", "S", "S"]

    @pytest.fixture
    def job(self, staff: Client, draft: str, monkeypatch: pytest.MonkeyPatch) -> StaffJob:
        """The one that applies a draft of more seats than staff should wait for."""
        monkeypatch.setattr(seat_drafts, "AT_ONCE", 3)
        answer = apply(staff, draft)
        job: StaffJob = StaffJob.objects.get()
        assert answer.url == page_of(job)
        return job

    def test_of_many_seats_is_applied_in_the_background(
        self, staff: Client, boss: User, performance: Performance, job: StaffJob
    ) -> None:
        reservation(CustomerFactory(), list(performance.seats.order_by("pk")[:1]))
        before = set(performance.seats.values_list("grade", flat=True))

        report_progress(job.pk, 1, total=4)
        running = staff.get(page_of(job)).content.decode()
        run_job(job_id=job.pk)

        assert before == {"R"}
        assert 'max="1" value="0.25"' in running
        assert "1 of 4 in the row at work" in running
        assert progress_of(job.pk) == (3, 4)
        job.refresh_from_db()
        assert (job.status, job.rows_applied, job.requested_by) == ("DONE", 1, boss)
        assert job.rows.get().detail == (
            "With another grade: 3. With another price: 3. Refused seats: 1. "
            "1 A-1: It is sold, so it keeps its grade."
        )
        assert performance.seats.filter(grade="S").count() == 3
        assert not SeatMapDraft.objects.exists()
        assert "(hall.csv). With another grade: 3." in str(
            LogEntry.objects.filter(object_id=performance.pk).get().get_change_message()
        )
        page = staff.get(page_of(job)).content.decode()
        assert f"Change seats · {performance.concert} · " in page

    @pytest.mark.parametrize("reason", ["changed", "discarded"])
    def test_that_is_stale_is_refused_in_the_background(
        self, performance: Performance, job: StaffJob, reason: str
    ) -> None:
        if reason == "changed":
            Performance.objects.filter(pk=performance.pk).update(seat_map_version=9)
        else:
            SeatMapDraft.objects.all().delete()

        run_job(job_id=job.pk)

        job.refresh_from_db()
        assert (job.status, job.rows_refused) == ("DONE", 1)
        words = {"changed": "Seats or prices have changed", "discarded": "applied or discarded"}
        assert words[reason] in job.rows.get().detail
        assert set(performance.seats.values_list("grade", flat=True)) == {"R"}

    def test_acts_once(self, staff: Client, performance: Performance, draft: str) -> None:
        sent = shown_on(staff.get(draft))

        first, second = staff.post(draft, sent), staff.post(draft, sent)

        assert (first.status_code, second.status_code) in ((302, 302), (302, 404))
        performance.refresh_from_db()
        assert performance.seat_map_version == 2

    def test_that_is_stale_is_refused_and_says_who_did_what(
        self, staff: Client, performance: Performance, draft: str, boss
    ) -> None:
        shown = staff.get(draft)
        prices = hall_page(performance, "prices")
        sent = shown_on(shown)
        send(staff, prices, {"seat_map_version": sent["seat_map_version"], "R": 40_000})

        page = staff.post(draft, sent)
        again = apply(staff, draft)

        text = page.content.decode()
        assert "Seats or prices have changed in the meantime." in text
        assert f"{boss}: 4 prices changed. R: 50,000 → 40,000" in text
        assert again.status_code == 302
        assert set(performance.seats.values_list("price", flat=True)) == {9_000}

    def test_is_discarded(self, staff: Client, performance: Performance, draft: str) -> None:
        apply(staff, draft, discard="1")

        assert not SeatMapDraft.objects.exists()
        assert set(performance.seats.values_list("grade", flat=True)) == {"R"}
        assert staff.get(draft).status_code == 404

    def test_of_another_performance_is_not_found(
        self, staff: Client, draft: str, performance
    ) -> None:
        other = Performance.objects.exclude(pk=performance.pk).get()
        pk = SeatMapDraft.objects.get().pk

        assert staff.get(hall_page(other, "draft", pk)).status_code == 404

    def test_of_yesterday_goes(self, performance: Performance, draft: str) -> None:
        SeatMapDraft.objects.update(created_at=timezone.now() - timedelta(days=2))

        kept = draft_seats(
            performance_id=performance.pk, seats=[], source="", removes_missing=False
        )

        assert list(SeatMapDraft.objects.all()) == [kept]

    def test_goes_with_its_performance(self, staff: Client, performance, draft: str) -> None:
        page = staff.get(page_of(performance, "delete"))
        sent = {"_expected": page.context["expected"], "_shown": page.context["shown"]}

        assert staff.post(page_of(performance, "delete"), sent).status_code == 302
        assert not SeatMapDraft.objects.exists()


class TestGrades:
    @pytest.fixture
    def performance(self, staff: Client) -> Performance:
        performance = PerformanceFactory()
        form = layout_form(
            ("F", 4, 6, "R", 1_000), ("T", 2, 6, "S", 500), performances=[performance.pk]
        )
        send(staff, GENERATOR, form)
        return performance

    def regrade(
        self, staff: Client, performance: Performance, query: str = "", **fields: Any
    ) -> Any:
        url = hall_page(performance, "grades") + query
        return staff.post(url, {"grade": "S", **fields})

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"sections": ["F"]}, 24),
            ({"sections": ["F"], "rows": "B-C"}, 12),
            ({"rows": "a, C - d"}, 18),
            ({"sections": ["F"], "rows": "A", "numbers": "1-2, 6"}, 3),
        ],
    )
    def test_change_by_section_row_and_number(
        self, staff: Client, performance: Performance, fields: Any, expected: int
    ) -> None:
        answer = self.regrade(staff, performance, **fields)
        apply(staff, answer.url)

        assert performance.seats.filter(section="F", grade="S", price=500).count() == expected

    def test_a_grade_that_is_new_needs_a_price(self, staff: Client, performance) -> None:
        page = self.regrade(staff, performance, grade="VIP", sections=["F"])
        answer = self.regrade(staff, performance, grade="VIP", sections=["F"], price="9,000")
        apply(staff, answer.url)

        assert "enter its price" in page.content.decode()
        assert performance.seats.filter(grade="VIP", price=9_000).count() == 24

    def test_a_second_price_for_a_grade_is_refused_in_words(
        self, staff: Client, performance
    ) -> None:
        answer = self.regrade(staff, performance, sections=["F"], rows="A", price=600)
        page = staff.get(answer.url)

        assert "S would have two" in page.content.decode()
        assert "changes" not in page.context

    @pytest.mark.parametrize(
        "fields",
        [{"rows": "A-"}, {"rows": "A-9"}, {"numbers": "x-y"}, {"grade": "B"}, {"rows": "Z"}],
    )
    def test_what_names_no_seat_is_refused(self, staff: Client, performance, fields: Any) -> None:
        page = self.regrade(staff, performance, **fields)

        assert page.status_code == 200
        assert page.context["form"].errors
        assert not SeatMapDraft.objects.exists()

    def test_change_for_chosen_seats(self, staff: Client, performance: Performance) -> None:
        chosen = list(performance.seats.filter(section="F", number=3).order_by("pk")[:2])

        link = act(staff, "change_grades", *chosen).headers["Location"]
        query = f"?{link.partition('?')[2]}"
        page = staff.get(link)
        apply(staff, self.regrade(staff, performance, query).url)

        assert "2 seats are chosen." in page.content.decode()
        assert list(performance.seats.filter(section="F", grade="S").order_by("pk")) == chosen

    def test_chosen_seats_are_of_one_performance(self, staff: Client, performance) -> None:
        other = PerformanceFactory(seats=1).seats.get()

        act(staff, "change_grades", performance.seats.first(), other)

        assert not SeatMapDraft.objects.exists()

    def test_needs_the_permission(self, performance: Performance) -> None:
        url = hall_page(performance, "grades")

        assert clerk("add_seat").get(url).status_code == 403
        assert clerk("change_seat").get(url).status_code == 200


def test_a_csv_of_the_largest_hall_fits_into_a_form() -> None:
    file = io.BytesIO()
    seat = PlannedSeat("가" * 20, "가나다라마", 30_000, "VIP", 10_000_000, 10_000, 10_000)

    write_csv([seat] * 60_000, file)

    assert len(file.getvalue()) < 8 * 1024 * 1024
