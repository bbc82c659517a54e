"""The Markdown form of a document: readable, typed by hand, lossless."""

from __future__ import annotations

from hypothesis import given, settings

from mailer.content.document import Document
from mailer.content.markdown import from_markdown, to_markdown
from tests.strategies import documents


@settings(max_examples=300)
@given(documents)
def test_every_document_comes_back_from_its_markdown(document: Document) -> None:
    """Nothing an author wrote is lost or moved, whatever signs it holds."""
    assert from_markdown(to_markdown(document)) == document
