"""What may be called: addresses of the open internet, in their usual form, and what is listed."""

import base64
import socket
import ssl
import subprocess
from ipaddress import ip_network

import pytest

from permission_mongo.addresses import fault_of_host, fault_of_url, may_be_called
from permission_mongo.hooks import Receiver as Called
from permission_mongo.outgoing.calls import Caller, CallFailed
from permission_mongo.outgoing.signing import signature
from tests.receivers import SECRET, a_receiver

LOCAL = (ip_network("127.0.0.0/8"),)


def a_hook(url, timeout=2.0):
    return Called("a hook", url, SECRET.encode(), timeout=timeout)


async def called(url, allowed=LOCAL, trusted=None, within=2.0):
    async with Caller(allowed, trusted) as caller:
        return await caller.call(a_hook(url, within), "msg_1", 1, b"{}")


async def failure(url, **more):
    with pytest.raises(CallFailed) as caught:
        await called(url, **more)
    return caught.value.reason


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "nonsense",
    ],
)
def test_t30_what_is_not_of_the_open_internet_is_not_called(address):
    assert not may_be_called(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_the_open_internet_is(address):
    assert may_be_called(address, ())


def test_what_is_listed_is_called_and_nothing_beside_it():
    assert may_be_called("127.0.0.1", LOCAL)
    assert not may_be_called("10.0.0.1", LOCAL)
    assert not may_be_called("::1", LOCAL)
    assert not may_be_called("::ffff:127.0.0.1", LOCAL)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0x7f.1",
        "127.0.0.01",
        "1.2.3",
        "a.0x7f",
        "127.0.0.1.",
        "[::1]",
    ],
)
def test_t30_odd_forms_of_addresses_are_no_hosts(host):
    assert fault_of_host(host) is not None


@pytest.mark.parametrize(
    "host", ["example.com", "a-b.example.com", "localhost", "8.8.8.8", "::1", "xn--bcher-kva.example"]
)
def test_names_and_addresses_in_their_usual_form_are(host):
    assert fault_of_host(host) is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "//example.com",
        "example.com",
        "http://",
        "http://user:pw@example.com",
        "http://example.com#x",
        "http://example.com:0",
        "http://example.com:99999",
        "http://exa mple.com",
        "http://example.com\r\nx: y",
        "http://example.com\\@127.0.0.1",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1",
        "http://ex\u00e4mple.com",
        "http://127.1",
        "http://example.com/\u00fc",
        "http://example.com/?q=\u2028",
        "",
    ],
)
def test_such_urls_are_refused_at_load(url):
    assert fault_of_url(url) is not None


async def test_a_name_that_leads_to_this_machine_is_not_called():
    async with a_receiver() as receiver:
        assert await failure(f"http://localhost:{receiver.port}/", allowed=()) == "the address may not be called"
        assert await failure(receiver.url, allowed=()) == "the address may not be called"
        assert receiver.heard == []
        assert (await called(receiver.url)).status == 200


async def test_t30_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(monkeypatch):
    """An owner who answers the second look-up otherwise is never asked a second time."""
    async with a_receiver() as receiver:
        asked = []
        real = socket.getaddrinfo

        def answering(host, port, *rest, **more):
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "10.255.255.1", port, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", answering)
        assert (await called(f"http://rebinding.example:{receiver.port}/")).status == 200
        assert [one for one in asked if one == "rebinding.example"] == ["rebinding.example"]
        assert receiver.heard[0].headers["host"].startswith("rebinding.example")


async def test_one_barred_address_of_a_name_bars_them_all(monkeypatch):
    both = lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert await failure("http://mixed.example/") == "the address may not be called"


async def test_t30_a_slow_answer_and_an_endless_one_are_cut_off():
    async with a_receiver(pause=5) as receiver:
        assert await failure(receiver.url, within=0.2) == "no answer in time"
    async with a_receiver(answer=lambda heard: (200, b"x" * 70_000)) as receiver:
        assert await failure(receiver.url) == "the answer is too long"


async def test_nobody_there_is_no_connection():
    async with a_receiver() as receiver:
        url = receiver.url
    assert await failure(url) == "no connection"


@pytest.fixture
def certificate(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -days 2 -subj /CN=hooks.example"
        " -addext subjectAltName=DNS:hooks.example".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, ssl.create_default_context(cafile=str(cert))


async def test_tls_asks_for_the_certificate_of_the_name(certificate, monkeypatch):
    serving, trusting = certificate
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1", *rest, **more))
    async with a_receiver(_trusted=serving) as receiver:
        fine, other = (f"https://{name}.example:{receiver.port}/" for name in ("hooks", "other"))
        assert (await called(fine, trusted=trusting)).status == 200
        assert await failure(other, trusted=trusting) == "the certificate is not trusted"
        assert await failure(fine) == "the certificate is not trusted"


def test_t30_the_signature_is_that_of_the_standard_webhooks():
    """The example of the specification's reference libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
