"""Figures: pictures re-encoded for mail and stored by content.

Widths are for a column of 600 CSS pixels on screens of two device pixels each. Re-encoding drops EXIF
(where a photo was taken is nobody's business) and refuses what mail clients cannot show (WebP, SVG).
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy.orm import Session

from mailer.errors import Invalid, NotFound
from mailer.issues.store import StoredFigure

MAX_WIDTH = 1200  # pixels
MAX_PIXELS = 50_000_000  # a decompression bomb says more
_JPEG_QUALITY = 82
# Not all that Pillow can read: EPS would start Ghostscript, and the rare ones are the least looked after.
_READ = ("JPEG", "PNG", "GIF", "BMP")
_SPOILT = (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError)


class BadFigure(Invalid):
    """This picture cannot be read: save it as JPEG or PNG and try again."""


def add(session: Session, content: bytes) -> StoredFigure:
    """Store a picture and return it; the same picture is stored once.

    :raises BadFigure: not a picture, or larger than MAX_PIXELS
    """
    encoded, media_type, (width, height) = _encoded(content)
    suffix = {"image/png": "png", "image/jpeg": "jpg"}[media_type]
    name = f"{hashlib.sha256(encoded).hexdigest()[:20]}.{suffix}"
    existing = session.get(StoredFigure, name)
    if existing is not None:
        return existing
    figure = StoredFigure(name=name, media_type=media_type, width=width, height=height, content=encoded)
    session.add(figure)
    session.flush()
    return figure


def get(session: Session, name: str) -> StoredFigure:
    """:raises NotFound: no figure of that name"""
    figure = session.get(StoredFigure, name)
    if figure is None:
        raise NotFound("There is no such figure: upload it with the issue.")
    return figure


def _encoded(content: bytes) -> tuple[bytes, str, tuple[int, int]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_READ) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise BadFigure("This picture is too large: make it at most 50 million pixels.")
                picture = ImageOps.exif_transpose(opened)
                keeps_alpha = picture.mode in ("RGBA", "LA", "P")
                picture = picture.convert("RGBA" if keeps_alpha else "RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadFigure("This picture is too large: make it at most 50 million pixels.") from error
    except _SPOILT as error:
        raise BadFigure from error
    if picture.width > MAX_WIDTH:
        picture = picture.resize((MAX_WIDTH, round(picture.height * MAX_WIDTH / picture.width)))
    out = io.BytesIO()
    if keeps_alpha:
        picture.save(out, "PNG", optimize=True)
        return out.getvalue(), "image/png", picture.size
    picture.save(out, "JPEG", quality=_JPEG_QUALITY, optimize=True, progressive=True)
    return out.getvalue(), "image/jpeg", picture.size
