"""The WSGI entry point: `granian --interface wsgi concert_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from apps.shared.api.wsgi import without_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.local")

application = without_charset(get_wsgi_application())
