"""By what signs a mail is known: who sends it, how its headers mark it, what its subject and words say."""

from __future__ import annotations

import re

from mailer.feedback import mime, prose
from mailer.feedback.mime import Headers

_DAEMON = re.compile(
    r"mailer-?daemon|postmaster|mail[ ._-]?delivery|delivery[ ._-]?(?:system|subsystem|agent|status)|mdaemon"
    r"|mail[ ._-]?admin|mail[ ._-]?system|mail[ ._-]?service|system[ ._-]administrator|mail[ ._-]?router"
    r"|internet mail|mailsweeper|^\s*<>\s*$"
    # what may also be in the name of an institute stands in a system's own part of the address
    r"|(?<![\w.-])[\w.-]*(?:anti-?virus|virus(?:wall|scan|check)|smtp|gateway|imss)[\w.-]*@|(?<![\w.-])virus@",
    re.IGNORECASE,
)
_NO_RETURN = re.compile(r"^\s*<?(?:mailer-daemon(?:@[^>]*)?)?>?\s*$", re.IGNORECASE)
_FAILURE_SUBJECTS = (
    "failure notice", "delivery failure", "failure delivery", "delivery failed", "delivery has failed",
    "failed delivery", "undeliver", "un-deliver", "non-deliver", "nondeliver", "not deliver",
    "not be deliver", "returned mail", "mail return", "returned to sender", "returning message",
    "return to sender", "delivery status", "delivery notification", "delivery report", "delivery error",
    "delivery problem", "error during delivery", "error sending your mail", "mail error",
    "mail system error", "processing error", "message status", "rejected mail", "mail rejected",
    "message rejected", "failure report", "user unknown", "could not send", "couldn't be sent",
    "unable to deliver", "can't deliver", "bounce", "non remis", "échec", "unzustellbar",
    "nicht zustellbar", "zustellung", "no entreg", "fallo", "falha", "mancata consegna", "mail failure",
    "not member", "退信", "投递失败", "无法投递", "投递状态", "退回", "未能送达", "配信不能", "配送不能",
    "送信できません", "не доставлено", "недоставлен", "nie dostarczono", "rejet", "delivery warning",
    "mail delivery", "automatically rejected",
)  # fmt: skip
_FAILURE_WORDS = (
    "not be delivered", "n't be delivered", "cannot be delivered", "not delivered", "unable to deliver",
    "able to deliver", "undeliverable", "not been delivered", "did not reach", "not reach the following",
    "delivery has failed", "delivery failed", "delivery to the following", "failed to deliver",
    "failed permanently", "recipients failed", "address(es) failed", "following addresses failed",
    "following address failed", "permanent error", "fatal error", "permanent fatal", "delivery errors",
    "transcript of session", "session transcript", "failed recipients", "rejected recipient",
    "mail has been returned", "message has been returned", "did not receive", "encountered an error",
    "trouble delivering", "problems delivering", "delivery problem", "failed to send", "could not be sent",
    "couldn't be sent", "could not send", "not sent to", "has been rejected", "was rejected",
    "was automatically rejected", "been blocked", "unable to send", "failed addresses", "failure reasons",
    "invalid final delivery",
    "message not delivered", "error was detected while processing", "following errors", "cannot deliver",
    "can not be delivered", "can't be delivered", "has been reject", "user unknown", "unknown user",
    "no such user", "returned unopened", "incorrectly constructed", "not a member of this",
    "are not member", "unbekannt", "nicht zugestellt", "nicht ausgeliefert", "n'a pas pu", "pas été remis",
    "no pudo ser entregado", "no se pudo entregar", "não foi possível entregar", "non è stato possibile",
    "niet worden bezorgd", "无法投递", "投递失败", "退信", "无法送达", "未能送达", "无法发送", "被退回",
    "配信できません", "配送できません", "送信できません", "届けることができません",
    "не может быть доставлено", "не удалось доставить",
)  # fmt: skip
_DELAY_WORDS = (
    "has been delayed", "delivery is delayed", "delivery delayed", "not yet been delivered",
    "delivery attempts will continue", "will continue to be made", "will be retried", "will keep trying",
    "will continue trying", "will try again", "continue to try", "still trying", "warning message only",
    "has not been delivered yet", "delivery will be attempted", "temporarily unable to deliver",
    "no action is required on your part", "do not need to resend", "需要重试", "继续尝试", "继续为您投递",
    "投递延迟",
)  # fmt: skip
_DELAY_SUBJECTS = (
    "delayed", "(delay)", "warning: message", "warning: could not send", "delivery delay", "延迟", "延误",
)  # fmt: skip
_GIVEN_UP = (
    "permanent error", "given up", "giving up", "failed permanently", "permanent fatal",
    "will not be retried", "could not be delivered for", "unable to deliver", "returned to you because",
    "not going to try again",
)  # fmt: skip
_CHALLENGES = (
    "allowed list", "guest list", "click on the following link to have", "confirm that you are a human",
    "prove that you are", "verify that you are a", "challenge-response", "challenge response",
    "to be added to my", "add your address to", "waiting for your confirmation before",
    "sender verification", "email is protected by", "account is protected by", "one-time confirmation",
    "spamarrest", "approved senders", "not a robot", "are a real person", "whitelist", "白名单",
)  # fmt: skip
_YOUR_LETTER = (
    "your message", "your email", "your e-mail", "your mail", "your letter", "message you sent",
    "your address", "您的邮件", "来信",
)  # fmt: skip
_TO_DO = ("click", "link", "reply to this", "replying to this", "visit", "http", "点击", "回复")
_AUTO_SUBJECTS = re.compile(
    r"^\W*(?:(?:re|aw|sv|antw|odp|回复|答复)\s*[:：]\s*)?\W*(?:out[ -]of[ -](?:the[ -])?office"
    r"|auto(?:matic)?[ -]?(?:reply|response|responder|answer)?\s*[:：]|auto-?repl(?:y|ies)\b|automatic reply"
    r"|auto-?respon[sd]|autosvar|autovastaus|automated (?:reply|response)"
    r"|(?:on )?vacation(?: (?:reply|notice|notification|message|auto\w*)|\s*[:：])"
    r"|away from (?:the|my) (?:office|desk|e-?mail|mail|computer)"
    r"|abwesenheit(?:s(?:notiz|meldung|assi)|\s*[:：])"
    r"|automatische antwort|r[ée]ponse automatique|(?:(?:message|notification|avis) d')?absence\s*[:：]"
    r"|absence du bureau|respuesta autom|resposta autom|risposta autom|automatyczna odpowied|nieobecno"
    r"|automatisch antwoord|afwezig(?:heid|:)|fr[åa]nvaro|автоответ"
    r"|自动回复|自動回覆|自動回復|自動返信|自動応答"
    r"|不在(?:通知|のお知らせ|届|连絡|です))"
    r"|\b(?:is|am) (?:currently )?out of (?:the )?office\b",
    re.IGNORECASE,
)
_AUTO_FIELDS = (
    "x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-mail-autoreply",
    "x-autogenerated", "x-autoreply-from", "x-amazon-auto-reply",
)  # fmt: skip
_AUTO_VALUES = (
    ("precedence", "auto"), ("x-precedence", "auto"), ("preference", "auto"), ("delivered-to", "autoresp"),
    ("x-apple-action", "vacation"), ("auto-submitted", "auto-replied"),
)  # fmt: skip
_FORWARD = re.compile(r"^\W*(?:fwd?|wg|tr|rv|enc|doorst|转发|轉寄|転送)\s*[:：]")
_ANSWER = re.compile(r"^\W*(?:re|aw|sv|vs|antw|odp|回复|回覆|答复|答覆)(?:\[\d+\])?\s*[:：]")


class Mail:
    """The headers and the notice of a mail, in the forms the signs are looked for.

    ``subject`` is decoded, lower case, with single spaces. ``from_daemon``: a mail system's name stands
    under it. ``returns``: it carries a letter, attached or quoted below its own words.
    """

    __slots__ = ("_notice", "_words", "from_daemon", "headers", "returns", "subject")

    def __init__(self, headers: Headers, notice: str, *, returns: bool = False) -> None:
        self.headers, self._notice, self._words, self.returns = headers, notice, "", returns
        self.subject = " ".join(mime.decode_words(headers.get("subject")[:2_000]).lower().split())
        self.from_daemon = bool(_DAEMON.search((headers.get("from") or headers.get("sender"))[:500]))

    @property
    def words(self) -> str:
        """The first 6,000 characters of the notice, lower case, single spaces."""
        if not self._words:
            self._words = " ".join(self._notice[:6_000].lower().replace("’", "'").split())
        return self._words

    @property
    def from_system(self) -> bool:
        """Whether a machine sends it; vacation programs too leave the return path empty (RFC 3834 §3.3)."""
        return (
            self.from_daemon
            or ("return-path" in self.headers and bool(_NO_RETURN.match(self.headers.get("return-path"))))
            or self.headers.get("content-type")[:16].lower() == "multipart/report"
            or "x-failed-recipients" in self.headers
        )

    @property
    def is_forward(self) -> bool:
        """Whether a person passes something on."""
        return bool(_FORWARD.match(self.subject)) and not self.from_system

    @property
    def is_answer(self) -> bool:
        """Whether a person answers: what it quotes, be it a bounce, is not its own news."""
        return bool(_ANSWER.match(self.subject)) and not self.from_system


def is_failure(mail: Mail) -> bool:
    """A system need say it once, in its subject or its words; people also write about mail that failed.

    So a sender who is no system must say it twice and bring the letter, as systems do, or forward the news.
    """
    if mail.from_system:
        return _any(_FAILURE_SUBJECTS, mail.subject) or _any(_FAILURE_WORDS, mail.words)
    brought = mail.returns or mail.is_forward or prose.is_closed_list(mail.words)
    return (
        brought
        and not mail.is_answer
        and _any(_FAILURE_SUBJECTS, mail.subject)
        and _any(_FAILURE_WORDS, mail.words)
    )


def is_delay(mail: Mail) -> bool:
    """A system says that it has not given up."""
    if not mail.from_system and (mail.is_answer or not mail.returns):
        return False
    told = _any(_DELAY_SUBJECTS, mail.subject)
    if not (mail.from_system or told or _any(_FAILURE_SUBJECTS, mail.subject)):
        return False
    return (told or _any(_DELAY_WORDS, mail.words)) and not _any(_GIVEN_UP, mail.words)


def is_challenge(mail: Mail) -> bool:
    """A filter asks us to prove something before it shows the letter; a mail system never does."""
    if mail.from_daemon or "list-unsubscribe" in mail.headers or _any(_FAILURE_SUBJECTS, mail.subject):
        return False
    return all(_any(phrases, mail.words) for phrases in (_CHALLENGES, _YOUR_LETTER, _TO_DO))


def is_auto_reply(mail: Mail) -> bool:
    """RFC 3834 §5, its elders, and subjects.

    Systems mark bounces with the same headers: a subject about failure is one's own, unless it answers ours.
    """
    headers = mail.headers
    if mail.from_daemon or "x-failed-recipients" in headers:
        return False
    if _AUTO_SUBJECTS.search(mail.subject):
        return True
    if _any(_FAILURE_SUBJECTS, mail.subject) and not _ANSWER.match(mail.subject):
        return False
    return any(headers.get(name)[:40].lower().startswith(value) for name, value in _AUTO_VALUES) or any(
        headers.get(name)[:40].lower() not in ("", "no") for name in _AUTO_FIELDS
    )


def own_addresses(headers: Headers) -> frozenset[str]:
    """Return, in lower case, the parties of the notice itself: they wrote or received it."""
    own: set[str] = set()
    for name in ("from", "to", "delivered-to", "x-original-to", "return-path", "sender", "reply-to"):
        for value in headers.all(name)[:5]:
            own.update(found[0].lower() for found in prose.ADDRESS.finditer(value[:2_000]))
    return frozenset(own)


def _any(phrases: tuple[str, ...], words: str) -> bool:
    return any(phrase in words for phrase in phrases)
