"""`vflan fetch` asks hosts of the internet only, takes a file's bytes and no more, and writes new files only.

What is refused ends with 1 if the spec is at fault, with 4 if a server or the raw folder is.
"""

from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Callable
from itertools import count

import pytest
import yaml

from tests.security.conftest import SECRET, Victim
from tests.security.hostile_server import Answer, answering

SPEC, RAW = 1, 4

FOLDERS: dict[str, Callable[[Victim], object]] = {
    "through a .part that is a link": lambda v: (v.raw / "toy/new.json.part").symlink_to(v.home / "new"),
    "over a file of the user by a .part": lambda v: (v.raw / "toy/new.json.part").symlink_to(v.secret),
    "over a file of the user by a mark": lambda v: (v.raw / "toy/new.json.part.etag").symlink_to(v.secret),
    "into a .part that is a pipe": lambda v: os.mkfifo(v.raw / "toy/new.json.part"),
    "into a .part that is a folder": lambda v: (v.raw / "toy/new.json.part").mkdir(),
    "into a file that is a pipe": lambda v: os.mkfifo(v.raw / "toy/new.json"),
}
PATHS = {
    "up": ("../new.json", SPEC),
    "far up": ("a/../../../home/new", SPEC),
    "from the root": ("/tmp/vflan-new.json", SPEC),
    "with NUL": ("a\0b", SPEC),
    "with a name of 300 characters": ("x" * 300, SPEC),
    "with a path of 10,000 characters": ("x/" * 5000 + "y", SPEC),
    "with a line break": ("a\nb", SPEC),
    "with a backslash": ("a\\b", SPEC),
    "with the sign that turns text": ("a\u202egpj.exe", SPEC),
    "with nothing to see": ("a\u200b.json", SPEC),
    "without a name": (".", SPEC),
    "through a folder that is a link": ("linked/new", RAW),
}
URLS = {
    "a file of the user": "file:///etc/passwd",
    "a server for files": "ftp://example.org/x",
    "nothing": "https://",
    "a bracket that is open": "https://[::1/x",
    "an address with a letter that is not ASCII": "https://127.0.0.1:9/é",
    "a port that is none": "https://127.0.0.1:99999999/x",
    "a line break": "https://127.0.0.1:9/x\r\nX: y",
    "a space": "https://127.0.0.1:9/a b",
    "text": "javascript:alert(1)",
    "data": "data:text/plain,x",
    "a host that passes for another": "https://zenodo.org@example.org/new.json",
    "a password": "https://a:b@example.org/new.json",
    "a mailbox": "mailto:a@example.org",
}
#: Machines that a spec's URL must not reach; none of them needs a name server.
HOSTS = {
    "this machine": "127.0.0.1",
    "this machine by its name": "localhost",
    "this machine by a longer name": "a.localhost",
    "this machine by a short number": "127.1",
    "this machine by one number": "2130706433",
    "this machine in hexadecimal": "0x7f.0.0.1",
    "this machine in octal": "0177.0.0.1",
    "this machine as nothing": "0.0.0.0",
    "this machine in six": "[::1]",
    "this machine as nothing in six": "[::]",
    "this machine in six, by four": "[::ffff:127.0.0.1]",
    "this machine through a translator": "[64:ff9b::7f00:1]",
    "this machine through a tunnel": "[2002:7f00:1::]",
    "what a cloud tells its machines": "169.254.169.254",
    "what a cloud tells its machines, by its name": "metadata.google.internal",
    "what a cloud tells its machines, in six": "[fd00:ec2::254]",
    "a router": "192.168.1.1",
    "a network of a company": "10.0.0.1",
    "a network of containers": "172.17.0.1",
    "a network of a provider": "100.64.0.1",
    "a neighbor": "[fe80::1]",
    "everybody": "255.255.255.255",
    "a group": "224.0.0.1",
    "a printer": "printer.local",
}


def with_file(victim: Victim, path: str, url: str, **facts: object) -> None:
    spec = victim.specs / "toy/dataset.yaml"
    data = yaml.safe_load(spec.read_text())
    data["files"] = [{"path": path, "url": url, **facts}]
    spec.write_text(yaml.safe_dump(data))


def refused(victim: Victim, code: int, *saying: str, options: tuple[str, ...] = ()) -> None:
    """It ends with an error, and nothing was written but below the dataset's folder."""
    before = sorted(path.name for path in victim.raw.iterdir())
    found, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", *options)
    assert found == code, said
    assert "Traceback" not in said
    assert SECRET not in said
    for text in saying:
        assert text in said
    assert sorted(path.name for path in victim.raw.iterdir()) == before
    victim.is_unharmed()


@pytest.mark.parametrize("attempt", FOLDERS)
def test_nothing_is_written(victim: Victim, attempt: str) -> None:
    with_file(victim, "new.json", "http://127.0.0.1:9/new.json")
    FOLDERS[attempt](victim)
    refused(victim, RAW)


def test_nothing_is_written_through_a_file_that_is_a_link_to_nothing(victim: Victim) -> None:
    with answering(whole(b"[]")) as (url, _):
        with_file(victim, "new.json", f"{url}/new.json")
        (victim.raw / "toy/new.json").symlink_to(victim.home / "new")
        code, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", ALLOWED)
    assert (code, (victim.raw / "toy/new.json").is_symlink()) == (0, False), said
    victim.is_unharmed()


@pytest.mark.parametrize("attempt", PATHS)
def test_a_file_is_not_written(victim: Victim, attempt: str) -> None:
    (victim.raw / "toy/linked").symlink_to(victim.home)
    path, code = PATHS[attempt]
    with_file(victim, path, "http://127.0.0.1:9/new.json")
    refused(victim, code)


@pytest.mark.parametrize("attempt", URLS)
def test_a_url_does_not_name(victim: Victim, attempt: str) -> None:
    with_file(victim, "new.json", URLS[attempt])
    refused(victim, SPEC)


# --- which machines are asked


@pytest.mark.parametrize("attempt", HOSTS)
def test_a_url_does_not_reach(victim: Victim, attempt: str) -> None:
    began = time.monotonic()
    with_file(victim, "new.json", f"http://{HOSTS[attempt]}:9/new.json")
    refused(victim, RAW, "no host of the internet", "--allow-private-hosts")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("attempt", ["this machine", "this machine by one number", "a router"])
def test_a_redirect_does_not_reach(victim: Victim, attempt: str) -> None:
    """The first host is one of the internet by what the test says; the next is looked at all the same."""
    with answering(redirect(f"http://{HOSTS[attempt]}:9/new.json")) as (url, _):
        with_file(victim, "new.json", f"{url.replace('127.0.0.1', 'public.test')}/new.json")
        refused(victim, RAW, "no host of the internet")


def test_the_check_of_links_does_not_reach_this_machine(victim: Victim) -> None:
    with answering(whole(b"[]")) as (url, asked):
        with_file(victim, "new.json", f"{url}/new.json")
        code, said = victim.vflan("fetch", "toy", "--check-links")
    assert (code, asked) == (3, []), said
    assert "no host of the internet" in said


def test_private_hosts_are_asked_when_the_user_says_so(victim: Victim) -> None:
    with answering(whole(b"[]")) as (url, asked):
        with_file(victim, "new.json", f"{url}/new.json")
        code, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", ALLOWED)
    assert (code, asked) == (0, ["/new.json"]), said


# --- what a server sends

ALLOWED = "--allow-private-hosts"
OK = b"HTTP/1.1 200 OK\r\n"
PIECES = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ROW = b'{"name": "0000.png", "color": "r"},\n'


def whole(body: bytes, *headers: str) -> Answer:
    head = OK + b"".join(f"{line}\r\n".encode("latin-1") for line in headers)
    return lambda to, _: to.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def redirect(target: str) -> Answer:
    head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    return lambda to, _: to.sendall(head)


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Answer:
    def answer(to: socket.socket, _: str) -> None:
        to.sendall(head)
        for _number in count():
            to.sendall(piece)
            time.sleep(pause)

    return answer


def in_a_circle(to: socket.socket, path: str) -> None:
    redirect("/new.json?" + "a" * (len(path) % 3))(to, path)


def ever_deeper(to: socket.socket, path: str) -> None:
    redirect(path + "x")(to, path)


def claiming(size: str) -> Answer:
    return lambda to, _: to.sendall(OK + f"Content-Length: {size}\r\n\r\n[]".encode())


#: What a server does -> how, what the spec says of the file, and words of the error.
SERVERS: dict[str, tuple[Answer, dict[str, object], str]] = {
    "a byte a second": (endless(OK + b"Content-Length: 3000\r\n\r\n", b"[", 0.05), {}, "too slow"),
    "a byte a second of a known file": (
        endless(OK + b"Content-Length: 3000\r\n\r\n", b"[", 0.05), {"bytes": 3000}, "too slow",
    ),
    "a byte a second of headers": (endless(OK, b"X", 0.05), {}, "fewer than"),
    "a byte a second of pieces": (
        endless(PIECES, b"1\r\n[\r\n", 0.05), {}, "too slow",
    ),
    "a body without end": (endless(OK + b"\r\n", ROW * 20_000), {}, "more than the 209,"),
    "a body without end in pieces": (
        endless(PIECES, b"%x\r\n" % len(ROW * 9000) + ROW * 9000 + b"\r\n"), {}, "more than the 209,",
    ),
    "a body without end of a known file": (
        endless(OK + b"\r\n", ROW * 10_000), {"bytes": 3000}, "more than the 3,000 bytes",
    ),
    "more than the spec says": (whole(b"[]" * 2000), {"bytes": 3000}, "gives 4,000 bytes, the file has 3,0"),
    "less than the spec says": (whole(b"[]"), {"bytes": 3000}, "gives 2 bytes, the file has 3,000"),
    "other bytes than the spec says": (whole(b"[]"), {"bytes": 2, "md5": "0" * 32}, "its md5 is"),
    "the size of a disk": (claiming("900000000000000000"), {}, "more than the 209,"),
    "a size of 5,000 digits": (
        endless(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", ROW * 20_000), {}, "more than the 209,",
    ),
    "headers without end": (endless(OK, b"X: y\r\n"), {}, "got more than 100 headers"),
    "one header without end": (endless(OK + b"X: ", b"y" * 65536), {}, "header line"),
    "answers before the answer": (endless(b"", b"HTTP/1.1 100 C\r\n\r\n" * 1000), {}, "without an end"),
    "trailers without end": (
        endless(PIECES + b"2\r\n[]\r\n0\r\n", b"X: y\r\n" * 10_000), {}, "cut",
    ),
    "pieces of nothing": (
        endless(PIECES, b"1;" + b"x" * 60_000 + b"\r\n[\r\n"), {}, "cut",
    ),
    "a redirect with a body without end": (
        endless(b"HTTP/1.1 302 Found\r\nLocation: /other.json\r\n\r\n", b"x" * 65536), {}, "on and on",
    ),
    "redirects in a circle": (in_a_circle, {}, "on and on"),
    "redirects ever deeper": (ever_deeper, {}, "on and on"),
    "a redirect to a file": (redirect("file:///etc/passwd"), {}, "not http or https"),
    "a redirect to a file, in capitals": (redirect("FILE:///etc/passwd"), {}, "not http or https"),
    "a redirect to data": (redirect("data:application/json,[]"), {}, "not http or https"),
    "a redirect to a server for files": (redirect("ftp://example.org/x"), {}, "not http or https"),
    "a redirect to a bracket that is open": (redirect("http://[::1/x"), {}, "cannot be asked for"),
    "a redirect to a password": (redirect("http://a:b@127.0.0.1:9/x"), {}, "user or password"),
    "a redirect to a host of 300 letters": (redirect(f"http://{'a' * 300}/x"), {}, "cannot be asked for"),
    "a bomb of gzip": (
        whole(gzip.compress(b"\0" * 50_000_000, 1), "Content-Encoding: gzip"), {}, "Content-Encoding: gzip",
    ),
    "a bomb of several packings": (
        whole(gzip.compress(gzip.compress(b"\0" * 99)), "Content-Encoding: gzip, gzip"), {}, "gzip, gzip",
    ),
    "a page": (whole(b"<html>", "Content-Type: text/html"), {}, "HTML page"),
    "a page that calls itself JSON": (whole(b"<html>", "Content-Type: application/json"), {}, "HTML page"),
    "another range": (
        lambda to, _: to.sendall(b"HTTP/1.1 206 OK\r\nContent-Range: bytes 7-9/9\r\n\r\n[]"), {}, "another ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attempt", SERVERS)
def test_a_server_cannot_send(victim: Victim, attempt: str) -> None:
    answer, facts, saying = SERVERS[attempt]
    with answering(answer) as (url, _):
        with_file(victim, "new.json", f"{url}/new.json", **facts)
        refused(victim, RAW, saying, options=(ALLOWED,))
    assert not (victim.raw / "toy/new.json").exists()
    kept = victim.raw / "toy/new.json.part"
    assert not kept.exists() or kept.stat().st_size <= 3000


def test_a_server_does_not_choose_the_name(victim: Victim) -> None:
    named = 'Content-Disposition: attachment; filename="../../../home/id_rsa"'
    with answering(whole(b"[]", named, "ETag: \x1b[2J")) as (url, _):
        with_file(victim, "new.json", f"{url}/new.json")
        code, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", ALLOWED)
    assert code == 0, said
    assert sorted(path.name for path in (victim.raw / "toy").iterdir()) == ["images", "new.json", "toy.json"]
    victim.is_unharmed()


def test_a_server_does_not_steer_the_terminal(victim: Victim) -> None:
    said = b"HTTP/1.1 404 \x1b[2J\x1b]0;owned\x07" + b"A" * 5000 + b"\r\nContent-Type: \x1b[31m\r\n\r\n"
    with answering(lambda to, _: to.sendall(said)) as (url, _):
        with_file(victim, "new.json", f"{url}/new.json")
        _, shown = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", ALLOWED)
    assert "\x1b" not in shown and "A" * 500 not in shown


def test_files_of_unknown_size_have_no_more_than_the_run_may_take(victim: Victim) -> None:
    with answering(endless(OK + b"\r\n", ROW * 10_000)) as (url, _):
        with_file(victim, "new.json", f"{url}/new.json")
        refused(victim, RAW, "--max-size", options=(ALLOWED, "--max-size", "5MB"))
    assert not (victim.raw / "toy/new.json.part").exists()


def test_a_download_cut_byte_by_byte_ends(victim: Victim) -> None:
    """Each connection brings a byte, at once, and ends: that is progress, but not enough of it."""

    def a_byte(to: socket.socket, _: str) -> None:
        begin = next(at)
        range_of = b"Content-Range: bytes %d-99999/100000\r\n" % begin if begin else b""
        to.sendall(b'HTTP/1.1 %d OK\r\nETag: "v"\r\n%s' % (206 if begin else 200, range_of))
        to.sendall(b"Content-Length: %d\r\n\r\n[" % (100_000 - begin))

    at = count()
    with answering(a_byte) as (url, asked):
        with_file(victim, "new.json", f"{url}/new.json", bytes=100_000)
        code, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes", ALLOWED)
    assert code == 3, said
    assert len(asked) < 50
