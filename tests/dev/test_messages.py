import io

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo

from dev.messages import as_mo, as_po, collect, is_translated, updated

PLURAL = ("%(count)d seat", "%(count)d seats")


def texts(*ids):
    catalog = Catalog()
    for message_id in ids:
        catalog.add(message_id, locations=[("apps/x.py", 0)])
    return catalog


class TestUpdatedCatalog:
    def test_keeps_translations_and_forgets_texts_that_are_gone(self, tmp_path):
        po_path = tmp_path / "django.po"
        before = updated(po_path, "ko", texts("Seat held.", "Gone."))
        before["Seat held."].string = "좌석을 잡았습니다."
        po_path.write_bytes(as_po(before))

        after = updated(po_path, "ko", texts("Seat held.", "New."))

        assert after["Seat held."].string == "좌석을 잡았습니다."
        assert "Gone." not in after
        assert [message.id for message in after if message.id and not is_translated(message)] == [
            "New."
        ]

    def test_compiles_what_is_translated(self, tmp_path):
        catalog = updated(tmp_path / "django.po", "ko", texts("Seat held.", PLURAL, "Not yet."))
        catalog["Seat held."].string = "좌석을 잡았습니다."
        catalog[PLURAL].string = ("좌석 %(count)d석",)

        compiled = read_mo(io.BytesIO(as_mo(catalog)))

        assert compiled["Seat held."].string == "좌석을 잡았습니다."
        assert list(compiled[PLURAL].string) == ["좌석 %(count)d석"]
        assert "Not yet." not in compiled

    def test_is_the_same_file_when_nothing_changed(self, tmp_path):
        po_path = tmp_path / "django.po"
        po_path.write_bytes(as_po(updated(po_path, "ko", texts("Seat held.", PLURAL))))

        again = updated(po_path, "ko", texts("Seat held.", PLURAL))

        assert as_po(again) == po_path.read_bytes()


def test_texts_of_the_code_are_collected_with_their_files():
    catalog = collect()

    locations = {path for message in catalog if message.id for path, _line in message.locations}

    assert any(path.startswith("apps/concerts/") for path in locations)
    assert all(path.startswith(("apps/", "concert_project/", "templates/")) for path in locations)
