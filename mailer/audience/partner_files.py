"""Files of partners: the directory comes in from a table, tried first, whole or not at all.

A row is a partner by its code: a new one, or one that is here, of whom only what the row says is changed.
Where one row is refused, nothing is written: about 150 rows are mended and sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session, SessionTransaction

from mailer.accounts import audit, team
from mailer.accounts.audit import Actor
from mailer.audience import partners, store
from mailer.audience.intake import Verdict
from mailer.audience.partners import BadPartner
from mailer.audience.sheets import listed
from mailer.audience.sheets.listed import Line, Listed
from mailer.audience.store import Partner, PartnerKind
from mailer.audience.verdicts import Verdicts
from mailer.errors import MailerError

_MEANING = listed.by_alias({
    "code": "code partner partnercode id 代码 编号 伙伴代码",
    "name_zh": "namezh zhname chinesename 中文名 中文名称 名称 机构名称 名称中文",
    "name_en": "nameen enname englishname name 英文名 英文名称 名称英文",
    "kind": "kind type 类型 类别 机构类型",
    "country": "country countrycode cc 国家 国别 国家地区",
    "language": "language lang 语言 语种",
    "zone": "zone timezone 时区",
    "seats": "seats seat limit quota 席位 名额 人数上限",
    "trusted": "trusted trust vouch vouches mayvouch 可信 受信任 可担保 担保",
    "groups": "groups group themes thematicgroups 专题组 主题组 组别 分组",
    "manager": "manager manageremail managersaddress email contact 负责人 负责人邮箱 管理员邮箱"
    " 联系人邮箱 邮箱",
})  # fmt: skip
_KINDS = listed.by_alias({
    PartnerKind.MINISTRY: "ministry government 部委 政府部门 政府机构",
    PartnerKind.UN: "un unitednations unbody 联合国 联合国机构",
    PartnerKind.NGO: "ngo 非政府组织 社会组织",
    PartnerKind.COMPANY: "company business 企业 公司",
    PartnerKind.THINK_TANK: "thinktank 智库 研究机构",
    PartnerKind.OTHER: "other 其他",
})  # fmt: skip
_KNOWN = (Verdict.ADDED, Verdict.UPDATED, Verdict.UNCHANGED, Verdict.REFUSED)
_YES = frozenset(("yes", "y", "true", "1", "x", "是", "可"))
_NO = frozenset(("no", "n", "false", "0", "否", "不可"))
_UNLIMITED = frozenset(("unlimited", "none", "no limit", "-", "–", "不限"))


@dataclass(frozen=True, slots=True)
class Report:
    """What a file did, or would do. ``written``: all of it was; ``managers``: addresses of new accounts."""

    verdicts: Verdicts
    written: bool
    managers: tuple[str, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows there are of each verdict it may give."""
        found = self.verdicts.counts
        return {verdict: found[verdict] for verdict in _KNOWN}


def read(raw: bytes, name: str) -> Listed:
    """Read a file.

    :raises BadFile: not a table, without a column of codes, or empty
    """
    return listed.read(
        raw, name, _MEANING, needed="code",
        missing="No column is named “code” or “代码” (found: {shown}): name the column of short codes so.",
    )  # fmt: skip


def take_in(session: Session, found: Listed, *, now: datetime, actor: Actor) -> Report:
    """Write what a file says, or nothing where a row is refused. The report says which."""
    report, attempt = _tried(session, found, now, actor)
    if report.counts[Verdict.REFUSED]:
        attempt.rollback()
        return report
    attempt.commit()
    audit.record(
        session, now=now, actor=actor, action="partner.import", subject="partners", after=dict(report.counts)
    )
    return Report(report.verdicts, True, report.managers)


def dry_run(session: Session, found: Listed, *, now: datetime, actor: Actor) -> Report:
    """Return the report that ``take_in`` would give, and write nothing."""
    report, attempt = _tried(session, found, now, actor)
    attempt.rollback()
    return report


def _tried(session: Session, found: Listed, now: datetime, actor: Actor) -> tuple[Report, SessionTransaction]:
    attempt = session.begin_nested()
    verdicts = Verdicts()
    managers: list[str] = []
    met: dict[str, int] = {}
    for row in found.rows:
        if not any(row.cells.values()):
            continue
        try:
            with session.begin_nested():
                _refuse_twice(met, row)
                verdict, made = _take(session, row.cells, now, actor)
            managers += made
            verdicts.add(row.line, verdict)
        except MailerError as refusal:
            verdicts.add(row.line, Verdict.REFUSED, refusal.sentence)
    return Report(verdicts, False, tuple(managers)), attempt


def _refuse_twice(met: dict[str, int], row: Line) -> None:
    code = row.cells.get("code", "").casefold()
    first = met.setdefault(code, row.line)
    if first != row.line:
        raise BadPartner("This partner stands on line {line} too: keep one of the two.", line=first)


def _take(
    session: Session, cells: Mapping[str, str], now: datetime, actor: Actor
) -> tuple[Verdict, list[str]]:
    """Write one row; return what became of it, and the addresses of new managers."""
    code = cells.get("code", "")
    partner = store.partner_by_code(session, code)
    verdict = Verdict.UNCHANGED if partner else Verdict.ADDED
    if partner is None:
        partner = _add(session, code, cells, now, actor)
    elif partner.closed_at is not None:
        raise BadPartner("This partner has left: take its leaving back first, or leave the row out.")
    before = partners.told(session, partner)
    facts = before | {"zone": before["zone"] or ""} | _said(cells)
    partners.edit(session, partner_id=partner.id, now=now, actor=actor, **facts)
    made = [
        email
        for email in re.split(r"[\s,，;；、]+", cells.get("manager", ""))
        if email and _manages(session, partner, email, now, actor)
    ]
    if verdict is Verdict.UNCHANGED and (made or partners.told(session, partner) != before):
        verdict = Verdict.UPDATED
    return verdict, made


def _add(session: Session, code: str, cells: Mapping[str, str], now: datetime, actor: Actor) -> Partner:
    missing = [name for name in ("kind", "country") if not cells.get(name)]
    if missing:
        raise BadPartner("A new partner needs kind and country: fill in “{column}”.", column=missing[0])
    said = _said(cells)
    return partners.add(
        session, code=code, kind=said["kind"], country=said["country"], language=said.get("language", "en"),
        name_zh=said.get("name_zh", ""), name_en=said.get("name_en", ""), now=now, actor=actor,
    )  # fmt: skip


def _said(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return what a row says, as ``partners.edit`` takes it; empty cells say nothing."""
    found: dict[str, Any] = {}
    for name in ("name_zh", "name_en", "kind", "country", "language", "zone", "seats", "trusted", "groups"):
        if cell := cells.get(name, ""):
            found[name] = _READ[name](cell) if name in _READ else cell
    return found


def _kind(cell: str) -> str:
    return _KINDS.get(re.sub(r"[\s_-]", "", cell).casefold(), cell)


def _seats(cell: str) -> int | None:
    if cell.casefold() in _UNLIMITED:
        return None
    if not re.fullmatch(r"\d{1,7}(\.0)?", cell):
        raise BadPartner(
            "“{cell}” is no number of seats: write a whole number, or “unlimited”.", cell=cell[:20]
        )
    return int(float(cell))


def _trusted(cell: str) -> bool:
    if cell.casefold() not in _YES | _NO:
        raise BadPartner("“{cell}” does not say whether it may vouch: write yes or no.", cell=cell[:20])
    return cell.casefold() in _YES


def _groups(cell: str) -> list[str]:
    return [each for each in re.split(r"[,，;；、]", cell) if each.strip()]


_READ: Mapping[str, Callable[[str], Any]] = {
    "kind": _kind, "seats": _seats, "trusted": _trusted, "groups": _groups,
}  # fmt: skip


def _manages(session: Session, partner: Partner, email: str, now: datetime, actor: Actor) -> bool:
    """Make somebody a manager; False when they are one already."""
    try:
        team.get(session, partner.id, email)
    except team.NotInTeam:
        team.invite(
            session, partner_id=partner.id, partner_code=partner.code, email=email,
            language=partner.language, now=now, actor=actor,
        )  # fmt: skip
        return True
    return False
