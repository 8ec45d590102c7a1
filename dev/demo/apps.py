from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Commands for local settings and tests: data for a demo and for load, and a customer to watch."""

    name = "dev.demo"
    label = "demo"
