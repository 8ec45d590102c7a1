"""The WSGI entry point: `granian --interface wsgi concert_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from apps.api.wsgi import with_plain_content_type
from concert_project.heartbeat import WatchedApplication, show_life

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.production")

django_application = get_wsgi_application()

# It knows the models, which are there from now on.
from apps.front.application import Front  # noqa: E402

application = WatchedApplication(with_plain_content_type(Front(django_application)))
show_life("web", works=application.works)
