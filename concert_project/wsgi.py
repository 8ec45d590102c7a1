"""The WSGI entry point: `granian --interface wsgi concert_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from apps.shared.api.wsgi import with_plain_content_type

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.local")

django_application = get_wsgi_application()

# It knows the models, which are there from now on.
from apps.front.application import Front  # noqa: E402

application = with_plain_content_type(Front(django_application))
