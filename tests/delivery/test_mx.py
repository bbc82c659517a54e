"""MX records, asked for from a name server on loopback that speaks DNS over UDP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mailer.delivery import mx
from mailer.delivery.mx import Hosts, NoAnswerYet

RECORDS = {
    "agency.example.": ["20 mail.agency.example.", "10 ASPMX.L.Google.com."],
    "takes-no-mail.example.": ["0 ."],
}


class NameServer:
    """Answers what ``RECORDS`` hold, NXDOMAIN for ``gone.example``, fails for ``broken.example``."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while (received := self.socket.recvfrom(4096))[0] != b"end":
            asked = dns.message.from_wire(received[0])
            if answer := self._answer(asked):
                self.socket.sendto(answer.to_wire(), received[1])

    @staticmethod
    def _answer(asked: dns.message.Message) -> dns.message.Message | None:
        [question] = asked.question
        name = question.name.to_text()
        if name == "silent.example.":
            return None
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        if name == "gone.example.":
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif name == "broken.example.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name in RECORDS:
            answer.answer.append(dns.rrset.from_text(name, 300, "IN", "MX", *RECORDS[name]))
        return answer

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Asks the name server of the test."""
    server = NameServer()
    yield Hosts(["127.0.0.1"], server.port)
    server.end()


def test_hosts_come_best_first_in_lower_case(hosts: Hosts) -> None:
    """The lowest preference first (RFC 5321 §5.1), without the dot of the root."""
    assert hosts("agency.example") == ["aspmx.l.google.com", "mail.agency.example"]


@pytest.mark.parametrize("domain", ["takes-no-mail.example", "no-records.example", "gone.example"])
def test_no_hosts_are_an_answer_too(hosts: Hosts, domain: str) -> None:
    """A null MX (RFC 7505), a domain without MX, no such domain."""
    assert hosts(domain) == []


@pytest.mark.parametrize("domain", ["silent.example", "broken.example", "a..example", f"{'a' * 64}.example"])
def test_no_answer_is_told_apart(hosts: Hosts, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, a server's failure, a name that cannot be asked: nothing is known of the domain."""
    monkeypatch.setattr(hosts._resolver, "lifetime", 0.3)
    assert mx.TIMEOUT == 3.0
    with pytest.raises(NoAnswerYet):
        hosts(domain)
