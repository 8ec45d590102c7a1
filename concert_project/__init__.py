from concert_project.celery import app as celery_app

__version__ = "1.0.0"  # of the product and of its API; pyproject.toml and the OpenAPI document take it from here
