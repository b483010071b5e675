"""The bounds of the listening socket, as config.yaml says them."""

from ipaddress import ip_network

import pytest

from permission_mongo.config.model import Server
from permission_mongo.errors import Misconfigured
from tests.config.test_load import CONFIG, load


def server(tmp_path, text: str) -> Server:
    return load(tmp_path, f"{CONFIG}server: {{{text}}}\n").server


def test_each_bound_is_read(tmp_path):
    text = "header_timeout: 1s, body_timeout: 2s, write_timeout: 3s, keep_alive_timeout: 500ms, max_connections: 7, "
    found = server(tmp_path, text + "max_header_bytes: 4KiB, trusted_proxies: [10.0.0.1, 'fd00::/8']")
    times = (found.header_timeout, found.body_timeout, found.write_timeout, found.keep_alive_timeout)
    assert (times, found.max_connections, found.max_header_bytes) == ((1.0, 2.0, 3.0, 0.5), 7, 4096)
    assert found.trusted_proxies == (ip_network("10.0.0.1/32"), ip_network("fd00::/8"))


def test_nobody_is_trusted_unless_named(tmp_path):
    assert server(tmp_path, "").trusted_proxies == ()


@pytest.mark.parametrize(
    "text",
    [
        "header_timeout: 0s",
        "body_timeout: 0s",
        "write_timeout: 0s",
        "header_timeout: never",
        "max_connections: 0",
        "max_header_bytes: 100",
        "max_header_bytes: 2MiB",
        "trusted_proxies: [10.0.0.1/8]",
        "trusted_proxies: [proxy.example]",
        "trusted_proxies: ['*']",
        "trusted_proxy: [10.0.0.1]",
    ],
)
def test_what_bounds_nothing_or_trusts_nobody_that_can_be_told_is_refused(tmp_path, text):
    with pytest.raises(Misconfigured):
        server(tmp_path, text)
