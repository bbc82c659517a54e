"""Evidence of consent: what people stood on before, and the words they were asked with.

A subscription and a membership hold the consent they rest on now. Whatever changes one of them keeps what
it held before in ``consents``, so that leaving and coming back overwrite nothing (GDPR art. 7(1),
PIPL art. 14).
"""
