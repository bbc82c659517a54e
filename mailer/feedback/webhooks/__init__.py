"""Webhooks: what the providers that carry our letters tell of them over HTTPS.

One module per provider holds how it proves who it is, where its news lies in its JSON, and a table from its
words to one closed vocabulary (``told``). From there all go the way of returned mail: attributed by a token
that only we can sign, diagnosed by ``mailer.diagnosis``, told once as events, applied by policy.

It decides nothing a provider decides for us: that an address is on a provider's own list kills nobody
(law 4), and a delivery that a provider merely confirms is no event.

RFC 7617 (Basic), RFC 2104 (HMAC), RFC 8017 (RSA signatures), FIPS 186-5 (ECDSA), RFC 5280 (certificates).
"""
