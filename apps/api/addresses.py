"""The network that a call comes from: what limits count in the place of single addresses.

A caller with IPv6 has at least a /64, of which each call may use another address; an IPv4 address is a network of its own.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

# Those of whom a proxy or a socket tells no address share one limit: none may have as many as there are odd texts.
UNKNOWN = "unknown"
IPV6_PREFIX = 64
# RFC 6052: the address of an IPv4 caller as a translator in front of us writes it.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")


def client_network(environ: Mapping[str, Any]) -> str:
    """Return the network of the caller: an IPv4 address, an IPv6 /64, or `UNKNOWN`.

    Only what our own `NUM_PROXIES` proxies have appended to X-Forwarded-For is believed.
    """
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    if settings.NUM_PROXIES and forwarded is not None:
        return network_of(forwarded.split(",")[-settings.NUM_PROXIES :][0])
    return network_of(environ.get("REMOTE_ADDR") or "")


def network_of(address: str) -> str:
    """Return the network of an address, which may have brackets, a port or a zone."""
    text = address.strip()
    if bare := _WITH_PORT.fullmatch(text):
        text = bare["v6"] or bare["v4"] or ""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    if parsed in _TRANSLATED:
        return str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF))
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
