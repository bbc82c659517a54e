"""Words of the rows, as people say them: states, reasons and categories that are codes inside."""

from __future__ import annotations

from mailer.web.i18n import translate


def N_(message: str) -> str:  # noqa: N802  gettext's own name for "translate later"
    """Mark a message for the catalogue; ``word`` translates it when the language is known."""
    return message


_WORDS = {
    # languages, where no switch offers them in their own words
    "zh": N_("Chinese"),
    "en": N_("English"),
    # the audience of everybody
    "everyone": N_("everybody"),
    # campaign states
    "draft": N_("Draft"),
    "review": N_("Waiting for approval"),
    "approved": N_("Approved"),
    "scheduled": N_("Scheduled"),
    "sending": N_("Being sent"),
    "paused": N_("Paused"),
    "sent": N_("Sent"),
    "cancelled": N_("Cancelled"),
    # subscriptions, and why somebody gets no letter
    "pending": N_("not confirmed yet"),
    "confirmed": N_("subscribed"),
    "left": N_("has left"),
    "member": N_("on the list"),
    "ended": N_("taken off the list"),
    "suppressed": N_("address suppressed"),
    "too_often": N_("wants letters less often"),
    "no_edition": N_("no edition in their language"),
    "erased": N_("data erased"),
    "not_subscribed": N_("not subscribed"),
    # categories of a diagnosis
    "bad_mailbox": N_("mailbox does not exist"),
    "bad_domain": N_("domain does not exist"),
    "inactive": N_("mailbox is closed"),
    "mailbox_full": N_("mailbox is full"),
    "reputation": N_("our reputation was doubted"),
    "content": N_("content was refused"),
    "policy": N_("refused by a rule"),
    "rate": N_("too many at once"),
    "technical": N_("technical fault"),
    "complaint": N_("reader complained"),
    "auto_reply": N_("automatic answer"),
    "unknown": N_("reason not understood"),
    "dormant": N_("came back unexplained"),
    "left_elsewhere": N_("left another list"),
    "manual": N_("set by a person"),
    # what a decision did
    "did_suppress": N_("silenced"),
    "did_hold": N_("held back"),
    "did_count": N_("counted"),
    "did_list": N_("listed as silent for long"),
    "did_none": N_("nothing"),
    "did_undone": N_("undone"),
    # who told us
    "source_smtp": N_("the relay, while we were sending"),
    "source_dsn": N_("a report by mail"),
    "source_arf": N_("a complaint by mail"),
    "source_mail": N_("a mail"),
    "source_web": N_("a page of ours"),
    # what became of a reader's answer
    "answer_waiting": N_("on its way"),
    "answer_passed": N_("passed on"),
    "answer_kept": N_("waits for a person"),
    # verdicts on the rows of a file
    "row_added": N_("added"),
    "row_updated": N_("completed"),
    "row_unchanged": N_("known already"),
    "row_refused": N_("refused"),
    "row_kept_away": N_("kept away"),
    "row_noted": N_("worth a look"),
    # what a column of a file means
    "column_address": N_("E-mail address"),
    "column_name": N_("Name"),
    "column_family": N_("Family name"),
    "column_given": N_("Given name"),
    "column_honorific": N_("Title (Dr, 部长)"),
    "column_name_zh": N_("Name in Chinese"),
    "column_family_zh": N_("Family name in Chinese"),
    "column_given_zh": N_("Given name in Chinese"),
    "column_honorific_zh": N_("Title in Chinese"),
    "column_name_en": N_("Name in Latin script"),
    "column_family_en": N_("Family name in Latin script"),
    "column_given_en": N_("Given name in Latin script"),
    "column_honorific_en": N_("Title in Latin script"),
    "column_language": N_("Language"),
    "column_country": N_("Country"),
    "column_zone": N_("Time zone"),
    "column_partner": N_("Partner’s code"),
    "column_notes": N_("Notes"),
    "column_status": N_("Status in another system"),
    "column_opted_in_at": N_("When they agreed"),
    "column_opted_in_from": N_("IP address they agreed from"),
    "column_confirmed_at": N_("When they confirmed"),
    "column_confirmed_from": N_("IP address they confirmed from"),
    "column_left_at": N_("When they left"),
    "column_cleaned_at": N_("When letters came back"),
    # how consent came about
    "consent_sign_up": N_("signed up themselves"),
    "consent_invited": N_("invited"),
    "consent_vouched": N_("we answer for it"),
    "consent_imported": N_("imported with evidence"),
    "consent_none": N_("none"),
    # why two entries may be one person
    "name_and_domain": N_("same name, same mail domain"),
    "name_and_partner": N_("same name, same partner"),
    "sibling_domain": N_("same address, but for a part of the domain"),
    "same_gmail": N_("same Gmail mailbox"),
    "merged": N_("merged with another entry"),
    # what is kept for a while
    "keep_raw_mail": N_("Mail that came back"),
    "keep_raw_mail_why": N_("As it came. What it told stays."),
    "keep_event_words": N_("Words of mail systems"),
    "keep_event_words_why": N_("They may quote an address. Category and status stay."),
    "keep_visits": N_("Who opened and clicked"),
    "keep_visits_why": N_("How many it were stays."),
    "keep_sign_ups": N_("Sign-ups that nobody confirmed"),
    "keep_sign_ups_why": N_("And the person, if nothing else is known of them."),
    "keep_strangers": N_("People without newsletter and partner"),
    "keep_strangers_why": N_("Whoever has left is kept, so that no import subscribes them again."),
    "keep_left_overs": N_("Traces of people who were erased"),
    "keep_left_overs_why": N_("In imports, changes and past consents."),
    "keep_import_rows": N_("Verdicts on the rows of files"),
    "keep_import_rows_why": N_("That there was an import stays."),
    "keep_changes": N_("Rows of bulk changes and merges"),
    "keep_changes_why": N_("Afterwards they cannot be taken back."),
    "keep_audit": N_("The audit log"),
    "keep_audit_why": N_("Who did what. Evidence of consent is kept apart."),
    # kinds of bulk change
    "do_language": N_("Set the language"),
    "do_country": N_("Set the country"),
    "do_zone": N_("Set the time zone"),
    "do_add_topic": N_("Add a topic to their choice"),
    "do_remove_topic": N_("Take a topic out of their choice"),
    "do_add_to_partner": N_("Put on a partner’s list"),
    "do_remove_from_partner": N_("Take off a partner’s list"),
    "do_pause": N_("Send nothing for a while"),
    "do_unsubscribe": N_("Unsubscribe"),
    "do_suppress": N_("Suppress the address"),
    "verdict_changes": N_("will change"),
    "verdict_already": N_("is so already"),
    "verdict_refused": N_("stays as it is"),
    # how a partner's people stand with it, and how its letters fared
    "standing_confirmed": N_("confirmed"),
    "standing_waiting": N_("waits for an answer"),
    "standing_paused": N_("on a break"),
    "standing_bounced": N_("letters come back"),
    "fate_arrived": N_("arrived"),
    "fate_returned": N_("came back"),
    "fate_underway": N_("on the way"),
    "fate_uncertain": N_("not known yet"),
    "request_open": N_("waiting for the secretariat"),
    "request_accepted": N_("granted"),
    "request_declined": N_("declined"),
    "request_withdrawn": N_("withdrawn by you"),
    "request_seats": N_("More seats"),
    "request_topic": N_("A new topic"),
    # kinds of partner
    "ministry": N_("Ministry"),
    "un": N_("UN body"),
    "ngo": N_("NGO"),
    "company": N_("Company"),
    "think_tank": N_("Think tank"),
    "other": N_("Other"),
    # roles
    "admin": N_("Administrator"),
    "editor": N_("Editor"),
    "approver": N_("Approver"),
    "sender": N_("Sender"),
    "viewer": N_("Viewer"),
    "partner": N_("Partner manager"),
    # by which door somebody signed in
    "by_password": N_("with the password"),
    "by_link": N_("by a link"),
    "by_provider": N_("through the organisation"),
    # what became of a letter, and what came back
    "waiting": N_("waiting"),
    "accepted": N_("accepted"),
    "deferred": N_("deferred"),
    "rejected": N_("rejected"),
    "uncertain": N_("uncertain"),
    "withdrawn": N_("withdrawn"),
    "excluded": N_("no letter"),
    "bounce": N_("came back"),
    "delay": N_("was delayed"),
    "open": N_("opened"),
    "click": N_("clicked"),
    "leave": N_("left"),
}


_FIGURES = {
    "candidates": N_("Candidates"),
    "exclusions": N_("Excluded"),
    "deliveries": N_("Letters"),
    "waiting": N_("Waiting"),
    "accepted": N_("Accepted"),
    "deferred": N_("Deferred"),
    "rejected": N_("Rejected"),
    "uncertain": N_("Uncertain"),
    "withdrawn": N_("Withdrawn"),
    "bounced": N_("Bounced"),
    "delayed": N_("Delayed"),
    "complaints": N_("Complaints"),
    "left": N_("Left"),
    "opened": N_("Opened"),
    "clicked": N_("Clicked"),
    "suppressed": N_("Suppressed"),
}


_DESTINATIONS = {
    "": N_("All other destinations"),
    "139": N_("139 Mail"),
    "189": N_("189 Mail"),
    "263": N_("263 Mail"),
    "alimail": N_("Alibaba Mail"),
    "exmail": N_("Tencent Exmail"),
    "gmail": N_("Gmail"),
    "icloud": N_("iCloud"),
    "mailru": N_("Mail.ru"),
    "netease": N_("NetEase Mail"),
    "outlook": N_("Outlook"),
    "qq": N_("QQ Mail"),
    "sina": N_("Sina Mail"),
    "sohu": N_("Sohu Mail"),
    "yahoo": N_("Yahoo"),
    "yahoo_japan": N_("Yahoo! Japan"),
    "yandex": N_("Yandex"),
}


# what email-validator says of the commonest slips; ``address.BadAddress`` quotes it
LIBRARIES = (
    "An email address must have an @-sign.",
    "There must be something before the @-sign.",
    "There must be something after the @-sign.",
    "There can't be anything after the email address.",
    "An email address cannot have two periods in a row.",
    "An email address cannot start with a period.",
    "An email address cannot end with a period.",
    "An email address cannot have a period immediately before the @-sign.",
    "An email address cannot have a period immediately after the @-sign.",
    "The part after the @-sign is not valid. It should have a period.",
    "The email address contains invalid characters before the @-sign: {signs}.",
    "The part after the @-sign contains invalid characters: {signs}.",
    "The email address contains unsafe characters: {signs}.",
    "A display name and angle brackets around the email address are not permitted here.",
)


def word(code: str) -> str:
    """Return what people say for a code, in the request's language; a code without words is itself."""
    return translate(_WORDS[code]) if code in _WORDS else code


def figure_word(name: str) -> str:
    """Return what people call a figure of a report."""
    return translate(_FIGURES[name]) if name in _FIGURES else name


def destination(lane: str) -> str:
    """Return what people call a lane: a provider by its name, a domain as it is."""
    return translate(_DESTINATIONS[lane]) if lane in _DESTINATIONS else lane
