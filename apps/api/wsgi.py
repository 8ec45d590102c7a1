"""WSGI wrapper: strip content-type parameters."""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PARAMETERS = re.compile(r";(?!\s*boundary\s*=)[^;]*", re.IGNORECASE)


def with_plain_content_type(application: WSGIApplication) -> WSGIApplication:
    """Everything is UTF-8, whatever the caller says of the body: of its content type only the boundary of forms is believed.

    Django decodes the query string with the charset that it names, in any of the spellings of RFC 2231, and what Python cannot
    make text of (`zlib`) is an exception that no handler of Django sees.
    """

    def plain_application(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = _PARAMETERS.sub("", environ["CONTENT_TYPE"])
        return application(environ, start_response)

    return plain_application
