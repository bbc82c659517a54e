"""Errors a person can meet. Each message is one sentence that says what to do next.

The command line prints the message to standard error and exits with 1; the web shows it
on the page with the status the class carries.
"""

from __future__ import annotations

from mailer.sentence import Sentence, as_sentence


class MailerError(Exception):
    """Something is wrong that the person can mend; ``str(error)`` says how."""

    http_status = 400
    heading: Sentence | None = None  # of its page; None: the one its status has
    sentence: Sentence

    def __init__(self, template: str = "", /, **values: object) -> None:
        """Make the ``sentence`` of ``template`` and its values, or of the class's docstring.

        Never give an f-string: the web could not say it in the reader's language.
        """
        said = Sentence(template, **values) if values else as_sentence(template or _docstring(type(self)))
        super().__init__(said)
        self.sentence = said


class NotFound(MailerError):
    """There is nothing here by that name: look it up in the list and try again."""

    http_status = 404


class Forbidden(MailerError):
    """Your account may not do this: ask an administrator for the role that may."""

    http_status = 403


class Conflict(MailerError):
    """The thing has changed since you looked: reload and try again."""

    http_status = 409


class Invalid(MailerError):
    """What was given cannot be used."""

    http_status = 422


def _docstring(of: type[MailerError]) -> str:
    return (of.__doc__ or "").strip()
