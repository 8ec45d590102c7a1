from django.apps import AppConfig


class BoxOfficeConfig(AppConfig):
    name = "apps.boxoffice"
    label = "boxoffice"
