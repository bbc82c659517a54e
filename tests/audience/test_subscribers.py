"""People come in: one row per address, whoever brings them, and nobody is brought back who left."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry
from mailer.audience import codes, segments, subscribers, subscriptions, suppressions, topics
from mailer.audience.intake import Consent, HasLeft, NoSeat, NotTrusted, Person, Suppressed, Verdict
from mailer.audience.names import Names
from mailer.audience.store import ConsentKind, Subscriber, SubscriptionState
from tests.make import KEYS, NOON

IMPORTED = Consent(ConsentKind.IMPORTED, "Agreed at the spring meeting.")
VOUCHED = Consent(ConsentKind.VOUCHED)
INVITED = Consent(ConsentKind.INVITED)
LI = Names(family_zh="李", given_zh="敏", honorific_zh="部长")


@pytest.fixture
def bring(database, make):
    """Bring one person in, in a transaction of its own."""
    publication = make.publication()

    def bring(address="li@example.org", *, consent=IMPORTED, names=LI, language="zh", **given):
        with database.write() as session:
            return subscribers.add(
                session, keys=KEYS, now=NOON, actor=SYSTEM, address=address, names=names, language=language,
                publication_id=publication.id, consent=consent, **given,
            )  # fmt: skip

    return bring


@pytest.fixture
def standing(database, make):
    """Where a person stands with the publication."""
    publication = make.publication()

    def standing(subscriber):
        with database.read() as session:
            return subscriptions.get(session, subscriber.id, publication.id)

    return standing


def test_a_person_is_stored_with_greetings_and_evidence(bring, standing):
    """The ledger copies the greeting; the consent says when, how, by whom and in which words."""
    li = bring(" Li@例子.公司 ", country="中国", zone="Asia/Shanghai")
    assert (li.address, li.address_key) == ("Li@xn--fsqu00a.xn--55qx5d", "li@xn--fsqu00a.xn--55qx5d")
    assert (li.domain, li.address_hash) == ("xn--fsqu00a.xn--55qx5d", KEYS.address_hash(li.address_key))
    assert (li.salutation_zh, li.name_zh, li.country) == ("尊敬的李敏部长：", "李敏", "CN")
    consent = standing(li)
    assert (consent.state, consent.consent_kind) == (SubscriptionState.CONFIRMED, ConsentKind.IMPORTED)
    assert (consent.consent_at, consent.consent_by) == (NOON, "system")
    assert consent.consent_wording == "Agreed at the spring meeting."


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (ConsentKind.SIGN_UP, SubscriptionState.PENDING),
        (ConsentKind.INVITED, SubscriptionState.PENDING),
        (ConsentKind.IMPORTED, SubscriptionState.CONFIRMED),
    ],
)
def test_who_did_not_say_yes_themselves_waits_for_it(bring, standing, kind, state):
    """Only the secretariat's evidence and a trusted partner's word stand for the person's own."""
    assert standing(bring(consent=Consent(kind))).state == state


def picked(session, rule):
    """How many people a rule is about."""
    where = segments.condition(segments.parse(rule), now=NOON)
    return session.scalar(select(func.count()).select_from(Subscriber).where(where))


def test_two_partners_hold_one_row(bring, make, database):
    """One address, one letter; each partner's consent is its own."""
    moe, sea = make.partner("moe", trusted=True), make.partner("sea")
    first = bring(consent=VOUCHED, partner_id=moe.id)
    second = bring(
        "LI@EXAMPLE.ORG", consent=INVITED, names=Names(name_zh="李明", name_en="Li Min"), partner_id=sea.id
    )
    assert second.id == first.id
    assert (second.name_zh, second.name_en) == ("李敏", "Li Min")  # blanks filled, nothing overwritten
    with database.read() as session:
        assert picked(session, "partner = moe and partner = sea") == 1


def test_a_person_who_left_is_not_brought_back(bring, make, database, standing):
    """The secretariat is told; a partner is told nothing; the person stays away either way."""
    partner = make.partner(trusted=True)
    li = bring()
    with database.write() as session:
        subscriptions.leave(session, subscriber_id=li.id, publication_id=make.publication().id, now=NOON)
    with pytest.raises(HasLeft):
        bring()
    bring(consent=VOUCHED, partner_id=partner.id)
    bring(consent=Consent(ConsentKind.SIGN_UP))
    assert standing(li).state == SubscriptionState.LEFT


def test_a_suppressed_address_is_refused_to_the_secretariat(bring, make):
    """With the reason, so that somebody can look; another publication's suppression does not count."""
    make.suppression("li@example.org", "complaint")
    make.suppression("ann@example.org", publication_id=make.publication("other").id)
    make.publication("observer")
    with pytest.raises(Suppressed, match="complaint"):
        bring()
    assert bring("ann@example.org").id


def test_a_partner_has_as_many_people_as_seats(bring, make):
    """A person it has already takes no second seat."""
    partner = make.partner(trusted=True, seats=1)
    bring(consent=VOUCHED, partner_id=partner.id)
    bring(consent=VOUCHED, partner_id=partner.id)
    with pytest.raises(NoSeat):
        bring("ann@example.org", consent=VOUCHED, partner_id=partner.id)


def test_only_a_trusted_partner_vouches(bring, make):
    """Others invite."""
    with pytest.raises(NotTrusted):
        bring(consent=VOUCHED, partner_id=make.partner().id)


def test_what_a_person_chose_is_not_overwritten(bring, database):
    """Their own choice of language outranks any later file; the secretariat may still edit by hand."""
    li = bring()
    with database.write() as session:
        subscribers.set_language(session, subscriber_id=li.id, language="en", now=NOON, actor=SYSTEM)
    assert bring(language="zh").language == "en"
    with database.write() as session:
        edited = subscribers.edit(
            session, subscriber_id=li.id, now=NOON, actor=SYSTEM, language="zh", country=""
        )
        assert (edited.language, edited.country) == ("zh", None)


def test_many_come_in_at_once_each_with_a_verdict(database, make):
    """An address met twice, under two partners, is one person of both."""
    publication, moe, sea = make.publication(), make.partner("moe"), make.partner("sea")
    people = [Person(address=f"p{n}@example.org", partner_id=moe.id) for n in range(30)]
    people += [Person(address="P1@example.org", partner_id=sea.id), Person(address="no address")]
    given = {
        "keys": KEYS,
        "now": NOON,
        "actor": SYSTEM,
        "publication_id": publication.id,
        "consent": IMPORTED,
    }
    with database.write() as session:
        found = subscribers.add_many(session, people=people, **given)
        assert found == {Verdict.ADDED: 31, Verdict.REFUSED: 1}
        assert subscribers.add_many(session, people=people, **given) == {
            Verdict.UNCHANGED: 31,
            Verdict.REFUSED: 1,
        }
        assert picked(session, "everyone") == 30
        assert picked(session, "partner = sea and partner = moe") == 1


def test_a_vouched_import_confirms_who_was_only_invited(bring, standing):
    """Pending becomes confirmed on better evidence, never the other way round."""
    li = bring(consent=INVITED)
    bring(consent=IMPORTED)
    assert standing(li).consent_kind == ConsentKind.IMPORTED
    bring(consent=INVITED)
    assert standing(li).state == SubscriptionState.CONFIRMED


def test_people_are_found_by_address_or_name(bring, database):
    """In any case, with signs that LIKE knows taken as themselves."""
    bring("li@example.org")
    bring("a_b@example.org", names=Names(name_en="Ann Lee"), language="en")
    bring("axb@example.org", names=Names(), language="en")
    with database.read() as session:
        for search, addresses in (
            ("A_B", ["a_b"]),
            ("lee", ["a_b"]),
            ("李", ["li"]),
            ("%", []),
            ("", ["a_b", "axb", "li"]),
        ):
            found, total = subscribers.listing(session, search=search)
            assert [person.address.split("@")[0] for person in found] == addresses
            assert total == len(addresses)
        assert [p.address for p in subscribers.listing(session, page=2, size=2)[0]] == ["li@example.org"]
        assert subscribers.by_address(session, "LI@example.org").id
        with pytest.raises(subscribers.NoSubscriber):
            subscribers.by_address(session, "nobody@example.org")


def test_topics_are_a_whole_choice_within_a_publication(bring, make, database):
    """Choosing again replaces; a topic of another publication is not offered."""
    publication = make.publication()
    li = bring()
    with database.write() as session:
        for code in ("air", "water"):
            topics.add(session, publication_id=publication.id, code=code, name_zh=code, name_en=code)
        given = {"subscriber_id": li.id, "publication_id": publication.id, "now": NOON, "actor": SYSTEM}
        subscribers.set_topics(session, codes=["air"], **given)
        subscribers.set_topics(session, codes=["water", "water"], **given)
        subscribers.set_topics(session, codes=["water"], **given)  # which is no deed
        assert topics.chosen(session, li.id, publication.id) == ["water"]
        noted = session.query(AuditEntry).filter_by(action="subscriber.choose_topics").order_by(AuditEntry.id)
        assert [each.after for each in noted] == [{"topics": ["air"]}, {"topics": ["water"]}]
        with pytest.raises(topics.NoTopic):
            subscribers.set_topics(session, codes=["fire"], **given)


def test_leaving_is_told_once_and_only_the_person_undoes_it(bring, make, database, standing):
    """The first reason stays; coming back is a new consent."""
    li, publication = bring(), make.publication()
    given = {"subscriber_id": li.id, "publication_id": publication.id, "now": NOON}
    with database.write() as session:
        assert subscriptions.leave(session, reason=" too  many ", **given)
        assert not subscriptions.leave(session, reason="again", **given)
        assert not subscriptions.confirm(session, **given)
    assert standing(li).left_reason == "too many"
    with database.write() as session:
        assert subscriptions.rejoin(session, origin="127.0.0.1", **given)
        assert not subscriptions.rejoin(session, **given)
    assert (standing(li).state, standing(li).consent_kind) == (
        SubscriptionState.CONFIRMED,
        ConsentKind.SIGN_UP,
    )


def test_leaving_counts_without_a_subscription(make, database, standing, bring):
    """A letter may be answered after the subscription went: no import subscribes them afterwards."""
    reader = make.subscriber("li@example.org", subscribed=False)
    with database.write() as session:
        assert subscriptions.leave(
            session, subscriber_id=reader.id, publication_id=make.publication().id, now=NOON
        )
    assert standing(reader).consent_kind == ConsentKind.NONE
    with pytest.raises(HasLeft):
        bring()


def test_a_suppression_is_told_once_and_released_by_somebody(database, make):
    """The same news again is the same suppression; a longer one outlives a shorter."""
    hashed = KEYS.address_hash("li@example.org")
    given = {"address_hash": hashed, "reason": "bad_mailbox", "note": "550 5.1.1", "now": NOON}
    with database.write() as session:
        first = suppressions.suppress(session, until=NOON.replace(day=21), **given)
        assert suppressions.suppress(session, **given) == first
        assert suppressions.suppress(session, until=NOON.replace(day=22), **given) == first
        assert [found.until for found in suppressions.of_address(session, hashed, NOON)] == [None]
        assert suppressions.suppress(session, **{**given, "reason": "manual"}) != first
        assert suppressions.listing(session, now=NOON)[1] == 2
        suppressions.release(session, first, NOON, SYSTEM)
        with pytest.raises(suppressions.NoSuppression):
            suppressions.release(session, first, NOON, SYSTEM)
        assert [found.reason for found in suppressions.of_address(session, hashed, NOON)] == ["manual"]


@pytest.mark.parametrize(("text", "code"), [("fr", "FR"), ("France", "FR"), ("法国", "FR"), ("UK", "GB")])
def test_a_country_is_read_by_code_or_name(text, code):
    """Colleagues' tables hold names, in Chinese or English."""
    assert codes.country(text) == code


@pytest.mark.parametrize("read", [codes.country, codes.language, codes.zone])
def test_a_code_that_is_none_says_what_to_write(read):
    """One sentence with an example."""
    with pytest.raises(codes.BadCode, match="write"):
        read("Atlantis")
