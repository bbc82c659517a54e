"""The fields of a delivery-status part as systems write them, right and wrong (RFC 3464, 6533)."""

from __future__ import annotations

import pytest

from mailer.feedback.report import Fate, address_in, read_fates


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; lena@x.example", "lena@x.example"),
        ("lena@x.example", "lena@x.example"),
        ("RFC822;<lena@x.example>", "lena@x.example"),
        ("rfc822; Lena Ito <lena@x.example>", "lena@x.example"),
        ("rfc822; lena@x.example (Lena Ito)", "lena@x.example"),
        ("rfc822; 'lena@x.example'", "lena@x.example"),
        ("rfc822; smtp:lena@x.example", "lena@x.example"),
        ("rfc822; [lena@x.example];", "lena@x.example"),
        ("rfc822; lena@x.example, ", "lena@x.example"),
        ("rfc822; @relay.example:lena@x.example", "lena@x.example"),
        ('rfc822; "lena ito"@x.example', '"lena ito"@x.example'),
        ('rfc822; "lena..ito"@x.example', "lena..ito@x.example"),
        ("rfc822; lena+news=x.example@y.example", "lena+news=x.example@y.example"),
        ("utf-8; l\\x{E9}na@x.example", "léna@x.example"),
        ("utf-8; 张三@例子.example", "张三@例子.example"),
        ("X400; /C=us/A= /P=x/S=Ito/", "/C=us/A= /P=x/S=Ito/"),
        ("X-Unix; |/usr/bin/filter lena@x.example", "|/usr/bin/filter lena@x.example"),
        ("rfc822;", ""),
    ],
)
def test_the_address_is_found_among_its_decorations(value: str, address: str) -> None:
    """Comments, names, routes, quotes and a missing type do not matter; what is no address stays."""
    assert address_in(value) == address


def test_each_recipient_is_a_block_wherever_it_begins() -> None:
    """Systems put the fields in any order, leave blank lines out or in, and fold the diagnostic."""
    fates = read_fates(
        "Reporting-MTA: dns; mta.example\n\n"
        "Original-Recipient: rfc822; a@x.example\nFinal-Recipient: X400; /S=a/\nAction: failed\n"
        "Status: 5.1.1\n\n"
        "Action: delayed\nStatus: 4.2.2 (full)\nFinal-Recipient: rfc822; b@x.example\n"
        "Diagnostic-Code: smtp;\n 452-4.2.2 the mailbox\n 452 4.2.2 is full\n\n"
        "Final-Recipient: rfc822; c@x.example\nAction: relayed (to a host that sends no reports)\n"
    )
    assert [(fate.address, fate.status, fate.failed, fate.arrived) for fate in fates] == [
        ("a@x.example", "5.1.1", True, False),
        ("b@x.example", "4.2.2", False, False),
        ("c@x.example", "", False, True),
    ]
    assert fates[1].diagnostic == "452-4.2.2 the mailbox 452 4.2.2 is full"
    assert {fate.reporting_mta for fate in fates} == {"mta.example"}


def test_a_public_name_goes_before_a_host_inside_the_system() -> None:
    """The name last tried may mean nothing outside; where it is the only one it stays."""
    assert Fate(final="ann@store1", original="ann@x.example").address == "ann@x.example"
    assert Fate(final="ann@mx.x.example", original="ann@x.example").address == "ann@mx.x.example"
    assert Fate(final="ann@store1").address == "ann@store1"


def test_without_an_action_the_status_or_the_words_tell() -> None:
    """RFC 3464 demands the field; some leave it out."""
    assert Fate(status="5.1.1").failed
    assert Fate(diagnostic="550 no").failed
    assert not Fate(status="2.0.0").failed
    assert Fate(action="expired").failed
