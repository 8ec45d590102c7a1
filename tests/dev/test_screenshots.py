"""Test the list of pictures; `make screenshots` takes them of a stack of its own, which no test starts."""

from collections import Counter

from apps.boxoffice.navigation import SECTIONS
from apps.storefront.urls import urlpatterns
from dev.screenshots.catalogue import PICTURES, path_of
from dev.screenshots.pictures import NOT_PICTURED, SCENES
from dev.screenshots.staff import KEPT, SIDEBAR, STAFF_SCENES
from dev.screenshots.staff_stage import name_of


def test_every_picture_has_a_name_of_its_own():
    times = Counter(picture.name for picture in PICTURES)

    assert [name for name, number in times.items() if number > 1] == []


def test_every_page_is_in_a_picture_or_said_not_to_be():
    pages = {pattern.name for pattern in urlpatterns}
    pictured = {scene.view for scene in SCENES if scene.view}

    assert pictured | set(NOT_PICTURED) == pages
    assert pictured & set(NOT_PICTURED) == set()
    assert all(NOT_PICTURED.values())


def test_every_page_of_the_sidebar_is_in_a_picture():
    pages = [name_of(page) for _title, pages in SECTIONS for page in pages]

    assert pages == list(SIDEBAR)


def test_every_scene_is_taken_where_its_visitors_are():
    sizes = {
        scene: {look.size for look in scene.looks if look.scheme == "light"}
        for scene in (*SCENES, *STAFF_SCENES)
    }
    wrong = {
        scene.name: taken
        for scene, taken in sizes.items()
        if taken != {"tablet" if scene.is_of_staff else "phone", "desktop"}
    }

    assert wrong == {}


def test_every_scene_of_staff_is_taken_in_both_languages():
    assert {scene.name for scene in STAFF_SCENES} == {
        scene.name
        for scene in STAFF_SCENES
        if {look.language for look in scene.looks if look.scheme == "light"} == {"en", "ko"}
    }


def test_pictures_of_staff_that_are_not_kept_are_left_out_of_the_repository():
    kept = {picture.name for picture in PICTURES if picture.name in KEPT}
    paths = {str(path_of(picture)) for picture in PICTURES if picture.scene.is_of_staff}

    assert kept == KEPT
    assert {path for path in paths if not path.startswith("staff/")} == {
        f"{name}.jpg" for name in KEPT
    }
