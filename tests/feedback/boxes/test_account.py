"""The URL of a mailbox: what it says, what it may not say, and that its secrets stay out of sight."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mailer.delivery.relay import Auth
from mailer.feedback.boxes import names
from mailer.feedback.boxes.account import Account, BadMailbox, Protocol, Then

SIGNS = st.characters(min_codepoint=33, exclude_characters="\x7f", exclude_categories=["Cs", "Cc"])
WORDS = st.text(SIGNS, min_size=1)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("imaps://u:p@imap.example.org", ("imap", 993, True, False, "INBOX", Then.MOVE)),
        ("imap://u:p@imap.example.org/%E9%80%80%E4%BF%A1", ("imap", 143, False, True, "退信", Then.MOVE)),
        ("pop3s://u:p@pop.example.org?then=delete", ("pop3", 995, True, False, "INBOX", Then.DELETE)),
        ("pop3://u:p@127.0.0.1:1110", ("pop3", 1110, False, False, "INBOX", Then.KEEP)),
    ],
)
def test_a_url_says_how_to_reach_a_mailbox(url: str, expected: tuple[object, ...]) -> None:
    """TLS unless it is this machine; nothing is deleted unless that is asked for."""
    found = Account.from_url(url)
    assert (found.protocol, found.port, found.tls, found.starttls, found.folder, found.then) == expected
    assert found.tls_verify


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://u:s3cret@example.org", "write it like imaps://"),
        ("imaps://imap.example.org", "write it like imaps://"),
        ("imaps://u:s3cret@example.org:many", "write it like imaps://"),
        ("imaps://u:s3cret@example.org/?then=burn", "write move, mark, keep or delete"),
        ("imaps://u:s3cret@example.org/INBOX?to=INBOX", "the folder it is in"),
        ("imaps://u:s3cret@example.org/?colour=red", "known are then"),
        ("imaps://u:s3cret@example.org/?token_url=https://a.example", "auth=xoauth2"),
        ("imaps://u:s3cret@example.org/?client_secret=s3cret&token_url=http://a.example", "https://"),
        ("pop3s://u:s3cret@example.org/Folder", "no folders"),
        ("pop3s://u:s3cret@example.org?then=move", "POP3 cannot do"),
        ("imaps://u:s3cret%0D%0ADELETE@example.org", "write it like imaps://"),
    ],
)
def test_a_url_that_cannot_be_read_is_explained_without_its_password(url: str, says: str) -> None:
    """A line break in a password would be a command of its own."""
    with pytest.raises(BadMailbox) as caught:
        Account.from_url(url)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)


@given(user=WORDS, password=WORDS, folder=WORDS, to=WORDS)
def test_what_is_kept_is_the_same_account_without_its_secrets(
    user: str, password: str, folder: str, to: str
) -> None:
    """The row's URL reads back."""
    assume(folder != to)
    user, password, folder, to = (quote(word, safe="") for word in (user, password, folder, to))
    options = (
        f"then=move&to={to}&auth=xoauth2&client_id=c&client_secret={password}&token_url=https://a.example/t"
    )
    given = Account.from_url(f"imaps://{user}:{password}@imap.example.org:1993/{folder}?{options}")
    again = Account.from_url(given.url)
    assert again.with_secrets(given.password, given.client_secret) == given
    assert (again.password, again.client_secret, again.auth) == ("", "", Auth.XOAUTH2)
    assert repr(given) == repr(again)
    assert again.protocol is Protocol.IMAP


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", "INBOX"),
        ("已发送", "&XfJT0ZAB-"),
        ("R&D", "R&-D"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
    ],
)
def test_folder_names_are_written_in_modified_utf_7(name: str, written: str) -> None:
    """The last is RFC 3501's own example."""
    assert names.encode(name) == written
    assert names.decode(written) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_folder_name_comes_back(name: str) -> None:
    """In ASCII on the way."""
    assert names.encode(name).isascii()
    assert names.decode(names.encode(name)) == name
