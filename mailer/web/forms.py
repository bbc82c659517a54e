"""Forms: what a browser posts, read into a model, with a note beside each field that needs another look."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import FormData, UploadFile

from mailer.errors import Invalid, MailerError
from mailer.web.i18n import _, tell

UPLOAD_LIMIT = 25 * 1024 * 1024  # octets of a request
IMPORT_LIMIT = 41_000_000  # of one that brings a file of people: 40 MB, and the form around it

_CARRIED = 1024 * 1024  # octets of a file that a page carries


class TooLarge(MailerError):
    """This file is too large: send a smaller one."""

    http_status = 413


class Refused(Invalid):
    """Some fields need another look: see the notes beside them."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__()
        self.fields = fields


class Form(BaseModel):
    """What a form asks for. An empty answer is none; spaces around one are dropped; others are ignored."""

    model_config = ConfigDict(str_strip_whitespace=True, extra="ignore", frozen=True)


class Named(Form):
    """The names that a form asks for: a Chinese one whole, a Latin one in its parts."""

    name_zh: str = ""
    honorific_zh: str = ""
    given_en: str = ""
    family_en: str = ""
    honorific_en: str = ""

    def given_names(self) -> dict[str, str]:
        """Return the names as they were given, by field."""
        return {name: getattr(self, name) for name in NAMES}


NAMES = tuple(Named.model_fields)

Model = TypeVar("Model", bound=Form)


def read(model: type[Model], form: FormData) -> Model:
    """Read a posted form.

    :raises Refused: with a note for every field that cannot be used
    """
    answers = {name: _answer(model, form, name) for name in model.model_fields}
    try:
        return model.model_validate({name: each for name, each in answers.items() if each not in ("", [])})
    except ValidationError as error:
        raise Refused({str(each["loc"][0]): _note(each) for each in error.errors()}) from error


def asked(query: Mapping[str, str]) -> FormData:
    """Return what an address asks as if it were posted, for a form that changes nothing."""
    return FormData(list(query.items()))


def kept(form: FormData) -> dict[str, Any]:
    """Return the answers to show again: all but files, which browsers never fill in twice."""
    texts = {name: [each for each in form.getlist(name) if isinstance(each, str)] for name in form}
    return {name: values[0] if len(values) == 1 else values for name, values in texts.items() if values}


def several(form: Mapping[str, Any], name: str) -> list[str]:
    """Return the answers to a question that may have several."""
    value = form.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def files(form: FormData, name: str) -> dict[str, bytes]:
    """Return uploaded files by name; {} when none was chosen."""
    return {
        each.filename: each.file.read()
        for each in form.getlist(name)
        if isinstance(each, UploadFile) and each.filename
    }


def one_file(form: FormData, name: str) -> tuple[str, bytes]:
    """Return an uploaded file's name and content.

    :raises Refused: none was chosen
    """
    chosen = files(form, name)
    if not chosen:
        raise Refused({name: _("Please choose a file.")})
    return next(iter(chosen.items()))


def carried(raw: bytes) -> str:
    """Return a checked file for the page to carry, so that it need not be chosen again; "" a large one."""
    return b64encode(raw).decode() if len(raw) <= _CARRIED else ""


def chosen_file(form: FormData) -> tuple[str, bytes]:
    """Return the file that was chosen, else the one that the page carries since it was checked.

    :raises Refused: neither
    """
    try:
        kept = b64decode(str(form.get("carried", "")), validate=True)
    except NotBase64:
        kept = b""
    if kept and not files(form, "file"):
        return str(form.get("name", ""))[:200], kept
    return one_file(form, "file")


def _answer(model: type[Form], form: FormData, name: str) -> Any:
    many = get_origin(model.model_fields[name].annotation) in (list, tuple)
    return form.getlist(name) if many else form.get(name, "")


def _note(error: Any) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, MailerError):
        return tell(cause.sentence)
    if kind in ("missing", "string_too_short", "too_short"):
        return _("Please fill this in.")
    if kind == "string_too_long":
        return _("At most %(max)s characters, please.", max=context["max_length"])
    if kind in ("enum", "literal_error"):
        return _("Please choose one from the list.")
    if kind.startswith(("date", "time")):
        return _("Please write a date like 2026-05-01 and a time like 09:30.")
    if kind.startswith(("float", "int")):
        return _("Please write a number.")
    return _("This cannot be used: please look at it again.")
