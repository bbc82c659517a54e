"""The browser's side: pages for the secretariat, partners, subscribers and administrators.

Decides: who may see a page, how a form is read and answered, in which language and with which headers.
Decides nothing about newsletters: an endpoint parses, calls one verb and renders.

RFC 8058 (one-click leave), RFC 6265 §4.1.3 (``__Host-`` cookies come from its successor), CSP Level 3,
Fetch Metadata (``Sec-Fetch-Site``).
"""
