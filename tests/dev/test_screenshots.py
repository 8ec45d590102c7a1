"""Test the list of pictures; `make screenshots` takes them of a stack of its own, which no test starts."""

from collections import Counter

from apps.storefront.urls import urlpatterns
from dev.screenshots.pictures import NOT_PICTURED, PICTURES, SCENES


def test_every_picture_has_a_name_of_its_own():
    times = Counter(picture.name for picture in PICTURES)

    assert [name for name, number in times.items() if number > 1] == []


def test_every_page_is_in_a_picture_or_said_not_to_be():
    pages = {pattern.name for pattern in urlpatterns}
    pictured = {scene.view for scene in SCENES if scene.view}

    assert pictured | set(NOT_PICTURED) == pages
    assert pictured & set(NOT_PICTURED) == set()
    assert all(NOT_PICTURED.values())


def test_every_scene_is_taken_where_its_visitors_are():
    sizes = {
        scene.name: {look.size for look in scene.looks if look.scheme == "light"}
        for scene in SCENES
    }
    wrong = {
        name: taken
        for name, taken in sizes.items()
        if taken != {"tablet" if name.startswith("staff") else "phone", "desktop"}
    }

    assert wrong == {}
