"""Who answers behind an MX, and what each provider documents of its own replies.

A rule is a row: provider, words (lower case; " … " allows a gap, "^" is the start), status, category, source.
The first row that fits wins, so the narrower stands before the wider. The last label of a name decides
nothing: providers are known by the domain their MX hosts live in.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from mailer.diagnosis.phrases import Phrase, pieces, says
from mailer.diagnosis.verdict import Category

_C = Category

MX_DOMAINS: dict[str, str] = {
    "qq.com": "qq",
    "foxmail.com": "qq",
    "exmail.qq.com": "exmail",
    "netease.com": "netease",
    "mxmail.netease.com": "netease",
    "163.com": "netease",
    "126.com": "netease",
    "126.net": "netease",
    "yeah.net": "netease",
    "qiye163.com": "netease",
    "ym.163.com": "netease",
    "mxhichina.com": "alimail",
    "aliyun.com": "alimail",
    "aliyun-inc.com": "alimail",
    "alibaba-inc.com": "alimail",
    "sina.com": "sina",
    "sina.com.cn": "sina",
    "sina.cn": "sina",
    "sinanet.com": "sina",
    "icoremail.net": "coremail",
    "coremail.cn": "coremail",
    "263.net": "263",
    "263xmail.com": "263",
    "sohu.com": "sohu",
    "139.com": "139",
    "189.cn": "189",
    "google.com": "gmail",
    "googlemail.com": "gmail",
    "gmail.com": "gmail",
    "outlook.com": "outlook",
    "hotmail.com": "outlook",
    "live.com": "outlook",
    "msn.com": "outlook",
    "office365.us": "outlook",
    "partner.outlook.cn": "outlook",
    "mx.microsoft": "outlook",
    "yahoo.com": "yahoo",
    "yahoodns.net": "yahoo",
    "ymail.com": "yahoo",
    "rocketmail.com": "yahoo",
    "aol.com": "yahoo",
    "yahoo.co.jp": "yahoo_japan",
    "icloud.com": "icloud",
    "apple.com": "icloud",
    "me.com": "icloud",
    "mac.com": "icloud",
    "yandex.ru": "yandex",
    "yandex.net": "yandex",
    "yandex.com": "yandex",
    "mail.ru": "mailru",
    "gmx.net": "gmx",
    "gmx.com": "gmx",
    "web.de": "gmx",
    "mail.com": "gmx",
    "kundenserver.de": "gmx",
    "zoho.com": "zoho",
    "zoho.eu": "zoho",
    "docomo.ne.jp": "docomo",
    "ezweb.ne.jp": "au",
    "au.com": "au",
    "dion.ne.jp": "au",
    "googlegroups.com": "googlegroups",
    "cloudfilter.net": "cox",
    "cox.net": "cox",
    "mimecast.com": "mimecast",
    "messagelabs.com": "messagelabs",
    "pphosted.com": "proofpoint",
    "comcast.net": "comcast",
    "orange.fr": "orange",
    "wanadoo.fr": "orange",
    "laposte.net": "laposte",
    "naver.com": "naver",
}
"""Domain of the MX host (or of the mailbox) -> provider. The longest matching suffix wins."""

_OTHER_NAMES = {  # hosts whose first label tells two services of one domain apart
    "mxbiz1.qq.com": "exmail",
    "mxbiz2.qq.com": "exmail",
    "hwmxbiz1.qq.com": "exmail",
    "hwmxbiz2.qq.com": "exmail",
    "mxcn1.qq.com": "exmail",
}


class Rule(NamedTuple):
    """``phrase`` "" asks for no words, ``status`` "" for no status; with neither, all words mean the same."""

    provider: str
    phrase: str
    status: str  # "5.7.606", or the head of one: "?.7.28" fits 4.7.28 and 5.7.28
    category: Category
    source: str  # where the provider documents it


_QQ = "https://service.mail.qq.com/cgi-bin/help?subtype=1&id=20022 (the replies link to it)"
_NETEASE = "https://mail.163.com/help/help_spam_16.htm (退信代码说明)"
_COREMAIL = "https://www.icoremail.vip/support/index.php?cate_id=84 (退信)"
_ALIMAIL = "https://help.aliyun.com/document_detail/36612.html (阿里邮箱退信报错)"
_SINA = "https://help.mail.sina.com.cn (退信问题)"
_GMAIL = "https://support.google.com/a/answer/3726730 (SMTP error reference)"
_EXCHANGE = (
    "https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online"
)
_OUTLOOK = "https://sendersupport.olc.protection.outlook.com/pm/troubleshooting"
_YAHOO = "https://senders.yahooinc.com/smtp-error-codes/"
_APPLE = "https://support.apple.com/102322"
_YANDEX = "https://yandex.com/support/mail/web/letter/undelivered-message.html"
_MAILRU = "https://help.mail.ru/developers/mailing_rules/technical"
_GMX = "https://postmaster.gmx.net/en/error-messages"
_DOCOMO = "https://www.docomo.ne.jp/service/imode_mail"
_AU = "https://www.au.com/support/service/mobile/trouble/mail/email/errormail/"
_GROUPS = "https://support.google.com/groups/answer/1075816"
_LAPOSTE = "https://bentonow.com/smtp-errors/laposte (codes LPNxxx_xxx)"
_COX = "https://www.cox.com/residential/support/email-error-codes.html"
_MESSAGELABS = "https://knowledge.broadcom.com/external/article/170763"

_COREMAIL_CODES: tuple[tuple[str, Category], ...] = (
    # NetEase runs Coremail, and Coremail's customers answer with the same letters
    ("hl:rep", _C.REPUTATION),  # many recipients who do not exist
    ("hl:icc", _C.RATE),  # concurrent connections
    ("hl:ifc", _C.RATE),  # many letters in a short time
    ("hl:mep", _C.REPUTATION),  # forged sender domains seen from this address
    ("hl:ihu", _C.REPUTATION),  # suspended for spam or odd connections
    ("hl:ipb", _C.REPUTATION),  # not among the addresses allowed to send
    ("hl:itc", _C.RATE),  # connections today
    ("mi:cel", _C.RATE),  # too many wrong commands
    ("mi:ccl", _C.RATE),
    ("mi:dmc", _C.RATE),  # letters on this connection
    ("mi:sfq", _C.RATE),  # letters of this sender in 15 minutes
    ("mi:stc", _C.RATE),  # letters of this sender today
    ("mi:nhd", _C.POLICY),  # empty HELO
    ("mi:imf", _C.POLICY),  # malformed sender
    ("mi:spf", _C.POLICY),
    ("mi:dma", _C.POLICY),  # DMARC
    ("mi:spb", _C.POLICY),  # sender not among those allowed
    ("rp:cel", _C.RATE),
    ("rp:ccl", _C.RATE),
    ("rp:drc", _C.RATE),  # recipients on this connection
    ("rp:qrc", _C.RATE),  # recipients in a short time
    ("rp:trc", _C.RATE),  # recipients today
    ("rp:rcl", _C.RATE),  # recipients of one letter
    ("rp:frl", _C.POLICY),  # no open relay
    ("dt:rbl", _C.REPUTATION),
    ("dt:sum", _C.POLICY),  # envelope and header sender differ
    ("dt:spm", _C.CONTENT),
    ("wm:bli", _C.REPUTATION),
    ("wm:blu", _C.POLICY),
    ("rc:ne", _C.BAD_MAILBOX),
    ("rc:ld", _C.BAD_MAILBOX),
    ("rc:fu", _C.MAILBOX_FULL),
    ("rc:su", _C.INACTIVE),
    ("rc:dl", _C.BAD_MAILBOX),
)

RULES: tuple[Rule, ...] = (
    # Tencent QQ Mail and Exmail
    Rule("qq", "mailbox unavailable or access denied", "", _C.RATE, _QQ),
    Rule("qq", "mailbox not found", "", _C.BAD_MAILBOX, _QQ),
    Rule("qq", "frequency limited", "", _C.RATE, _QQ),
    Rule("qq", "suspected bounce attack", "", _C.RATE, _QQ),
    Rule("qq", "connection denied", "", _C.REPUTATION, _QQ),
    Rule("qq", "connection refused", "", _C.REPUTATION, _QQ),
    Rule("qq", "suspected spam", "", _C.CONTENT, _QQ),
    Rule("qq", "mail content denied", "", _C.CONTENT, _QQ),
    Rule("qq", "content rejected", "", _C.CONTENT, _QQ),
    Rule("qq", "mail is rejected by recipients", "", _C.POLICY, _QQ),
    Rule("qq", "mailbox space … full", "", _C.MAILBOX_FULL, _QQ),
    # NetEase 163, 126, yeah, qiye
    *(Rule("netease", code, "", category, _NETEASE) for code, category in _COREMAIL_CODES),
    Rule("netease", "user in blacklist", "", _C.REPUTATION, _NETEASE),
    Rule("netease", "ip in blacklist", "", _C.REPUTATION, _NETEASE),
    Rule("netease", "user suspended", "", _C.INACTIVE, _NETEASE),
    Rule("netease", "user locked", "", _C.INACTIVE, _NETEASE),
    Rule("netease", "user not found", "", _C.BAD_MAILBOX, _NETEASE),
    Rule("netease", "invalid user", "", _C.BAD_MAILBOX, _NETEASE),
    Rule("netease", "auth error limit exceed", "", _C.POLICY, _NETEASE),
    Rule("netease", "ip is rejected", "", _C.REPUTATION, _COREMAIL),
    Rule("netease", "ip is hangup", "", _C.REPUTATION, _COREMAIL),
    Rule("netease", "invalid ip", "", _C.REPUTATION, _COREMAIL),
    Rule("netease", "fake sender", "", _C.POLICY, _COREMAIL),
    Rule("netease", "user hangup", "", _C.INACTIVE, _COREMAIL),
    Rule("netease", "too much recipient", "", _C.RATE, _NETEASE),
    Rule("netease", "too much fail authentication", "", _C.POLICY, _NETEASE),
    Rule("netease", "local user only", "", _C.POLICY, _NETEASE),
    Rule("netease", "null sender is not allowed", "", _C.POLICY, _NETEASE),
    Rule("netease", "must equal authorized user", "", _C.POLICY, _NETEASE),
    Rule("netease", "no smtp mx only", "", _C.POLICY, _NETEASE),
    Rule("netease", "authentication is required", "", _C.POLICY, _NETEASE),
    # Alibaba Mail
    Rule("alimail", '"rcpt to" mailbox unavailable', "", _C.BAD_MAILBOX, _ALIMAIL),
    Rule("alimail", '"mail from" mailbox unavailable', "", _C.POLICY, _ALIMAIL),
    Rule("alimail", "attempts is achieved the maximum", "", _C.RATE, _ALIMAIL),
    Rule("alimail", "rcpts is achieved the maximum", "", _C.RATE, _ALIMAIL),
    Rule("alimail", "mailfrom account is a local account", "", _C.POLICY, _ALIMAIL),
    Rule("alimail", "rcptto account isn't a local account", "", _C.BAD_MAILBOX, _ALIMAIL),
    Rule("alimail", "spamed by local spam engine", "", _C.CONTENT, _ALIMAIL),
    Rule("alimail", "length of data content", "", _C.CONTENT, _ALIMAIL),
    Rule("alimail", "length of attach", "", _C.CONTENT, _ALIMAIL),
    Rule("alimail", "number of attachments", "", _C.CONTENT, _ALIMAIL),
    Rule("alimail", "list on rbl sites", "", _C.REPUTATION, _ALIMAIL),
    Rule("alimail", "transient reject by behaviour spam", "", _C.RATE, _ALIMAIL),
    Rule("alimail", "behaviour spam", "", _C.REPUTATION, _ALIMAIL),
    Rule("alimail", "content spam", "", _C.CONTENT, _ALIMAIL),
    Rule("alimail", "isn't allowed to send", "", _C.POLICY, _ALIMAIL),
    # Sina
    Rule("sina", "out of allow rcpt numbers", "", _C.RATE, _SINA),
    Rule("sina", "rejected by anti-spam engine", "", _C.CONTENT, _SINA),
    Rule("sina", "user unavailable", "", _C.BAD_MAILBOX, _SINA),
    # Gmail and Google Workspace
    Rule("gmail", "receiving mail at a rate", "", _C.RATE, _GMAIL),
    Rule("gmail", "receiving mail too quickly", "", _C.RATE, _GMAIL),
    Rule("gmail", "does not exist", "", _C.BAD_MAILBOX, _GMAIL),
    Rule("gmail", "no such user", "", _C.BAD_MAILBOX, _GMAIL),
    Rule("gmail", "is disabled", "", _C.INACTIVE, _GMAIL),
    Rule("gmail", "reputation of the sending", "", _C.REPUTATION, _GMAIL),
    Rule("gmail", "ip you're using to send mail is not authorized", "", _C.REPUTATION, _GMAIL),
    Rule("gmail", "unusual rate of unsolicited", "", _C.RATE, _GMAIL),
    Rule("gmail", "sending limit exceeded", "", _C.RATE, _GMAIL),
    Rule("gmail", "likely unsolicited", "", _C.CONTENT, _GMAIL),
    Rule("gmail", "likely suspicious", "", _C.CONTENT, _GMAIL),
    Rule("gmail", "potential security issue", "", _C.CONTENT, _GMAIL),
    Rule("gmail", "", "?.7.25", _C.REPUTATION, _GMAIL),
    Rule("gmail", "", "?.7.26", _C.POLICY, _GMAIL),
    Rule("gmail", "", "?.7.27", _C.POLICY, _GMAIL),
    Rule("gmail", "", "?.7.28", _C.RATE, _GMAIL),
    Rule("gmail", "", "?.7.29", _C.POLICY, _GMAIL),
    Rule("gmail", "", "?.7.30", _C.POLICY, _GMAIL),
    # Microsoft: Exchange Online, then outlook.com
    Rule("outlook", "resolver.adr", "", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "recipientnotfound", "", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "", "5.1.10", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "", "5.1.351", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "recipient address rejected: access denied", "5.4.1", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "", "5.7.515", _C.POLICY, _OUTLOOK),
    Rule("outlook", "", "5.7.509", _C.POLICY, _EXCHANGE),
    Rule("outlook", "", "5.7.50[1-3]", _C.REPUTATION, _EXCHANGE),  # spam abuse detected, banned sender
    Rule("outlook", "", "5.7.511", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "?.7.60?", _C.REPUTATION, _EXCHANGE),  # 5.7.606–649: banned sending IP
    Rule("outlook", "", "?.7.61?", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "?.7.62?", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "?.7.63?", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "?.7.64?", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "?.7.65?", _C.REPUTATION, _EXCHANGE),  # 4.7.650: low reputation, retry
    Rule("outlook", "", "?.7.700", _C.RATE, _EXCHANGE),
    Rule("outlook", "", "?.7.705", _C.RATE, _EXCHANGE),
    Rule("outlook", "", "?.7.708", _C.REPUTATION, _EXCHANGE),
    Rule("outlook", "", "4.7.5??", _C.RATE, _EXCHANGE),  # server busy
    Rule("outlook", "rp-00", "", _C.RATE, _OUTLOOK),
    Rule("outlook", "sc-00", "", _C.REPUTATION, _OUTLOOK),
    Rule("outlook", "dy-00", "", _C.REPUTATION, _OUTLOOK),
    Rule("outlook", "ou-00", "", _C.REPUTATION, _OUTLOOK),
    Rule("outlook", "requested action not taken: mailbox unavailable", "", _C.BAD_MAILBOX, _OUTLOOK),
    # Yahoo and AOL
    Rule("yahoo", "[ts0", "", _C.REPUTATION, _YAHOO),
    Rule("yahoo", "[tss", "", _C.REPUTATION, _YAHOO),
    Rule("yahoo", "[bl", "", _C.REPUTATION, _YAHOO),
    Rule("yahoo", "[gl", "", _C.RATE, _YAHOO),
    Rule("yahoo", "[ph0", "", _C.CONTENT, _YAHOO),
    Rule("yahoo", "[rl", "", _C.RATE, _YAHOO),
    Rule("yahoo", "disabled or discontinued", "", _C.INACTIVE, _YAHOO),
    Rule("yahoo", "mailbox not found", "", _C.BAD_MAILBOX, _YAHOO),
    Rule("yahoo", "user doesn't have a", "", _C.BAD_MAILBOX, _YAHOO),
    Rule("yahoo", "not accepted for policy reasons", "", _C.POLICY, _YAHOO),
    # Apple
    Rule("icloud", "[cs0", "", _C.CONTENT, _APPLE),
    Rule("icloud", "[hm", "", _C.REPUTATION, _APPLE),
    Rule("icloud", "[hc", "", _C.REPUTATION, _APPLE),
    Rule("icloud", "unknown or illegal alias", "", _C.BAD_MAILBOX, _APPLE),
    # Yandex, Mail.ru
    Rule("yandex", "no such user", "", _C.BAD_MAILBOX, _YANDEX),
    Rule("yandex", "on the target address", "", _C.POLICY, _YANDEX),
    Rule("yandex", "exceeded message rate limit", "", _C.RATE, _YANDEX),
    Rule("yandex", "service is currently unavailable", "", _C.TECHNICAL, _YANDEX),
    Rule("mailru", "user is terminated", "", _C.INACTIVE, _MAILRU),
    Rule("mailru", "account is disabled", "", _C.INACTIVE, _MAILRU),
    Rule("mailru", "invalid mailbox", "", _C.BAD_MAILBOX, _MAILRU),
    Rule("mailru", "notspam-support", "", _C.CONTENT, _MAILRU),
    Rule("mailru", "spam message rejected", "", _C.CONTENT, _MAILRU),
    Rule("mailru", "ratelimit exceeded", "", _C.RATE, _MAILRU),
    Rule("mailru", "message was not accepted -- address blocked", "", _C.REPUTATION, _MAILRU),
    # GMX, Web.de, 1&1
    Rule("gmx", "bad dns ptr", "", _C.REPUTATION, _GMX),
    Rule("gmx", "nemesis esmtp service not available", "", _C.REPUTATION, _GMX),
    Rule("gmx", "no smtp service", "", _C.REPUTATION, _GMX),
    Rule("icloud", "not accepting connections", "5.*", _C.REPUTATION, _APPLE),
    Rule("laposte", "lpn007_405", "", _C.POLICY, _LAPOSTE),
    Rule("laposte", "lpn007_517", "", _C.POLICY, _LAPOSTE),
    Rule("laposte", "adresse destinataire invalide", "", _C.BAD_MAILBOX, _LAPOSTE),
    Rule("laposte", "service refus", "", _C.REPUTATION, _LAPOSTE),
    Rule("cox", "cdrbl", "", _C.REPUTATION, _COX),
    Rule("cox", "cxsnd", "", _C.RATE, _COX),
    Rule("messagelabs", "no such user", "", _C.BAD_MAILBOX, _MESSAGELABS),
    # a group that is absent and one that hides from strangers answer alike
    Rule("googlegroups", "", "", _C.POLICY, _GROUPS),
    # KDDI au names the address it does not know; without the name its filter speaks
    Rule("au", "^: user unknown", "", _C.POLICY, _AU),
    Rule("au", ">: user unknown", "", _C.BAD_MAILBOX, _AU),
    # NTT docomo answers a refused sender as if the person were unknown; nothing about the address is certain
    Rule("docomo", "unknown user", "", _C.POLICY, _DOCOMO),
)

SELF_EVIDENT: tuple[Rule, ...] = (
    # words that name their author, wherever a report was written
    *(Rule("coremail", code, "", category, _NETEASE) for code, category in _COREMAIL_CODES),
    Rule("outlook", "resolver.adr", "", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "recipient address rejected: access denied", "5.4.1", _C.BAD_MAILBOX, _EXCHANGE),
    Rule("outlook", "banned sending ip", "", _C.REPUTATION, _EXCHANGE),
    Rule("yahoo", "delivery error: dd this user doesn't have a", "", _C.BAD_MAILBOX, _YAHOO),
    Rule("gmx", "nemesis esmtp", "", _C.REPUTATION, _GMX),
)

_SHARED_TABLES = {"exmail": "qq", "coremail": "netease", "263": "netease", "yahoo_japan": "yahoo"}


def provider_of(mx_or_domain: str) -> str | None:
    """Name who answers for an MX host or mail domain; None when it is nobody in the table.

    >>> provider_of("hotmail-com.olc.protection.outlook.com")
    'outlook'
    """
    name = mx_or_domain.strip().rstrip(".").lower().rpartition("@")[2]
    if special := _OTHER_NAMES.get(name):
        return special
    while name:
        if provider := MX_DOMAINS.get(name):
            return provider
        name = name.partition(".")[2]
    return None


@cache
def providers() -> tuple[str, ...]:
    """Return the names ``provider_of`` can give, in alphabetical order."""
    return tuple(sorted({*MX_DOMAINS.values(), *_OTHER_NAMES.values()}))


def rule_for(provider: str, status: str, words: str) -> Rule | None:
    """Return the provider's first rule that fits these words (lower case), or None."""
    for rule, phrase in _table(_SHARED_TABLES.get(provider, provider)):
        if _fits_status(rule.status, status) and says(words, phrase):
            return rule
    return None


def self_evident_rule(status: str, words: str) -> Rule | None:
    """Return the rule of words that tell who wrote them ("DT:SPM" is Coremail's), or None."""
    for rule, phrase in _SELF_EVIDENT:
        if _fits_status(rule.status, status) and says(words, phrase):
            return rule
    return None


def _fits_status(wanted: str, status: str) -> bool:
    return not wanted or fnmatchcase(status, wanted)


@cache
def _table(provider: str) -> tuple[tuple[Rule, Phrase], ...]:
    return tuple((rule, pieces(rule.phrase)) for rule in RULES if rule.provider == provider)


_SELF_EVIDENT = tuple((rule, pieces(rule.phrase)) for rule in SELF_EVIDENT)
