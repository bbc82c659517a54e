"""Lanes: which destination a letter goes to, how fast an admin lets it, and when it rests."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.store import Subscriber
from mailer.database import Database
from mailer.delivery import lanes, pace
from mailer.delivery.lanes import BadLane, BadLimit, NoLimitSet
from mailer.delivery.pace import Limit
from mailer.delivery.store import MailDomain, Slowdown
from tests.make import NOON, Make

ADMIN = Actor(None, "admin@example.org")
MINUTE = timedelta(minutes=1)


def set_limit(database: Database, name: str, limit: Limit) -> str:
    """What an admin does, at noon."""
    with database.write() as session:
        return lanes.set_limit(session, name, limit, now=NOON, actor=ADMIN)


# --- limits ---------------------------------------------------------------------------------------------


def test_providers_have_limits_before_anybody_sets_one(database: Database) -> None:
    """A new installation is kind to them."""
    with database.read() as session:
        assert lanes.limits(session) == dict(pace.DEFAULTS)


def test_a_limit_that_is_set_takes_the_place_of_the_default_until_it_is_cleared(database: Database) -> None:
    """Both are in the audit log, with what was before."""
    wide = Limit(per_second=50, connections=20)
    set_limit(database, "Gmail", Limit(per_second=1))
    set_limit(database, "gmail", wide)
    with database.read() as session:
        assert lanes.limits(session)["gmail"] == wide
        [row] = lanes.set_limits(session)
        assert (row.lane, row.set_by, row.set_at) == ("gmail", ADMIN.name, NOON)
    with database.write() as session:
        assert lanes.clear_limit(session, "gmail", now=NOON, actor=ADMIN) == "gmail"
    with database.read() as session:
        assert lanes.limits(session)["gmail"] == pace.DEFAULTS["gmail"]
        told = [(it.action, it.subject, it.before, it.after) for it in audit.entries(session)]
    one = {"per_second": 1, "per_hour": None, "connections": None, "letters": None}
    other = {"per_second": 50, "per_hour": None, "connections": 20, "letters": None}
    assert told == [
        ("limit.clear", "limit gmail", other, None),
        ("limit.set", "limit gmail", one, other),
        ("limit.set", "limit gmail", None, one),
    ]


def test_a_domain_in_any_spelling_is_one_lane(database: Database) -> None:
    """Deliveries hold domains as A-labels, lower case."""
    assert set_limit(database, "Ministry.Example", Limit(per_second=1)) == "ministry.example"
    assert set_limit(database, "例子.公司", Limit(per_second=1)) == "xn--fsqu00a.xn--55qx5d"


@pytest.mark.parametrize("name", ["", "gmial", "two words.example", "ann@example.org", "-.example", "."])
def test_what_is_neither_provider_nor_domain_has_no_limit(database: Database, name: str) -> None:
    """A misspelt name would bind nobody, silently."""
    with pytest.raises(BadLane):
        set_limit(database, name, Limit(per_second=1))


@pytest.mark.parametrize(
    "limit",
    [
        Limit(per_second=0),
        Limit(per_second=-1),
        Limit(per_second=math.nan),
        Limit(per_second=math.inf),
        Limit(per_second=1e-9),
        Limit(per_hour=0),
        Limit(connections=0),
        Limit(connections=100_000),
        Limit(letters=-5),
    ],
    ids=repr,
)
def test_a_limit_is_a_number_above_zero(database: Database, limit: Limit) -> None:
    """Zero would stop a destination for good: that is what pausing is for."""
    with pytest.raises(BadLimit):
        set_limit(database, "gmail", limit)


def test_only_what_was_set_can_be_cleared(database: Database) -> None:
    """A default stays: it is lifted by a limit without numbers."""
    with database.write() as session, pytest.raises(NoLimitSet):
        lanes.clear_limit(session, "gmail", now=NOON, actor=ADMIN)
    set_limit(database, "gmail", Limit())
    with database.read() as session:
        assert lanes.limits(session)["gmail"].unlimited


# --- which lane -----------------------------------------------------------------------------------------


def test_sql_and_python_choose_the_same_lane(database: Database, make: Make) -> None:
    """A domain's own limit before its provider's; a provider without any limit has no lane."""
    set_limit(database, "naver", Limit(per_second=1))  # no default
    set_limit(database, "ministry.example", Limit(per_second=1))
    set_limit(database, "163.com", Limit(per_second=1))  # a domain of a provider that has a lane
    expected = {
        "gmail.com": ("gmail", "gmail"),
        "163.com": ("netease", "163.com"),
        "126.com": ("netease", "netease"),
        "naver.com": ("naver", "naver"),
        "sina.com": ("sina", ""),
        "ministry.example": ("", "ministry.example"),
        "ngo.example": ("", ""),
    }
    for domain in expected:
        make.subscriber(f"ann@{domain}")
    with database.write() as session:
        lanes.learn(session, lanes.unknown(session, select(Subscriber.domain)))
    with database.read() as session:
        rows = session.execute(select(Subscriber.domain, *lanes.columns(Subscriber.domain)))
        by_sql = {domain: (provider, lane) for domain, provider, lane in rows}
        known, limits = providers(session), lanes.limits(session)
    by_python = {domain: (known[domain], lanes.lane_of(domain, known[domain], limits)) for domain in expected}
    assert by_sql == by_python == expected


def test_a_domain_nobody_has_learnt_goes_down_the_common_lane(database: Database, make: Make) -> None:
    """As SQL sees it; so whoever launches learns domains first."""
    make.subscriber("ann@gmail.com")
    with database.read() as session:
        assert session.execute(select(*lanes.columns(Subscriber.domain))).one() == ("", "")


def test_what_mx_records_told_is_not_unlearnt(database: Database) -> None:
    """Learning from names again changes nothing, however often and however many at once."""
    with database.write() as session:
        session.add(MailDomain(domain="agency.example", provider="outlook", looked_up_at=NOON))
    with database.write() as session:
        lanes.learn(session, ["agency.example", "qq.com", "qq.com"])
        lanes.learn(session, [])
    with database.read() as session:
        assert providers(session) == {"agency.example": "outlook", "qq.com": "qq"}


def providers(session: Session) -> dict[str, str]:
    """Who answers for each domain that was learnt."""
    return {row.domain: row.provider for row in session.scalars(select(MailDomain))}


# --- MX records -----------------------------------------------------------------------------------------


class Names:
    """A name server's answers; what is not among them fails. ``asked`` is in order."""

    def __init__(self, **hosts: Sequence[str]) -> None:
        self.hosts = {name.replace("_", "."): found for name, found in hosts.items()}
        self.asked: list[str] = []

    def __call__(self, domain: str) -> Sequence[str]:
        self.asked.append(domain)
        if domain not in self.hosts:
            raise TimeoutError
        return self.hosts[domain]


def _known(database: Database, *domains: str) -> dict[str, str]:
    with database.read() as session:
        found = providers(session)
    return {domain: found[domain] for domain in domains}


def test_a_provider_is_told_by_mx_records_or_else_by_the_name(database: Database, make: Make) -> None:
    """A ministry whose mail lives at Google is paced as Gmail; a null MX or none leaves the name."""
    for domain in ("agency.example", "own.example", "qq.com", "silent.example"):
        make.subscriber(f"ann@{domain}")
    names = Names(
        agency_example=["aspmx.l.google.com", "mail.agency.example"],
        own_example=["mail.own.example"],
        qq_com=[],
    )
    assert lanes.look_up(database, names, NOON) == 3
    assert _known(database, "agency.example", "own.example", "qq.com", "silent.example") == {
        "agency.example": "gmail",
        "own.example": "",
        "qq.com": "qq",
        "silent.example": "",
    }


def test_answers_are_asked_for_again_after_a_month_and_failures_tomorrow(
    database: Database, make: Make
) -> None:
    """A failure keeps what was known."""
    make.subscriber("ann@agency.example")
    make.subscriber("ann@gone.example")
    names = Names(agency_example=["aspmx.l.google.com"])
    lanes.look_up(database, names, NOON)
    assert sorted(names.asked) == ["agency.example", "gone.example"]
    names.asked.clear()
    lanes.look_up(database, names, NOON + timedelta(hours=23))
    assert names.asked == []
    lanes.look_up(database, names, NOON + timedelta(hours=24))
    assert names.asked == ["gone.example"]
    names.asked.clear()
    names.hosts = {"gone.example": []}
    lanes.look_up(database, names, NOON + timedelta(days=30))
    assert sorted(names.asked) == ["agency.example", "gone.example"]
    assert _known(database, "agency.example") == {"agency.example": "gmail"}


def test_a_call_asks_for_so_many_domains_and_no_more(database: Database, make: Make) -> None:
    """Those never asked for come first; domains of nobody any more are not asked for."""
    make.subscriber("ann@a.example")
    lanes.look_up(database, Names(a_example=[]), NOON - timedelta(days=31))
    for domain in ("b.example", "c.example", "d.example"):
        make.subscriber(f"ann@{domain}")
    with database.write() as session:
        make.within(session).subscriber("ann@erased.example").address = None
    names = Names(a_example=[], b_example=[], c_example=[], d_example=[])
    lanes.look_up(database, names, NOON, limit=2)
    assert sorted(names.asked) == ["b.example", "c.example"]
    lanes.look_up(database, names, NOON, limit=2)
    assert sorted(names.asked[2:]) == ["a.example", "d.example"]


def test_without_a_name_server_the_rest_waits_for_the_next_call(database: Database, make: Make) -> None:
    """A few hundred timeouts would hold the timetable up for minutes."""
    with database.write() as session:
        for number in range(40):
            make.within(session).subscriber(f"ann@d{number}.example", subscribed=False)
    names = Names()
    assert lanes.look_up(database, names, NOON) == 0
    assert len(names.asked) == 16
    assert lanes.look_up(database, names, NOON) == 0
    assert len(set(names.asked)) == 32


def test_a_slow_name_server_is_left_alone_after_a_while(
    database: Database, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it told is kept, and the next call goes on from there."""
    monkeypatch.setattr(lanes, "LONGEST", 0.01)
    with database.write() as session:
        for number in range(40):
            make.within(session).subscriber(f"ann@d{number}.example", subscribed=False)

    def slow(_domain: str) -> Sequence[str]:
        time.sleep(0.02)
        return ["aspmx.l.google.com"]

    assert [lanes.look_up(database, slow, NOON) for _ in range(4)] == [16, 16, 8, 0]


# --- slowing down ---------------------------------------------------------------------------------------


def _slow(database: Database, after: timedelta = timedelta(0), lane: str = "gmail") -> timedelta | None:
    """How long after noon the lane is closed, when asked to slow down at noon and some time."""
    with database.write() as session:
        until = lanes.slow_down(session, lane, said="421 4.7.0 too fast", now=NOON + after)
    return until and until - NOON


def _closed(database: Database, after: timedelta) -> set[str]:
    with database.read() as session:
        return {row.lane for row in lanes.slowdowns(session) if row.until > NOON + after}


def test_a_lane_that_asks_us_to_slow_down_rests_alone(database: Database) -> None:
    """For a minute; others go on."""
    assert _slow(database) == MINUTE
    assert _closed(database, MINUTE / 2) == {"gmail"}
    assert _closed(database, MINUTE) == set()


def test_letters_under_way_when_it_closed_are_the_same_request(database: Database) -> None:
    """Twenty connections hear 421 at once: that is one strike."""
    assert [_slow(database, timedelta(seconds=second)) for second in (0, 1, 59)] == [MINUTE] * 3


def test_a_request_after_the_rest_doubles_it(database: Database) -> None:
    """1, 2, 4 minutes, each from the moment it was heard."""
    assert [_slow(database, MINUTE * at) for at in (0, 1, 3)] == [MINUTE, 3 * MINUTE, 7 * MINUTE]


def test_an_accepted_letter_after_the_rest_forgives_all(database: Database) -> None:
    """One that was under way before it forgives nothing."""
    _slow(database)
    _slow(database, MINUTE)
    with database.write() as session:
        lanes.forgive(session, "gmail", NOON + 2 * MINUTE)
    assert _closed(database, 2 * MINUTE) == {"gmail"}
    with database.write() as session:
        lanes.forgive(session, "gmail", NOON + 3 * MINUTE)
        assert lanes.slowdowns(session) == []
    assert _slow(database, 10 * MINUTE) == 11 * MINUTE


def test_the_common_lane_never_closes(database: Database) -> None:
    """One small domain's greylisting must not hold up all the others."""
    assert _slow(database, lane="") is None
    assert _closed(database, timedelta(0)) == set()


def test_what_was_said_is_kept_without_addresses(database: Database) -> None:
    """Addresses live in one table, where they can be erased."""
    with database.write() as session:
        said = "421 4.7.28 <ann@gmail.com>: too fast\x00" + "!" * 1000
        lanes.slow_down(session, "gmail", said=said, now=NOON)
        [row] = lanes.slowdowns(session)
        assert row.said.startswith("421 4.7.28 <…>: too fast")
        assert len(row.said) == 500


def test_workers_that_hear_it_at_once_make_one_strike(postgres_database: Database) -> None:
    """Each in a transaction of its own, on different machines."""
    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(lambda _: _slow(postgres_database), range(8)))
    assert heard == [MINUTE] * 8
    with postgres_database.read() as session:
        assert session.get_one(Slowdown, "gmail").strikes == 1
