"""MX records: which hosts take mail for a domain (RFC 5321 §5.1). The door to DNS."""

from __future__ import annotations

from collections.abc import Sequence

from dns.exception import DNSException
from dns.rdtypes.ANY.MX import MX
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

TIMEOUT = 3.0  # seconds for one domain, all tries together


class NoAnswerYet(OSError):
    """No name server gave an answer: asked again, it may."""


class Hosts:
    """Asks for the MX hosts of domains. Safe for threads."""

    def __init__(self, servers: Sequence[str] = (), port: int = 53) -> None:
        """Ask this machine's name servers, or ``servers`` (addresses) in place of them."""
        self._resolver = Resolver(configure=not servers)
        self._resolver.lifetime = TIMEOUT
        if servers:
            self._resolver.nameservers = list(servers)
            self._resolver.port = port

    def __call__(self, domain: str) -> list[str]:
        """Return the hosts, best first, lower case; none: the domain says so (RFC 7505), or says nothing.

        :raises NoAnswerYet: no name server answered, or none could
        """
        try:
            answer = self._resolver.resolve(domain, "MX", search=False)
        except (NXDOMAIN, NoAnswer):
            return []
        except DNSException as error:  # a timeout, a name server's failure, a name that cannot be asked
            raise NoAnswerYet(type(error).__name__) from error
        records = sorted(
            (record.preference, str(record.exchange)) for record in answer if isinstance(record, MX)
        )
        return [host.rstrip(".").lower() for _, host in records if host != "."]
