"""List the pictures, with what a camera needs to know for each. Nothing here needs a running stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Size = Literal["phone", "tablet", "desktop"]
# Who is queued has queue tokens, too.
Visitor = Literal["stranger", "customer", "queued", "staff"]
Spot = tuple[int, int]  # of a seat, on its map

SIZES: Mapping[Size, dict[str, Any]] = {
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "tablet": {"viewport": {"width": 1024, "height": 768}},
    "desktop": {"viewport": {"width": 1280, "height": 900}},
}


@dataclass(frozen=True, slots=True)
class Look:
    size: Size
    scheme: Literal["light", "dark"] = "light"
    language: Literal["en", "ko"] = "en"

    @property
    def name(self) -> str:
        usual = ("light", "en")
        return "-".join(
            part for part in (self.size, self.scheme, self.language) if part not in usual
        )


EVERYWHERE = (Look("phone"), Look("desktop"))
DARK = (Look("desktop", scheme="dark"),)
KOREAN = (Look("phone", language="ko"), Look("desktop", language="ko"))


@dataclass(frozen=True, slots=True)
class Scene:
    """A page in one situation.

    `view` is its name in `apps/storefront/urls.py`, if it is one of those; the picture is taken once `ready` is seen. With `phone_top` a phone shows
    one screen instead of the whole page, that element at its top: for a page with something fixed to the bottom of the screen. What `typed` says is
    entered first, by selector of the field, and `pressed` is the button that is clicked then.
    """

    name: str
    view: str | None
    visitor: Visitor = "customer"
    looks: Sequence[Look] = EVERYWHERE
    ready: str = "h1"
    status: int = 200
    phone_top: str | None = None
    typed: Sequence[tuple[str, str]] = ()
    pressed: str | None = None

    @property
    def is_of_staff(self) -> bool:
        return self.name.partition("-")[0] == "staff"


@dataclass(frozen=True, slots=True)
class Picture:
    scene: Scene
    look: Look

    @property
    def screen_top(self) -> str | None:
        """Return the selector of the element at the top, for a picture of one screen."""
        return self.scene.phone_top if self.look.size == "phone" else None

    @property
    def name(self) -> str:
        return f"{self.scene.name}-{self.look.name}"


@dataclass(slots=True)
class Stage:
    """Addresses of the scenes. Paths and seats to choose are by scene and, where it differs, language: `seats-ko`."""

    base_url: str
    paths: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, list[Spot]] = field(default_factory=dict)
    cookies: dict[Visitor, list[Any]] = field(default_factory=dict)

    def key_of(self, picture: Picture) -> str:
        localized = f"{picture.scene.name}-{picture.look.language}"
        return localized if localized in self.paths else picture.scene.name


SCENES = (
    # First those that time changes.
    Scene("queue-opening", "queue", "queued"),
    Scene("queue", "queue", "queued", (*EVERYWHERE, *DARK), ready='[data-slot="ahead"]'),
    Scene(
        "seats",
        "seat_map",
        "queued",
        looks=(*EVERYWHERE, *DARK, *KOREAN),
        ready="#seats[data-ready] .map__svg",
        phone_top=".site-header",
    ),
    Scene("no-seats", "seats", "queued"),
    Scene("checkout", "checkout"),
    Scene("checkout-short", "checkout"),
    Scene("checkout-over", "checkout"),
    Scene("home", "home", "stranger", (*EVERYWHERE, *KOREAN)),
    Scene("search", "home", "stranger"),
    Scene("concert", "concert"),
    Scene("register", "register", "stranger"),
    Scene("login", "login", "stranger"),
    Scene("wallet", "wallet"),
    Scene("reservations", "reservations"),
    Scene("ticket", "reservation", ready='img[src*="qr.svg"]'),
    Scene("cancellation", "cancellation"),
    Scene("not-found", None, "stranger", status=404),
)


NOT_PICTURED = {
    "favicon": "a picture itself",
    "poster": "a picture itself, on the home page",
    "ticket_qr": "a picture itself, on the ticket",
    "calendar": "a file to download",
    "queue_status": "for scripts",
    "seat_map_data": "for scripts",
    "availability": "for scripts",
    "language": "takes a form and leads back",
    "logout": "takes a form and leads home",
    "leave_queue": "takes a form and leads to the concert",
    "release_hold": "takes a form and leads to the seats",
    "extend_hold": "takes a form and leads back",
    "top_up_for_hold": "takes a form and leads back to the checkout",
}
