import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dev.bench.markdown import PageBroken
from dev.bench.page import REGIONS, write_history, write_page, write_rooms
from dev.bench.plots import bars, lines, stacks
from dev.bench.profiling import as_text, top_costs

SVG = "{http://www.w3.org/2000/svg}"


def result(**values: Any) -> dict[str, Any]:
    return {
        "taken_at": "2026-11-28T10:00:00+00:00",
        "commit": "abc123",
        "is_changed": False,
        "form": "full",
        "machine": {
            "cores": 2,
            "processor": "A chip",
            "memory_gb": 8,
            "system": "Linux 6",
            "versions": {"python": "3.11.7", "wrk": "4.1.0"},
        },
        "load_before": [0.1, 0.2, 0.3],
        "load_after": [1.1, 1.2, 1.3],
        "figures": {},
        "scenarios": {},
        "failures": {},
        **values,
    }


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "performance.md"
    regions = [f"<!-- bench: {name} -->\nfrom before\n<!-- end of bench -->\n" for name in REGIONS]
    path.write_text("# By hand\n\n" + "\nStill by hand.\n\n".join(regions))
    return path


class TestWritePage:
    def test_replaces_regions_and_keeps_the_prose(self, page: Path) -> None:
        write_page(result(), page)

        text = page.read_text()
        assert text.startswith("# By hand\n")
        assert text.count("Still by hand.") == len(REGIONS) - 1
        assert "from before" not in text
        assert "abc123" in text

    def test_changes_nothing_the_second_time(self, page: Path) -> None:
        write_page(result(), page)
        once = page.read_text()

        write_page(result(), page)

        assert page.read_text() == once

    def test_says_of_each_bound_whether_it_is_met(self, page: Path) -> None:
        write_page(result(figures={"join_of_hello": 0.09, "status_of_hello": 0.013}), page)

        [join] = [line for line in page.read_text().splitlines() if line.startswith("| joining")]
        [status] = [line for line in page.read_text().splitlines() if "asking for" in line]
        assert (
            join == "| joining, of `hello` | 0.09 | at least 0.08 | yes | at least 0.11 | **no** |"
        )
        assert "| 0.013 | at least 0.1 | **no** |" in status

    def test_a_failure_is_told(self, page: Path) -> None:
        write_page(result(failures={"on-sale": "12 of 20 seats were sold"}), page)

        assert "**on-sale failed**: 12 of 20 seats were sold" in page.read_text()

    def test_says_when_k6_stood_in_for_wrk(self, page: Path) -> None:
        without = result()
        without["machine"]["versions"]["wrk"] = None

        write_page(without, page)

        assert "in place of wrk" in page.read_text()

    def test_names_the_top_five_costs(self, page: Path) -> None:
        rows = [{"name": f"f{n} (a.py)", "samples": 9, "share": 0.1} for n in range(8)]
        costs = {"packages": rows[:2], "functions": rows}

        write_page(result(profiles={"join": {"web": costs}}), page)

        [line] = [line for line in page.read_text().splitlines() if line.startswith("| join | web")]
        assert line.count("10%") == 2 + 5

    def test_draws_only_what_the_page_shows(self, page: Path) -> None:
        folder = page.parent / "performance"
        folder.mkdir()
        (folder / "of-yesterday.svg").write_text("<svg/>")

        write_page(result(figures={"join_of_hello": 0.09}), page)

        assert [path.name for path in folder.iterdir()] == ["ratios.svg"]
        assert "performance/ratios.svg" in page.read_text()

    def test_shows_the_same_sale_by_pretix(self, page: Path) -> None:
        row = {
            "sales": 240,
            "pretix": 8.1,
            "encore": 162.0,
            "ratio": 20.0,
            "pretix_cpu_ms": 212.0,
            "encore_cpu_ms": 10.6,
            "cpu_ratio": 20.0,
            "idle_encore": 0.031,
            "idle_pretix": 0.012,
        }
        cpu = {"web": 110.0, "worker": 70.0, "postgres": 30.0, "valkey": 2.0, "service": 212.0}
        found = {
            "buyers": 32,
            "versions": {"pretix": "1.2.3"},
            "cpu_ms": {"Encore": {name: one / 20 for name, one in cpu.items()}, "pretix": cpu},
            "runs": [row],
        }
        figures = {"pretix_ratio": 20.0, "pretix_cpu_ratio": 20.0}

        write_page(result(scenarios={"pretix": found}, figures=figures), page)

        text = page.read_text()
        assert "pretix 1.2.3." in text
        assert "| 1 | 240 | 8.1 | 162.0 | 20.0 | 212 | 10.6 | 20.0 | 0.031 | 0.012 |" in text
        assert (
            "of pretix | 20 times | at least 15 times | yes | at least 25 times | **no** |" in text
        )
        assert (page.parent / "performance" / "pretix.svg").exists()

    def test_refuses_a_page_that_lacks_a_region(self, page: Path) -> None:
        page.write_text(page.read_text().replace("<!-- bench: queue -->", ""))
        before = page.read_text()

        with pytest.raises(PageBroken):
            write_page(result(), page)
        assert page.read_text() == before


class TestWriteHistory:
    sizes: ClassVar = {"concerts": 10_000, "reservations": 5_000_000, "accounts": 1_000_000}

    def test_puts_figures_beside_those_without(self, page: Path) -> None:
        page.write_text(
            page.read_text()
            + "<!-- with history -->\nfrom earlier\n<!-- end of history -->\nThe end.\n"
        )
        before = page.read_text()
        without = result(figures={"join_of_hello": 0.1, "pay_p95_ms": 200, "livez_of_hello": 1})
        history = result(
            commit="def",
            history=self.sizes,
            figures={"join_of_hello": 0.08, "pay_p95_ms": 220, "on_sale_lost": 0},
        )

        write_history(without, history, page)

        text = page.read_text()
        assert "5,000,000 past reservations" in text
        assert "| joining, of `hello` | 0.1 | 0.08 | 1.25 |" in text
        assert "| hold and pay: p95 of paying | 200 | 220 | 1.10 |" in text
        assert "on-sale: paid" not in text
        assert "from earlier" not in text
        head, _, _ = before.partition("<!-- with history -->")
        assert text.startswith(head)
        assert text.endswith("<!-- end of history -->\nThe end.\n")

    def test_refuses_a_page_without_a_place_for_it(self, page: Path) -> None:
        before = page.read_text()

        with pytest.raises(PageBroken):
            write_history(result(), result(history=self.sizes), page)
        assert page.read_text() == before

    def test_stays_when_the_rest_is_written_anew(self, page: Path) -> None:
        kept = "<!-- with history -->\nkept\n<!-- end of history -->\n"
        page.write_text(page.read_text() + kept)

        write_page(result(), page)

        assert page.read_text().endswith(kept)


class TestWriteRooms:
    def test_shows_what_each_call_costs(self, tmp_path: Path) -> None:
        row = {
            "visitors_per_second": 5_092,
            "client_p50": 182,
            "client_p99": 384,
            "server_p50": 48,
            "server_p99": 232,
            "server_longest": 2_408,
            "server_per_visitor": 58.8,
        }
        rooms = [
            {"waiting": size, "bytes_per_visitor": 127, "operations": {"join": row}}
            for size in (1_000, 1_000_000)
        ]
        ratios = {"join": {"client": 1.01, "server": 1.04}}
        measured = result(scenarios={"room": {"rooms": rooms, "ratios": ratios}})
        measured["machine"]["versions"]["valkey"] = "9.1.2"
        page = tmp_path / "waiting-room.md"
        page.write_text(
            "Before.\n<!-- costs: made by `make bench` -->\nold\n<!-- end of costs -->\nAfter.\n"
        )

        write_rooms(measured, page)

        text = page.read_text()
        assert "**1,000,000 waiting, 127 bytes each**" in text
        assert text.count("| join | 5,092 | 182 | 384 | 48 | 232 | 2,408 | 58.8 |") == 2
        assert "| join | 1.01 x | 1.04 x |" in text
        assert text.startswith("Before.\n")
        assert text.endswith("<!-- end of costs -->\nAfter.\n")
        assert "old" not in text


def drawn(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 (our own)


class TestPlots:
    def test_bars_are_as_long_as_their_values(self) -> None:
        picture = drawn(bars("Title", {"a": 10, "b & c": 5}))

        widths = [float(rect.attrib["width"]) for rect in picture.iter(f"{SVG}rect")]
        assert widths[0] == pytest.approx(2 * widths[1])

    def test_a_mark_beyond_every_bar_has_room(self) -> None:
        picture = drawn(bars("Title", {"a": 1}, marks={"a": 4}))

        [rect] = picture.iter(f"{SVG}rect")
        [mark] = picture.iter(f"{SVG}path")
        x = float(mark.attrib["d"].split()[0][1:])
        start = float(rect.attrib["x"])
        assert x - start == pytest.approx(4 * float(rect.attrib["width"]))
        assert x < float(picture.attrib["width"])

    def test_parts_of_a_stack_lie_side_by_side(self) -> None:
        picture = drawn(stacks("Title", {"sale": {"web": 3, "postgres": 1}}))

        web, postgres = list(picture.iter(f"{SVG}rect"))[:2]
        end_of_web = float(web.attrib["x"]) + float(web.attrib["width"])
        assert float(postgres.attrib["x"]) == pytest.approx(end_of_web, abs=0.2)

    def test_a_line_goes_up_with_its_values(self) -> None:
        text = lines("Title", {"sold": [(0, 0), (1, 50), (2, 100)]}, across="s", up="seats")

        [line] = drawn(text).iter(f"{SVG}polyline")
        heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
        assert heights == sorted(heights, reverse=True)

    @pytest.mark.parametrize(
        "picture",
        [bars("Nothing", {}), stacks("Nothing", {}), lines("Nothing", {}, across="s", up="")],
    )
    def test_nothing_is_a_picture_too(self, picture: str) -> None:
        assert drawn(picture).tag == f"{SVG}svg"


class TestTopCosts:
    folded = (
        "main (a.py:1);work (lib/site-packages/x/b.py:10) 30",
        "main (a.py:1);work (lib/site-packages/x/b.py:12) 30",
        "main (a.py:1) 20",
        'process 7:"python -m granian" 99',
        "other (c.py:3);main (a.py:9) 20",
    )

    def test_counts_own_time_by_function(self) -> None:
        assert top_costs(self.folded)["functions"] == [
            {"name": "work (x/b.py)", "samples": 60, "share": 0.6},
            {"name": "main (a.py)", "samples": 40, "share": 0.4},
        ]

    def test_counts_own_time_by_package(self) -> None:
        assert [row["name"] for row in top_costs(self.folded)["packages"]] == ["x", "Python itself"]

    def test_keeps_the_first_only(self) -> None:
        assert len(top_costs(self.folded, count=1)["functions"]) == 1

    def test_of_nothing_are_none(self) -> None:
        assert top_costs([]) == {"functions": [], "packages": []}

    def test_can_be_read_as_a_table(self) -> None:
        text = as_text(top_costs(self.folded))

        assert text.splitlines()[1].split() == ["60.0%", "60", "work", "(x/b.py)"]
