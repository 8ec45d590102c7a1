from django.apps import AppConfig


class SharedConfig(AppConfig):
    name = "apps.shared"
    label = "shared"

    def ready(self) -> None:
        from apps.shared import path_converters  # noqa: F401  (registers `int64`)
