"""One function says from which network a call comes, whatever a socket or a proxy has written."""

import pytest
from django.conf import LazySettings

from apps.api.addresses import UNKNOWN, client_network, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:50123", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:0db8:0001:0002:0000:0000:0000:0001", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[fe80::1%25eth0]:80", "fe80::/64"),
        ("::1", "::/64"),
        # None of these is an address. A caller who could choose one would have as many limits as there are texts.
        *((odd, UNKNOWN) for odd in ("", " ", "unknown", "_hidden", "localhost", "1", "192.0.2")),
        *((odd, UNKNOWN) for odd in ("192.0.2.256", "192.000.002.001", "192.0.2.1/24", "[]:80")),
        *((odd, UNKNOWN) for odd in ("[192.0.2.1", "::1::2", "１９２.0.2.1", "x" * 9_999, "\x00")),
        *((odd, UNKNOWN) for odd in ("%", "[%]", "192.0.2.1:", ":80", "/run/encore.sock", "é")),
    ],
)
def test_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("proxies", "forwarded", "network"),
    [
        (0, None, "198.51.100.7"),
        (0, "192.0.2.1", "198.51.100.7"),
        (1, None, "198.51.100.7"),
        (1, "192.0.2.9, 192.0.2.1", "192.0.2.1"),
        (1, "192.0.2.9,[2001:db8::1]:8080", "2001:db8::/64"),
        (2, "192.0.2.9, 192.0.2.1, 192.0.2.2", "192.0.2.1"),
        # It came past one of them.
        (2, "192.0.2.1", "192.0.2.1"),
        (1, "", UNKNOWN),
        (1, "192.0.2.1,", UNKNOWN),
    ],
)
def test_network_of_a_call(
    proxies: int, forwarded: str | None, network: str, settings: LazySettings
) -> None:
    settings.NUM_PROXIES = proxies
    environ = {"REMOTE_ADDR": "198.51.100.7"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded

    assert client_network(environ) == network


def test_network_of_a_call_without_an_address() -> None:
    assert client_network({}) == client_network({"REMOTE_ADDR": ""}) == UNKNOWN
