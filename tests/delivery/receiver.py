"""The far end as DKIM sees it: a receiver that verifies with dkimpy, and a name server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from typing import Any

import dkim
import dns.message
import dns.rcode
import dns.rrset

from mailer.delivery import dkim_dns
from mailer.delivery.dkim import Key, algorithm_of, public_text


def zone(*keys: Key) -> dict[str, str]:
    """The records of keys, by name."""
    return {
        dkim_dns.record_name(key.domain, key.selector): dkim_dns.record(
            algorithm_of(key.private), public_text(key.private)
        )
        for key in keys
    }


def verdicts(letter: bytes, records: Mapping[str, str]) -> list[bool]:
    """What dkimpy says of each signature of a letter, the topmost first."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return records.get(name.decode().removesuffix("."), "").encode()

    head = letter.partition(b"\r\n\r\n")[0].lower()
    count = (b"\r\n" + head).count(b"\r\ndkim-signature:")
    return [_verdict(letter, place, txt) for place in range(count)]


def _verdict(letter: bytes, place: int, txt: Any) -> bool:
    try:
        return bool(dkim.DKIM(letter).verify(idx=place, dnsfunc=txt))
    except dkim.DKIMException:
        return False


class NameServer:
    """Answers TXT questions over UDP from ``records``, a tuple of strings for each record of a name.

    A name that is not there does not exist; one with None is answered SERVFAIL.
    """

    def __init__(self, records: dict[str, list[tuple[str, ...]] | None]) -> None:
        self.records = records
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            asked, whom = self._socket.recvfrom(65_535)
            if not asked:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(asked)), whom)

    def _answer(self, question: dns.message.Message) -> bytes:
        answer = dns.message.make_response(question)
        name = question.question[0].name.to_text(omit_final_dot=True)
        found = self.records.get(name, [])
        if found is None:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not found:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            texts = [" ".join(f'"{string}"' for string in record) for record in found]
            answer.answer.append(dns.rrset.from_text_list(question.question[0].name, 60, "IN", "TXT", texts))
        return answer.to_wire()
