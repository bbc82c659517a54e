"""A sentence reads in English, and keeps its template and values wherever it is put."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, select

from mailer.errors import Conflict, MailerError
from mailer.sentence import Sentence, Told, as_sentence

WHOLE = Sentence("{where}: {what}", where=Sentence("Line {n}", n=3), what="“{braces}” stay")


def test_a_sentence_is_the_english_string():
    """The shell, JSON and logs see nothing else."""
    assert WHOLE == "Line 3: “{braces}” stay"
    assert json.dumps([WHOLE]) == json.dumps([str(WHOLE)])


def test_without_values_braces_are_only_braces():
    """What somebody typed may hold them."""
    assert Sentence("a {b} c") == "a {b} c"


@given(st.text(), st.integers())
def test_a_stored_sentence_comes_back_whole(text, number):
    """Through JSON, with sentences inside it."""
    said = Sentence("{outer} {n}", outer=Sentence("<{inner}>", inner=text), n=number)
    back = Sentence.restored({**json.loads(json.dumps(said.stored())), "line": 7})
    assert (back, back.template, back.values["outer"].values) == (said, said.template, {"inner": text})


@pytest.mark.parametrize("kept", [WHOLE, Sentence("As it is."), "plain", "", None])
def test_a_column_keeps_sentences_whole_and_text_as_it_is(kept):
    """Old rows hold plain text."""
    table = Table("t", MetaData(), Column("said", Told))
    with create_engine("sqlite://").begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), {"said": kept})
        back = connection.scalar(select(table.c.said))
        same = connection.scalar(select(table.c.said).where(table.c.said == kept)) if kept else kept
    assert (back, type(back), same) == (kept, type(kept), kept)


def test_an_error_says_its_template_with_values_or_its_docstring():
    """And a sentence that was made before stays what it is."""
    assert str(MailerError("No {what}.", what="room")) == "No room."
    assert Conflict().sentence == Conflict.__doc__
    assert MailerError(WHOLE).sentence is WHOLE
    assert as_sentence("plain").values == {}


def test_a_copy_is_as_whole():
    """Whoever copies a row copies what it says."""
    twin = copy.deepcopy(WHOLE)
    assert (twin, twin.template, twin.values) == (WHOLE, WHOLE.template, WHOLE.values)
