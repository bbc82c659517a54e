"""Partner desk: when a membership came into force, its gaps, corrected addresses, requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the change."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.add_column(sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("replaces_id", number, nullable=True))
        batch_op.create_index(batch_op.f("ix_memberships_replaces_id"), ["replaces_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_memberships_replaces_id_memberships"),
            "memberships",
            ["replaces_id"],
            ["id"],
            ondelete="SET NULL",
        )
    _say_what_is_known()
    op.create_table(
        "membership_gaps",
        sa.Column("membership_id", number, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["membership_id"],
            ["memberships.id"],
            name=op.f("fk_membership_gaps_membership_id_memberships"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("membership_id", "since", name=op.f("pk_membership_gaps")),
    )
    op.create_table(
        "partner_requests",
        sa.Column("id", number, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", number, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("asked_by", sa.String(length=320), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.String(length=320), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["partner_id"], ["partners.id"], name=op.f("fk_partner_requests_partner_id_partners")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_requests")),
        sa.UniqueConstraint("public_id", name=op.f("uq_partner_requests_public_id")),
    )
    op.create_index(op.f("ix_partner_requests_partner_id"), "partner_requests", ["partner_id"], unique=False)
    op.create_index(op.f("ix_partner_requests_state"), "partner_requests", ["state"], unique=False)


def _say_what_is_known() -> None:
    """What a partner vouched for, or the secretariat imported with evidence, is in force since it was said.

    An invitation is, where the yes on record answers this very one.
    """
    op.execute(
        "UPDATE memberships SET confirmed_at = consent_at WHERE consent_kind NOT IN ('invited', 'sign_up')"
    )
    op.execute(
        "UPDATE memberships SET confirmed_at = (SELECT min(s.consent_at) FROM subscriptions s"
        " WHERE s.subscriber_id = memberships.subscriber_id AND s.state <> 'pending'"
        " AND s.consent_kind = memberships.consent_kind AND s.consent_by = memberships.consent_by)"
        " WHERE consent_kind IN ('invited', 'sign_up')"
    )
