"""Content: what an editor writes, read from files and compiled into letters.

Decides: what a document is, how it reads as Markdown, what a text file means, how a document becomes
MJML, HTML, plain text and finally a letter with slots. All of it is pure: no database, no clock, no
network. Does not decide: who reads it (audience), what is frozen and approved (issues), how it is
sent (delivery).

RFC 5322 (message format), RFC 2045–2047 and 2231 (MIME), RFC 8058 and 2369 (leaving), RFC 2919 (List-Id).
"""
