"""Certificates that signatures are checked with: the one door to other hosts, and a short memory of them.

Who posts names the certificate's address, so an address is followed only where its provider's own list allows
the host: over HTTPS, without redirects, within seconds and a few kilobytes.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPException

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mailer.errors import MailerError
from mailer.feedback.webhooks.proof import Refused

TIMEOUT = 5.0  # seconds: providers wait 5 to 15 for our answer
LONGEST = 64 * 1024  # octets of an answer; certificates have two thousand
_KEPT = 32  # certificates; SNS has one for each region, changed now and then

Fetch = Callable[[str], bytes]


class Unreachable(MailerError):
    """The provider's certificate cannot be fetched just now: the provider tells its news again later."""

    http_status = 503


class _Stay(urllib.request.HTTPRedirectHandler):
    """An address that leads elsewhere is not the one that was allowed."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow."""


def fetch(url: str) -> bytes:
    """Return what stands at an https address that the caller has compared with its list.

    :raises Unreachable: no answer, or another than 200
    """
    if not url.startswith("https://"):
        raise Unreachable
    try:
        with urllib.request.build_opener(_Stay).open(url, timeout=TIMEOUT) as answer:
            found: bytes = answer.read(LONGEST)
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable from error
    return found


class Certificates:
    """Fetches certificates and remembers them while they last. For any number of threads."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        self._known: dict[str, x509.Certificate] = {}
        self._lock = threading.Lock()

    def key(self, url: str, now: datetime) -> RSAPublicKey:
        """Return the public key of the certificate at ``url``.

        :raises Unreachable: it cannot be fetched
        :raises Refused: it is none, is not valid now, or has no RSA key
        """
        found = self._known.get(url)
        if found is None or not _valid(found, now):
            found = self._keep(url, _read(self.fetch(url)))
        key = found.public_key()
        if not _valid(found, now) or not isinstance(key, RSAPublicKey):
            raise Refused
        return key

    def _keep(self, url: str, certificate: x509.Certificate) -> x509.Certificate:
        with self._lock:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[url] = certificate
        return certificate


def _read(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Refused from error


def _valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
