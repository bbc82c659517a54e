"""Files of people that come over the web are kept for a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the change."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    instant = sa.DateTime(timezone=True)
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.create_table(
        "uploads",
        sa.Column("id", number, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", number, nullable=True),
        sa.Column("publication_id", number, nullable=False),
        sa.Column("user_id", number, nullable=True),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("layout", json, nullable=False),
        sa.Column("consent_kind", sa.String(length=20), nullable=False),
        sa.Column("wording", sa.String(), nullable=False),
        sa.Column("uploaded_at", instant, nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("told", json, nullable=False),
        sa.Column("verdicts", sa.LargeBinary(), nullable=True),
        sa.Column("import_id", number, nullable=True),
        sa.Column("leased_until", instant, nullable=True),
        sa.Column("lease", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_uploads_import_id_imports")),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_uploads_partner_id_partners")),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.id"], name=op.f("fk_uploads_publication_id_publications")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_uploads_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("public_id", name=op.f("uq_uploads_public_id")),
    )
    op.create_index(op.f("ix_uploads_import_id"), "uploads", ["import_id"], unique=False)
    op.create_index(op.f("ix_uploads_partner_id"), "uploads", ["partner_id"], unique=False)
    op.create_index("ix_uploads_step", "uploads", ["step"], unique=False)
    op.create_index(op.f("ix_uploads_uploaded_at"), "uploads", ["uploaded_at"], unique=False)
