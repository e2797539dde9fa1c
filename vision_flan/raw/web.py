"""Requests over HTTP to the hosts that a spec's URLs name: none of this machine's network, none without end.

A spec is untrusted, and so is the server it names. So a request and its redirects go to addresses of the
internet only, checked where the connection is made, since a name may stand for another address each time; and
every byte of an answer, headers too, is read through a clock.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import IO, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from vision_flan import __version__
from vision_flan.limits import COMPILING
from vision_flan.raw.links import wrong_url

#: Seconds without a byte before a connection counts as cut.
TIMEOUT: Final = 60.0
#: Seconds of waiting for bytes over which a server's rate is measured.
WINDOW = 60.0
#: The environment variable that allows hosts which are not of the internet.
PRIVATE_HOSTS: Final = "VFLAN_ALLOW_PRIVATE_HOSTS"
#: Redirects at most on the way to one file.
_REDIRECTS: Final = 10
_BUFFER = 1 << 16
#: Bytes of headers at most, and of what stands around a byte of content.
_HEAD = 1 << 20
_AROUND = 8
#: Names of this machine and of its network, which a proxy would resolve.
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "intranet")
_EMBEDDED = ipaddress.IPv6Network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedError(Exception):
    """The request is refused: for the machine that it would reach, or for where a redirect leads."""


class SlowError(OSError):
    """The server sends, but fewer bytes a second than it must."""


@dataclass(frozen=True)
class Manners:
    """What a request may do.

    Attributes:
        private_hosts: reach this machine, its network, and what else is not of the internet.
        rate: bytes a second that an answer must bring, in the mean of `WINDOW` seconds; 0 for no bound.
    """

    private_hosts: bool = False
    rate: int = COMPILING.rate

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Manners:
        """As the environment says: `VFLAN_ALLOW_PRIVATE_HOSTS=1`, `VFLAN_LIMIT_RATE=100`.

        Raises:
            MachineError: a limit that is none.
        """
        allowed = environment.get(PRIVATE_HOSTS, "").strip().lower() in ("1", "true", "yes", "on")
        return cls(allowed, COMPILING.changed_by(environment).rate)


def ask(
    url: str,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    timeout: float = TIMEOUT,
    manners: Manners | None = None,
) -> HTTPResponse:
    """Send one request; redirects are followed within http and https, never from https to http.

    Args:
        timeout: seconds without a byte.
        manners: None for those of the environment.

    Raises:
        HTTPError, URLError, HTTPException, OSError, ValueError: as urllib.
        RefusedError: it would reach a host that is not allowed, or a redirect leads out of HTTP.
    """
    manners = manners or Manners.of(os.environ)
    opener = OpenerDirector()
    #: urllib's own, without those for file:, ftp: and data:.
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        _Http(manners),
        _Https(manners),
        HTTPDefaultErrorHandler(),
        _Redirects(manners),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    _check_host(url, manners)
    common = {"User-Agent": f"vision-flan/{__version__}", "Accept-Encoding": "identity"}
    request = Request(url, headers={**common, **headers}, method=method)
    return cast(HTTPResponse, opener.open(request, timeout=timeout))


# ---- where a request may go


def _check_host(url: str, manners: Manners) -> None:
    """Refuse a URL that names a private address, or a name of this network: a proxy would resolve it."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if manners.private_hosts or not host:
        return
    address = _literal(host)
    local = host.rpartition(".")[2] in _LOCAL_NAMES or host.endswith(".home.arpa")
    if local or (address and not is_public(address)):
        raise _private(host, str(address or ""))


def _private(host: str, address: str) -> RefusedError:
    stands_for = f" ({address})" if address not in ("", host) else ""
    return RefusedError(f"{host[:100]}{stands_for} is no host of the internet, and may be a service of yours")


def _literal(host: str) -> _Address | None:
    """The address that a host writes out, in the C library's odd spellings too (127.1, 0x7f000001)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def is_public(address: _Address) -> bool:
    """Whether an address is one of the internet; of one that holds another, whether that is."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _EMBEDDED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _connect(host: str, port: int, timeout: float | None) -> socket.socket:
    """A connection to a host, by one of its public addresses."""
    refused, failed = "", OSError(f"{host} has no address")
    for family, kind, protocol, _, to in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(ipaddress.ip_address(str(to[0]).partition("%")[0])):
            refused = str(to[0])
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            connection.connect(to)
        except OSError as error:
            connection.close()
            failed = error
        else:
            return connection
    if refused:
        raise _private(host, refused)
    raise failed


class _Connection(HTTPConnection):
    """A connection that looks at the address before it is made, and reads answers through a clock."""

    def __init__(self, host: str, *, manners: Manners, proxied: bool, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._only_public = not (manners.private_hosts or proxied)  # a proxy is the user's own
        self.response_class = partial(_Answer, rate=manners.rate)  # type: ignore[assignment]

    def connect(self) -> None:
        if not self._only_public:
            super().connect()
            return
        self.sock = _connect(self.host, self.port, self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _SafeConnection(HTTPSConnection, _Connection):
    """The same with TLS, which `HTTPSConnection` puts over what `_Connection` connects."""

    def __init__(self, host: str, *, manners: Manners, proxied: bool, timeout: float) -> None:
        HTTPSConnection.__init__(self, host, timeout=timeout)
        self._only_public = not (manners.private_hosts or proxied)
        self.response_class = partial(_Answer, rate=manners.rate)  # type: ignore[assignment]


class _Http(HTTPHandler):
    def __init__(self, manners: Manners) -> None:
        super().__init__()
        self._manners = manners

    def http_open(self, req: Request) -> HTTPResponse:
        made = partial(_Connection, manners=self._manners, proxied=req.has_proxy())
        return self.do_open(made, req)


class _Https(HTTPSHandler):
    def __init__(self, manners: Manners) -> None:
        super().__init__()
        self._manners = manners

    def https_open(self, req: Request) -> HTTPResponse:
        proxied = bool(getattr(req, "_tunnel_host", None))
        made = partial(_SafeConnection, manners=self._manners, proxied=proxied)
        return self.do_open(made, req)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects as urllib does, but only to http and https, not down to http, and to public hosts."""

    max_repeats = max_redirections = _REDIRECTS + 1  # urllib's own error would read what was closed

    def __init__(self, manners: Manners) -> None:
        self._manners = manners

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> HTTPResponse | None:
        target = headers.get("Location") or ""
        scheme = target.partition(":")[0].lower() if ":" in target.partition("/")[0] else ""
        if scheme not in ("", "http", "https"):
            fp.close()
            raise RefusedError(f"the server sends us on to {target[:200]!r}, which is not http or https")
        return cast(
            "HTTPResponse | None",
            super().http_error_302(req, fp, code, msg, headers),  # type: ignore[arg-type]
        )

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        fp.close()  # urllib would read what comes with a redirect, and it may have no end
        if sum(getattr(req, "redirect_dict", {}).values()) >= _REDIRECTS:
            raise RefusedError(f"the server sends us on and on, last to {newurl[:200]!r}")
        wrong = wrong_url(newurl)
        if wrong:
            raise RefusedError(f"the server sends us on: {wrong[:300]}")
        if req.type == "https" and urlsplit(newurl).scheme == "http":
            raise RefusedError(
                f"the server sends us from https on to {newurl[:200]!r}, where anybody may change it"
            )
        _check_host(newurl, self._manners)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None and req.get_method() == "HEAD":
            request.method = "HEAD"  # urllib would ask for the whole file
        return request

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


# ---- how slowly an answer may come


class _Answer(HTTPResponse):
    """An answer whose bytes, from the first of its headers on, must not come too slowly, nor for nothing.

    What stands around the content (answers before the answer, headers, sizes of pieces, trailers) has no end
    of its own in HTTP: it may be a megabyte, and some bytes for each of the content.
    """

    def __init__(self, sock: socket.socket, *, rate: int, method: str | None = None) -> None:
        super().__init__(sock, method=method)
        self._clocked = _Clocked(self.fp.detach(), rate)
        self.fp = io.BufferedReader(self._clocked, _BUFFER)

    def read(self, amt: int | None = None) -> bytes:
        self._clocked.left = _AROUND * ((amt or 0) + _HEAD // _AROUND)
        return super().read(amt)


class _Clocked(io.RawIOBase):
    """Reads a connection; time that is spent elsewhere does not count, nor the wait for the first byte.

    Attributes:
        left: bytes that may come before content is asked for again.
    """

    def __init__(self, raw: io.RawIOBase, rate: int) -> None:
        self._raw, self._rate = raw, rate
        self._waited, self._came = 0.0, -1
        self.left = _HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        began = time.monotonic()
        got = cast(int, self._raw.readinto(buffer))
        self.left -= got
        if self.left < 0:
            raise HTTPException("headers without an end")
        if self._came < 0:
            self._came = 0
            return got
        self._waited += time.monotonic() - began
        self._came += got
        if self._waited >= WINDOW:
            if got and self._came < self._rate * self._waited:
                raise SlowError(
                    f"{self._came:,} bytes came in {self._waited:.0f} s, fewer than {self._rate:,} a second"
                )
            self._waited, self._came = 0.0, 0
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


def described(error: Exception) -> str:
    """What kept a request from being answered, in at most 200 characters."""
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {str(error.reason)[:150]}".rstrip()
    said = error.reason if isinstance(error, URLError) else error
    return str(said or type(error).__name__)[:200]
