"""Who reaches whom: asked of a part in its own protocol, for on some machines a proxy takes every connection.

`PROBE` is a program for any shell: it asks many addresses at once and prints the numbers of those that answered as they
should. The images have no common tool beyond a shell with either bash's sockets or `nc`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.compose.deployment import Deployment
from tests.compose.docker import docker, run

PATIENCE_S = 4

_PROBE = r"""
ask() {
  if command -v bash >/dev/null; then
    timeout "$4" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2" >&3 && head -c "$3" <&3' "$1" "$2" "$3" "$5"
  else
    printf "$3" | timeout "$4" nc "$1" "$2" | head -c "$5"
  fi
}
wait=$1; shift
while [ $# -gt 0 ]; do
  (ask "$2" "$3" "$4" "$wait" "$5" 2>/dev/null | grep -aqE "$6" && echo "$1") &
  shift 6
done
wait
"""


@dataclass(frozen=True, slots=True)
class Service:
    """How a part is known by what it answers."""

    port: int
    says: str
    """What it is asked, as `printf` writes it."""
    answers: str
    """A regular expression."""
    length: int = 2000


def _http(port: int, path: str, answers: str) -> Service:
    return Service(port, rf"GET {path} HTTP/1.0\r\nHost: part\r\n\r\n", answers)


SERVICES: Mapping[str, Service] = {
    # a client that asks whether TLS is spoken is answered by one letter
    "postgres": Service(5432, r"\000\000\000\010\004\322\026\057", "^[NS]$", 1),
    "qdrant": _http(6333, "/readyz", "all shards are ready"),
    "object-store": _http(8333, "/healthz", "^HTTP/1.. 200"),
    "ollama": _http(11434, "/api/version", '"version"'),
    "pipelines": _http(8000, "/health", '"chunks"'),
    "n8n": _http(5678, "/healthz", '"status":"ok"'),
    "open-webui": _http(8080, "/health", '"status":true'),
}


OUTSIDE = _http(80, "/", "^HTTP/1")


@dataclass(frozen=True, slots=True)
class Address:
    """One part at one of its addresses, or by its name."""

    service: str
    host: str


def addresses(stack: Deployment, services: Sequence[str]) -> list[Address]:
    """Every way to call these parts: their names, and their addresses on each of their networks."""
    found = []
    for service in services:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        ips = docker("inspect", "--format", template, stack.container(service).id).split()
        found += [Address(service, host) for host in (service, *ips)]
    return found


def address_outside(url: str) -> Address:
    """A web server outside, by its address: a name may be known and still lead nowhere."""
    name = urlsplit(url).hostname or ""
    return Address("outside", str(socket.getaddrinfo(name, 80, socket.AF_INET)[0][4][0]))


def reached_from_service(stack: Deployment, service: str, called: Sequence[Address]) -> set[str]:
    """The parts that answer this one."""
    return _numbered(called, docker("exec", stack.container(service).id, "sh", "-c", _PROBE, "probe", *_asked(called)))


def reached_from_foreign_container(image: str, called: Sequence[Address]) -> set[str]:
    """The parts that answer a container that belongs to something else on the same machine."""
    command = ("run", "--rm", "--entrypoint", "sh", image, "-c", _PROBE, "probe", *_asked(called))
    return _numbered(called, docker(*command))


def reached_from_here(called: Sequence[Address]) -> set[str]:
    """The parts that answer this machine."""
    return _numbered(called, run("sh", "-c", _PROBE, "probe", *_asked(called)))


def listens(host: str, port: int) -> bool:
    """Whether a connection is taken."""
    with suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


def _asked(called: Sequence[Address]) -> list[str]:
    asked = [str(PATIENCE_S)]
    for number, address in enumerate(called):
        service = SERVICES.get(address.service, OUTSIDE)
        asked += [str(number), address.host, str(service.port), service.says, str(service.length), service.answers]
    return asked


def _numbered(called: Sequence[Address], printed: str) -> set[str]:
    return {called[int(number)].service for number in printed.split()}
