"""What has to be done before Django makes a request of a call."""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)


def without_charset(application: WSGIApplication) -> WSGIApplication:
    """Everything is UTF-8, whatever charset the caller names for the body.

    Django decodes the query string with it too, and one that Python knows but not for text (`zlib`) is an exception that no
    handler of Django sees.
    """

    def utf8_application(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
        return application(environ, start_response)

    return utf8_application
