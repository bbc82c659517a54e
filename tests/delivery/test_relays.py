"""Several relays: which one takes the letters when one fails, refuses, or has had enough."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.database import clock
from mailer.delivery import breaker, campaigns, relays, store
from mailer.delivery.journal import Journal, Leftover, read
from mailer.delivery.link import trust
from mailer.delivery.meter import Meter
from mailer.delivery.pace import Grant, Limit
from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.relays import LettersRefused, Relays, hand_over
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.store import CampaignState
from mailer.delivery.transport import NoNotes
from tests import servers
from tests.delivery.desk import MINUTE, Desk
from tests.smtphost import SmtpHost

NOW = datetime(2026, 12, 3, 12, tzinfo=UTC)
BODY = b"Subject: News\r\n\r\nGood news.\r\n"
REFUSES = "550 5.7.1 You may not send here"


def letters(count: int) -> list[Envelope]:
    return [
        Envelope(n, "b@lists.test", f"reader{n}@example.org", BODY, clean=True) for n in range(1, count + 1)
    ]


class Told(dict[int, Outcome]):
    """What was told of letters, and the trouble at the end if there was any."""

    trouble: RelayUnavailable | None = None

    def kinds(self) -> Counter[str]:
        return Counter(outcome.kind.value for outcome in self.values())


def send(all_: Relays, envelopes: Iterable[Envelope], **options: object) -> Told:
    """Send; one outcome at most for each letter."""
    told = Told()
    try:
        for outcome in all_.send(list(envelopes), **({"notes": NoNotes()} | options)):  # type: ignore[arg-type]
            assert outcome.key not in told
            told[outcome.key] = outcome
    except RelayUnavailable as error:
        told.trouble = error
    return told


def keys(host: SmtpHost) -> list[int]:
    """The letters a host has taken, by number."""
    return sorted(int(letter.recipient.split("@")[0].removeprefix("reader")) for letter in host.letters)


@pytest.fixture
def first() -> Iterator[SmtpHost]:
    with SmtpHost() as host:
        yield host


@pytest.fixture
def second() -> Iterator[SmtpHost]:
    with SmtpHost() as host:
        yield host


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass for the breakers."""
    gone = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + gone[0])

    def pass_by(seconds: float) -> None:
        gone[0] += seconds

    return pass_by


@pytest.fixture
def on_trial(first: SmtpHost, hurry: Callable[[float], None]) -> Iterator[Relays]:
    """A relay of one connection that has failed, and rested."""
    first.answers("CONNECT", "421 4.3.2 Come back later", times=1)
    with Relays([first.url_with(connections=1)]) as one:
        assert send(one, letters(3)).trouble
        hurry(31)
        yield one


# --- relays that fail -----------------------------------------------------------------------------------


def test_the_first_takes_all_while_it_works(first: SmtpHost, second: SmtpHost) -> None:
    """Relays are an order of preference."""
    with Relays([first.url, second.url]) as both:
        assert send(both, letters(20)).kinds() == {"accepted": 20}
    assert (len(first.letters), second.connections) == (20, 0)


def test_a_relay_out_of_reach_rests_longer_each_time(
    second: SmtpHost, hurry: Callable[[float], None]
) -> None:
    """The next takes the letters; the first is tried again after each rest."""
    down = f"smtp://127.0.0.1:{servers.free_port()}"
    with Relays([down, second.url]) as both:
        for rest in (30, 60, 120):
            assert send(both, letters(2)).kinds() == {"accepted": 2}
            state, other = both.states()
            assert rest - 5 < state.rest <= rest
            assert "cannot be reached" in str(state.why)
            assert (other.rest, other.why) == (0.0, None)
            assert len(both.awake) == 1
            hurry(rest)
            assert len(both.awake) == 2


def test_after_a_rest_one_letter_is_sent_before_the_others(
    first: SmtpHost, on_trial: Relays, hurry: Callable[[float], None]
) -> None:
    """Half open: once it is accepted the rest follow."""
    first.answers("MAIL", "451 4.3.0 Not yet", times=1)
    told = send(on_trial, letters(9))
    assert told.kinds() == {"deferred": 1}
    assert "refuses our letters (451 4.3.0 Not yet)" in str(told.trouble)
    assert not first.letters
    assert 55 < on_trial.states()[0].rest <= 60
    hurry(61)
    assert send(on_trial, letters(9)).kinds() == {"accepted": 9}
    assert on_trial.states()[0].why is None


def test_a_relay_on_trial_is_not_asked_on_when_time_is_up(on_trial: Relays) -> None:
    """Nothing is told of letters that were not begun, and the trial goes on."""
    assert send(on_trial, letters(3), halt=lambda: True) == {}
    assert on_trial.states()[0].why is not None
    assert send(on_trial, letters(3)).kinds() == {"accepted": 3}


def test_a_relay_on_trial_that_leaves_a_letter_uncertain_gets_no_other(
    first: SmtpHost, on_trial: Relays
) -> None:
    """One letter is what a trial may cost."""
    first.drops("KEEP")
    told = send(on_trial, letters(20))
    assert (told.kinds(), keys(first)) == ({"uncertain": 1}, [1])
    assert "closed the connection" in str(told.trouble)


def test_a_relay_that_hangs_up_on_letter_after_letter_fails(first: SmtpHost) -> None:
    """In the middle of envelopes, whichever call they came with; letters are deferred until it is known."""
    first.answers("MAIL", "421 4.3.2 Shutting down")
    with Relays([first.url_with(connections=1)]) as one:
        for _ in range(breaker.PATIENCE - 1):
            assert send(one, letters(1)).kinds() == {"deferred": 1}
        told = send(one, letters(1))
        assert told == {}
        assert "Shutting down" in str(told.trouble)
        assert not one.awake


# --- relays that refuse us ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("MAIL", REFUSES),
        ("MAIL", "451 4.7.1 Try again"),
        ("RCPT", "554 5.7.1 <…>: Relay access denied"),
        ("RCPT", "554 5.7.1 <…>: Client host rejected: Access denied"),
        ("DATA", "554 Sending is paused for this account"),
        ("DATA", "554 5.7.1 No"),
        ("BODY", "554 5.7.1 Spam"),
        ("BODY", "451 4.7.500 Server busy"),
    ],
)
def test_letters_of_a_relay_that_refuses_us_go_to_the_next(
    first: SmtpHost, second: SmtpHost, step: str, reply: str
) -> None:
    """Those too that it refused: none is ended by a relay that takes nothing."""
    first.answers(step, reply)
    with Relays([first.url, second.url]) as both:
        told = send(both, letters(50))
        assert told.kinds() == {"accepted": 50}
        assert reply in str(both.states()[0].why)
    assert keys(second) == list(range(1, 51))
    assert len(first.commands) < 100, "it was not asked on and on"


@pytest.mark.parametrize("others", [0, 1])
def test_what_every_relay_refuses_is_deferred(first: SmtpHost, second: SmtpHost, others: int) -> None:
    """And the campaign is told in the relay's words, without an address in them."""
    first.answers("MAIL", "550 5.7.1 <b@lists.test> may not send here")
    second.answers("MAIL", "550 5.7.1 <b@lists.test> may not send here")
    with Relays([first.url, second.url][: others + 1]) as all_:
        told = send(all_, letters(30))
        assert not all_.awake
    assert set(told.kinds()) == {"deferred"}
    assert "refuses our letters (550 5.7.1 <…> may not send here)" in str(told.trouble)


def test_a_letter_refused_alone_stays_refused(first: SmtpHost, second: SmtpHost) -> None:
    """The others are accepted: it is about that letter."""
    first.answers("BODY", "554 5.7.1 Spam", address="reader3@example.org")
    with Relays([first.url, second.url]) as both:
        told = send(both, letters(9))
        assert told[3].kind is Kind.REJECTED
        assert told.kinds() == {"accepted": 8, "rejected": 1}
        assert not both.states()[0].why
    assert not second.commands


@pytest.mark.parametrize(
    "reply", ["550 5.7.1 No such user here", "550 5.1.1 User unknown", "554 5.7.1 Recipient address rejected"]
)
def test_refused_recipients_say_nothing_about_us(first: SmtpHost, second: SmtpHost, reply: str) -> None:
    """However many in a row."""
    first.answers_rcpt(reply)
    with Relays([first.url, second.url]) as both:
        assert send(both, letters(20)).kinds() == {"rejected": 20}
    assert not second.commands


def test_a_recipient_whom_a_relay_would_not_send_to_is_refused_alone(first: SmtpHost) -> None:
    """It relays for the others: it is about that one."""
    first.answers("RCPT", "554 5.7.1 Relay access denied", address="reader3@example.org")
    with Relays([first.url]) as one:
        told = send(one, letters(9))
    assert told[3].kind is Kind.REJECTED
    assert told.kinds() == {"accepted": 8, "rejected": 1}


def test_letters_that_every_relay_refuses_for_what_they_say_are_told_apart(
    first: SmtpHost, second: SmtpHost
) -> None:
    """The relays may take others, at once; none of the letters is ended."""
    first.answers("BODY", "554 5.7.1 Spam")
    second.answers("BODY", "552 5.3.4 Message too big")
    with Relays([first.url, second.url]) as both:
        told = send(both, letters(30))
        assert isinstance(told.trouble, LettersRefused)
        assert "(552 5.3.4 Message too big)" in str(told.trouble)
        assert set(told.kinds()) == {"deferred"}
        first.forgets()
        assert [(state.rest, state.why) for state in both.states()] == [(0.0, None)] * 2
        assert send(both, letters(30)).kinds() == {"accepted": 30}


@pytest.mark.parametrize("other", ["550 5.7.1 You may not send here", None])
def test_a_relay_that_has_not_seen_the_letters_might_still_take_them(
    first: SmtpHost, second: SmtpHost, other: str | None
) -> None:
    """It refuses us, or cannot be reached: letters wait for it."""
    first.answers("BODY", "554 5.7.1 Spam")
    if other:
        second.answers("MAIL", other)
    url = second.url if other else f"smtp://127.0.0.1:{servers.free_port()}"
    with Relays([first.url, url]) as both:
        told = send(both, letters(30))
        assert told.trouble is not None
        assert not isinstance(told.trouble, LettersRefused)
        assert both.awake == []


@pytest.mark.parametrize(
    ("step", "reply"),
    [("BODY", "451 4.7.0 Slow down"), ("BODY", "421 4.7.28 Slow down"), ("RCPT", "421 4.7.28 Slow down")],
)
def test_a_destination_that_asks_to_slow_down_is_not_the_relay(
    first: SmtpHost, second: SmtpHost, step: str, reply: str
) -> None:
    """Letters are deferred in its words, no more are begun, and none goes round by the next relay."""
    first.answers(step, reply)
    with Relays([first.url_with(connections=4), second.url]) as all_:
        told = send(all_, letters(50), paced=True)
        assert set(told.kinds()) == {"deferred"}
        assert len(told) < 20
        assert {(each.code, each.command, each.text) for each in told.values()} == {
            (int(reply[:3]), step, reply[4:])
        }
        assert told.trouble is None
        assert [state.why for state in all_.states()] == [None, None]
    assert second.letters == []


@pytest.mark.parametrize(("step", "paced"), [("MAIL", True), ("RCPT", False)])
def test_a_relay_that_asks_for_itself_to_slow_down_rests(first: SmtpHost, step: str, paced: bool) -> None:
    """Before a recipient it speaks of us; where letters go to many, one word is for none of them alone."""
    first.answers(step, "421 4.7.0 Slow down")
    with Relays([first.url]) as all_:
        told = send(all_, letters(breaker.PATIENCE * 2), paced=paced)
        assert told.trouble is not None
        assert all_.awake == []


def test_refusals_are_counted_from_call_to_call(first: SmtpHost, second: SmtpHost) -> None:
    """Slices may be small."""
    first.answers("MAIL", REFUSES)
    with Relays([first.url_with(connections=1), second.url]) as both:
        assert send(both, letters(breaker.PATIENCE - 1)).kinds() == {"rejected": breaker.PATIENCE - 1}
        assert send(both, letters(2)).kinds() == {"accepted": 2}


@pytest.mark.parametrize("auth", ["454 4.7.0 Not now", "535 5.7.8 Wrong"])
def test_a_relay_that_lets_us_not_sign_in_is_passed_over(second: SmtpHost, auth: str) -> None:
    """Nothing is known of the letters."""
    with SmtpHost(user="desk", password="geheim") as first:
        first.answers("AUTH", auth)
        with Relays([first.url, second.url]) as both:
            assert send(both, letters(5)).kinds() == {"accepted": 5}
            assert auth in str(both.states()[0].why)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["MAIL", "DATA", "HALF", "BODY", "KEEP"]),
            st.sampled_from(["451 4.7.1 Busy", "554 5.7.1 No", "421 4.3.2 Bye", None]),
            st.integers(1, 8),
        ),
        max_size=4,
    ),
    connections=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_nothing_accepted_or_uncertain_is_offered_twice(
    steps: list[tuple[str, str | None, int]], connections: int
) -> None:
    """However the first relay fails, no reader gets a letter from both."""
    with SmtpHost() as first, SmtpHost() as second:
        for step, reply, times in steps:
            if reply is None or step == "KEEP":
                first.drops(step, times=times)
            else:
                first.answers(step, reply, times=times)
        with Relays([first.url_with(connections=connections), second.url]) as both:
            told = send(both, letters(30))
        taken = Counter(keys(first) + keys(second))
    assert set(taken.values()) <= {1}
    accepted = {n for n, outcome in told.items() if outcome.kind is Kind.ACCEPTED}
    uncertain = {n for n, outcome in told.items() if outcome.kind is Kind.UNCERTAIN}
    assert accepted <= taken.keys() <= accepted | uncertain
    assert not uncertain & set(keys(second))


def test_the_journal_never_says_rejected_before_it_is_known(
    first: SmtpHost, second: SmtpHost, tmp_path: Path
) -> None:
    """A worker that dies between two relays leaves letters that are sent again."""
    journal = Journal(tmp_path, "w")
    pen = journal.pen(campaign=1, batch=1, attempt=1)
    first.answers("MAIL", REFUSES)
    with Relays([first.url_with(connections=1), second.url_with(connections=1)]) as both:
        sending = both.send(letters(9), notes=pen)
        told = [next(sending)]
        ends = read(journal.path.read_bytes()).ended
        assert {outcome.kind for _, outcome in ends} == {Kind.DEFERRED, Kind.ACCEPTED}
        told += sending
    pen.flush()
    assert [outcome.kind for _, outcome in read(journal.path.read_bytes()).ended] == [Kind.ACCEPTED] * 9
    journal.checkpoint()
    journal.close()


def test_the_journal_says_in_the_end_what_was_told(first: SmtpHost, tmp_path: Path) -> None:
    """A letter refused alone is rejected there too."""
    journal = Journal(tmp_path, "w")
    pen = journal.pen(campaign=1, batch=1, attempt=1)
    first.answers("BODY", "554 5.7.1 Spam", address="reader2@example.org")
    with Relays([first.url]) as one:
        told = send(one, letters(3), notes=pen)
    pen.flush()
    left: Leftover = read(journal.path.read_bytes())
    assert not left.uncertain
    assert {begun.n: outcome.kind for begun, outcome in left.ended} == {n: it.kind for n, it in told.items()}
    journal.checkpoint()
    journal.close()


# --- limits ---------------------------------------------------------------------------------------------


class Ledger:
    """A meter that grants what it has, and keeps account."""

    def __init__(self, letters: int = 1000, seats: int = 1000) -> None:
        self.letters, self.free = letters, seats
        self.keys: set[str] = set()
        self.limits: list[Limit] = []
        self.held = 0
        self.most = 0

    def take(self, key: str, limit: Limit, want: int) -> Grant:
        if limit.unlimited:
            return Grant(want, 0.0)
        granted = min(want, self.letters)
        self.letters -= granted
        self.keys.add(key)
        self.limits.append(limit)
        return Grant(granted, 0.0 if granted == want else 7.0)

    def give_back(self, key: str, limit: Limit, count: int) -> None:
        self.letters += 0 if limit.unlimited else count

    def seats(self, key: str, limit: int, want: int) -> int:
        self.held = min(want, limit, self.free)
        self.most = max(self.most, self.held)
        self.keys.add(key)
        return self.held


def test_no_more_is_sent_than_granted(first: SmtpHost, second: SmtpHost) -> None:
    """The rest was never begun and waits; it does not overflow to the next relay."""
    meter = Ledger(letters=12)
    with Relays([first.url_with(per_second=5), second.url], meter) as both:
        assert send(both, letters(20)).kinds() == {"accepted": 12}
        assert both.wait == 7.0
        assert send(both, letters(20)) == {}
    assert not second.commands
    assert meter.limits[0].per_second == 5
    assert meter.keys == {f"relay:127.0.0.1:{first.port}"}


def test_an_allowance_is_used_by_the_next_send_and_the_rest_given_back(first: SmtpHost) -> None:
    """Asked before letters are composed; not asked for twice."""
    meter = Ledger(letters=12)
    with Relays([first.url_with(per_hour=5)], meter) as one:
        assert one.allowance(20, NOW) == Grant(12, 7.0)
        assert one.allowance(20, NOW) == Grant(12, 7.0)
        assert meter.letters == 0
        assert send(one, letters(10)).kinds() == {"accepted": 10}
        assert meter.letters == 2
        assert one.allowance(1, NOW) == Grant(1, 0.0)
    assert meter.letters == 2


def test_letters_that_a_relay_never_got_are_given_back(first: SmtpHost, second: SmtpHost) -> None:
    """Each relay is charged with what it was given."""
    meter = Ledger(letters=100)
    down = f"smtp://127.0.0.1:{servers.free_port()}?per_second=9"
    with Relays([down, first.url_with(per_second=9)], meter) as both:
        both.allowance(10, NOW)
        assert send(both, letters(10)).kinds() == {"accepted": 10}
    assert meter.letters == 90


def test_where_no_relay_is_awake_nothing_is_granted() -> None:
    """And the wait is until one is."""
    with Relays([f"smtp://127.0.0.1:{servers.free_port()}"]) as none:
        assert send(none, letters(1)).trouble
        grant = none.allowance(5, NOW)
        assert grant.granted == 0
        assert 25 < grant.wait <= 30


def test_a_warm_up_is_kept_day_by_day(first: SmtpHost) -> None:
    """Spread over the day; until the day is told, the first one's limit holds."""
    meter = Ledger()
    with Relays([first.url_with(warmup="2026-12-01", per_second=1)], meter) as one:
        send(one, letters(1))
        one.allowance(1, NOW)
        one.allowance(2, datetime(2027, 12, 1, tzinfo=UTC))
    a_day = [round((limit.per_second or 0) * 86_400) for limit in meter.limits]
    assert a_day == [50, 200, 86_400]


def test_connections_are_shared_with_all_workers(first: SmtpHost) -> None:
    """No more than there are seats; they are given up at the end."""
    meter = Ledger(seats=2)
    with Relays([first.url_with(total=3, connections=8)], meter) as one:
        assert send(one, letters(40)).kinds() == {"accepted": 40}
        assert (first.most_at_once, meter.most) == (2, 2)
        meter.free = 0
        assert one.allowance(5, NOW) == Grant(0, relays.RENEW, ours=True)
        assert send(one, letters(3)) == {}
        meter.free = 1
        assert send(one, letters(3)).kinds() == {"accepted": 3}
        one.rest()
        assert meter.held == 0


def test_seats_are_renewed_while_letters_are_on_their_way(
    first: SmtpHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lapse for who does not come again."""
    monkeypatch.setattr(relays, "RENEW", 0.0)
    asked: list[int] = []

    class Counting(Ledger):
        def seats(self, key: str, limit: int, want: int) -> int:
            asked.append(want)
            return super().seats(key, limit, want)

    with Relays([first.url_with(total=3, connections=1)], Counting()) as one:
        assert send(one, letters(5)).kinds() == {"accepted": 5}
    assert asked[:-1] == [1] * (len(asked) - 1)
    assert len(asked) > 3


def test_the_caller_may_ask_for_fewer_connections_and_letters_on_each(first: SmtpHost) -> None:
    """As a destination wants it."""
    with Relays([first.url_with(connections=8)]) as one:
        assert send(one, letters(12), connections=1).kinds() == {"accepted": 12}
        assert first.connections == 1
        assert send(one, letters(12), connections=1, letters_per_connection=4).kinds() == {"accepted": 12}
    assert first.connections == 4


def test_the_real_meter_keeps_a_relays_rate(first: SmtpHost) -> None:
    """Counted in this process, where there is no Redis."""
    meter = Meter("", holder="w1", workers=lambda: 1)
    with Relays([first.url_with(per_hour=60, total=2)], meter) as one:
        assert send(one, letters(10)).kinds() == {"accepted": 1}
        assert one.wait > 30
        assert send(one, letters(10)) == {}


# --- signing in and TLS ---------------------------------------------------------------------------------


def test_every_relay_is_checked(first: SmtpHost) -> None:
    """It answers and lets us in; nothing is sent."""
    with Relays([first.url]) as one:
        one.check()
    with (
        Relays([first.url, f"smtp://127.0.0.1:{servers.free_port()}"]) as both,
        pytest.raises(RelayUnavailable, match="cannot be reached"),
    ):
        both.check()
    assert not first.letters


def test_certificates_are_verified_and_old_tls_is_not_spoken() -> None:
    """Unless told otherwise; TLS 1.2 is the least either way."""
    context = trust(Relay("relay.test", 465, tls=True))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert trust(Relay("relay.test", 465, tls_verify=False)).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_one_letter_outside_the_ledger_is_handed_over(first: SmtpHost) -> None:
    """Whatever the relay's limits are; its no to that letter is told as it is."""
    [letter] = letters(1)
    assert hand_over(letter, [first.url_with(per_hour=1, total=1)]).kind is Kind.ACCEPTED
    first.answers("MAIL", REFUSES)
    assert hand_over(letter, [first.url]).kind is Kind.REJECTED


# --- campaigns ------------------------------------------------------------------------------------------


def readers(count: int) -> list[str]:
    return [f"reader{n}@example.org" for n in range(1, count + 1)]


def test_a_campaign_whose_relay_refuses_it_goes_out_by_the_next(
    desk: Desk, first: SmtpHost, second: SmtpHost
) -> None:
    """Nobody's letter is ended by the first, and nobody gets two."""
    first.answers("MAIL", REFUSES)
    campaign = desk.launched(*readers(30))
    desk.work(desk.sender(smtp_url=f"{first.url} {second.url}"))
    assert desk.counts(campaign) == {"ACCEPTED": 30}
    assert keys(second) == list(range(1, 31))
    assert desk.campaign(campaign).trouble == ""


def test_a_campaign_whose_letters_every_relay_refuses_for_what_they_say_is_paused(
    desk: Desk, first: SmtpHost
) -> None:
    """With the reason, and without a letter lost; the other campaigns go on, and resumed it goes out."""
    first.answers("BODY", "554 5.7.1 This is spam")
    campaign = desk.launched(*readers(30))
    worker = desk.sender(smtp_url=first.url)
    desk.work(worker)
    paused = desk.campaign(campaign)
    assert paused.state == CampaignState.PAUSED
    assert "for what they say, or for their size (554 5.7.1 This is spam)" in paused.trouble
    assert desk.counts(campaign).keys() == {"DEFERRED", "WAITING"}
    first.forgets()
    other = desk.launched()
    desk.work(worker)
    assert desk.counts(other) == {"ACCEPTED": 30}
    desk.do(campaigns.resume, campaign)
    desk.hurry(campaign)
    desk.work(worker)
    assert desk.counts(campaign) == {"ACCEPTED": 30}
    assert desk.campaign(campaign).trouble == ""


def test_a_campaign_whose_relay_refuses_to_relay_loses_no_letter(desk: Desk, first: SmtpHost) -> None:
    """As Postfix says it where it does not know us; the reader who is gone is still told apart."""
    first.answers("RCPT", "554 5.7.1 Relay access denied")
    campaign = desk.launched(*readers(30))
    worker = desk.sender(smtp_url=first.url)
    desk.work(worker)
    assert "refuses our letters (554 5.7.1 Relay access denied)" in desk.campaign(campaign).trouble
    assert desk.counts(campaign).keys() == {"DEFERRED", "WAITING"}
    first.forgets()
    first.answers("RCPT", "550 5.1.1 User unknown", address="reader7@example.org")
    desk.close()
    desk.hurry(campaign)
    desk.work(desk.sender(smtp_url=first.url))
    assert desk.counts(campaign) == {"ACCEPTED": 29, "REJECTED": 1}


def test_a_campaign_is_told_what_its_only_relay_says(desk: Desk, first: SmtpHost) -> None:
    """Its letters wait, none is rejected; they go out once the relay takes them."""
    first.answers("MAIL", REFUSES)
    campaign = desk.launched(*readers(30))
    desk.work(desk.sender(smtp_url=first.url))
    assert f"refuses our letters ({REFUSES})" in desk.campaign(campaign).trouble
    assert desk.counts(campaign).keys() == {"DEFERRED", "WAITING"}
    desk.close()
    first.forgets()
    desk.hurry(campaign)
    desk.work(desk.sender(smtp_url=first.url))
    assert desk.counts(campaign) == {"ACCEPTED": 30}
    assert desk.campaign(campaign).trouble == ""


def test_workers_tell_which_relays_fail_them(desk: Desk, first: SmtpHost, second: SmtpHost) -> None:
    """In rows that pages read: until when, and why; no more once it takes letters."""
    first.answers("CONNECT", "421 4.3.2 Come back later", times=1)
    campaign = desk.launched(*readers(3))
    worker = desk.sender(smtp_url=f"{first.url_with(connections=1)} {second.url}")
    desk.work(worker)
    assert desk.counts(campaign) == {"ACCEPTED": 3}
    with desk.database.read() as session:
        [failing] = store.failing_relays(session, clock(session) - MINUTE)
        assert failing.name == f"127.0.0.1:{first.port}"
        assert timedelta(seconds=20) < failing.until - clock(session) <= timedelta(seconds=30)
        assert "Come back later" in failing.why
    desk.close()
    desk.work(desk.sender(smtp_url=first.url))
    with desk.database.read() as session:
        assert store.failing_relays(session, clock(session) - MINUTE) == []
