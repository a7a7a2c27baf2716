"""Reading a URL that nobody vouches for: over HTTP or HTTPS, from public addresses, within limits of bytes and seconds."""

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
import urllib.parse

URL_SAFE = "%/:=&?~#+!$,;'@()*[]"  # characters that mean something in a URL; others, such as Chinese ones, are quoted
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv6 addresses that end in an IPv4 one (RFC 6052)
UNICAST = ipaddress.ip_network("2000::/3")  # all that is given out of IPv6 so far (RFC 4291)


def read_bytes(url, max_bytes, seconds, allow_private=False):
    """(the body of the answer, its Content-Type); of a longer body than `max_bytes` one byte more than that.

    `seconds` are for all of it: finding addresses, connecting, heads and body, redirects. Unless `allow_private`, a name must
    stand for public addresses only, and the connection goes to an address that was looked at, never to a proxy.
    Raises OSError, ValueError or http.client.HTTPException for whatever goes wrong.
    """
    deadline = time.monotonic() + seconds
    for _ in range(MAX_REDIRECTS + 1):
        connection = _ask(urllib.parse.urlsplit(url), deadline, allow_private)
        try:
            with connection.getresponse() as response:
                if response.status not in REDIRECTS:
                    return _body(response, max_bytes, deadline), response.headers.get("Content-Type", "").lower()
                url = urllib.parse.urljoin(url, response.headers.get("Location", ""))
        finally:
            connection.close()
    raise ValueError(f"redirected more than {MAX_REDIRECTS} times")


def is_public(address):
    """Whether the IP address, a text, is one of the public internet; one that stands for an IPv4 address as that is."""
    address = ipaddress.ip_address(address)
    if address.version == 6:
        last_bits = ipaddress.IPv4Address(int(address) % 2**32)
        address = last_bits if address in NAT64 else address.ipv4_mapped or address.sixtofour or address
    if address.version == 6:
        return address.is_global and address in UNICAST
    return address.is_global and not address.is_multicast


class _Deadline:
    """Makes a socket that is over at its `deadline`, however often a byte still arrives."""

    deadline = float("inf")

    def recv_into(self, *arguments):
        self.settimeout(_left(self.deadline))
        return super().recv_into(*arguments)


class _Socket(_Deadline, socket.socket):
    pass


class _SecureSocket(_Deadline, ssl.SSLSocket):
    pass


def _ask(parts, deadline, allow_private):
    """A connection on which the request for the URL `parts` has been sent."""
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{parts.scheme!r} is neither http nor https")
    if not parts.hostname or parts.username is not None:
        raise ValueError("it names no host, or a user besides")
    secure = parts.scheme == "https"
    host, port = parts.hostname, parts.port or (443 if secure else 80)
    connected = _connect(host, port, deadline, allow_private)
    try:
        if secure:
            context = ssl.create_default_context()
            context.sslsocket_class = _SecureSocket
            connection = http.client.HTTPSConnection(host, port, context=context)
            connected.settimeout(_left(deadline))  # of the whole handshake
            connected = context.wrap_socket(connected, server_hostname=host)
        else:
            connection = http.client.HTTPConnection(host, port)
        connected.deadline = deadline
        connection.sock = connected
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", urllib.parse.quote(target, safe=URL_SAFE), headers={"User-Agent": "mindclf"})
    except BaseException:
        connected.close()
        raise
    return connection


def _connect(host, port, deadline, allow_private):
    """A socket connected to the first address of `host` that answers."""
    places = _look_up(host, port, deadline)
    for *_, address in places:
        if not (allow_private or is_public(address[0])):
            name = host if host == address[0] else f"{host}, {address[0]},"
            raise ValueError(f"{name} is no public address; --allow-private reads it")
    for family, kind, protocol, _, address in places:
        connecting = _Socket(family, kind, protocol)
        try:
            connecting.settimeout(_left(deadline))
            connecting.connect(address)
            return connecting
        except OSError as error:
            connecting.close()
            problem = error
    raise problem


def _look_up(host, port, deadline):
    """What socket.getaddrinfo says; in a thread, because it takes no time limit."""
    answers = queue.SimpleQueue()

    def look_up():
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _body(response, max_bytes, deadline):
    if response.status != 200:
        raise OSError(response.reason or f"status {response.status}")
    data = bytearray()
    while len(data) <= max_bytes and (piece := response.read1(min(2**16, max_bytes + 1 - len(data)))):
        data += piece
        _left(deadline)
    if response.length and len(data) <= max_bytes:
        raise http.client.IncompleteRead(bytes(data), response.length)
    return bytes(data)


def _left(deadline):
    """The seconds to `deadline`. Raises TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
