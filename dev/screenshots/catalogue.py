"""All pictures, and where each goes."""

from pathlib import PurePath

from dev.screenshots.pictures import SCENES, Picture
from dev.screenshots.staff import KEPT, STAFF_SCENES

PICTURES = tuple(Picture(scene, look) for scene in (*SCENES, *STAFF_SCENES) for look in scene.looks)


def path_of(picture: Picture) -> PurePath:
    """Return the file of a picture below the folder of all: in `staff/`, which the repository leaves out, unless it is kept."""
    is_left_out = picture.scene.is_of_staff and picture.name not in KEPT
    return PurePath("staff" if is_left_out else "", f"{picture.name}.jpg")
