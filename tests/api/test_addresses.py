"""Whom a connection speaks for: the peer, or whom a configured proxy vouches for, and never what a caller writes."""

from ipaddress import ip_network

import pytest

from permission_mongo.api.addresses import forwarded_address, read_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "told", "caller"),
    [
        ("10.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ("10.0.0.1", [b"1.1.1.1", b"203.0.113.7", b"10.9.9.9"], "203.0.113.7"),
        ("10.0.0.1", [b"10.7.7.7, 10.8.8.8"], "10.7.7.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.7, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", [b"203.0.113.7,"], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.7:4711"], "203.0.113.7"),
        ("fd00::1", [b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("::ffff:10.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"\xff\x00<script>"], "10.0.0.1"),
    ],
)
def test_t28_of_a_trusted_proxy_the_right_most_untrusted_address_is_the_callers(peer, told, caller):
    assert forwarded_address(peer, told, TRUSTED) == caller


@pytest.mark.parametrize("peer", ["203.0.113.9", "11.0.0.1", "2001:db8::1", "::ffff:203.0.113.9"])
def test_t28_nobody_else_says_where_it_comes_from(peer):
    assert forwarded_address(peer, [b"127.0.0.1"], TRUSTED) == str(read_address(peer))


def test_a_peer_without_an_address_is_told_as_it_is():
    assert forwarded_address("/run/gateway.sock", [b"1.1.1.1"], TRUSTED) == "/run/gateway.sock"


@pytest.mark.parametrize("text", ["", "unknown", "_hidden", "1.2.3", "[::1", "1.2.3.4.5", "::1::", "localhost", "²"])
def test_what_is_no_address_is_none(text):
    assert read_address(text) is None
