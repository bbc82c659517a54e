"""What the providers outside China document of their replies. See ``rules`` for how a row is read."""

from __future__ import annotations

_GMAIL = "https://support.google.com/a/answer/3726730 (Gmail SMTP errors and codes)"
_EXCHANGE = (
    "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/"
    "non-delivery-reports-in-exchange-online"
)
_OUTLOOK = "https://sendersupport.olc.protection.outlook.com/pm/troubleshooting"
_YAHOO = "https://senders.yahooinc.com/smtp-error-codes/"
_APPLE = "https://smtp.codes/icloud (collected; Apple's own page is https://support.apple.com/102322)"
_YANDEX = "https://yandex.com/support/mail/bounces/yandex.html"
_MAILRU = "https://mailout.ru/2015/09 (collected replies of Mail.ru)"
_GMX = "https://postmaster.gmx.net/en/error-messages"
_DOCOMO = "https://www.docomo.ne.jp/service/imode_mail"
_AU = "https://www.au.com/support/service/mobile/trouble/mail/email/errormail/"
_GROUPS = "https://support.google.com/groups/answer/1075816"
_LAPOSTE = "https://bentonow.com/smtp-errors/laposte (codes LPNxxx_xxx)"
_COX = "https://www.cox.com/residential/support/email-error-codes.html"
_MESSAGELABS = "https://knowledge.broadcom.com/external/article/170763"
_MIMECAST = "https://mimecastsupport.zendesk.com/hc/en-us/articles/34000709564691"

TABLES: tuple[tuple[str, str, str], ...] = (
    (
        "gmail",
        _GMAIL,
        """
rate | receiving mail at a rate
rate | receiving mail too quickly
rate | relay limit exceeded
rate | relay sending limit exceeded
rate | sending limit exceeded
rate | sending quota exceeded
bad_mailbox | does not exist
bad_mailbox | no such user
inactive | is disabled
inactive | reach is inactive
policy | not in whitelist for rcpt domain
policy | tls required for rcpt domain
technical | connection expired
technical | temporarily rejected … message
technical | smtp protocol violation
technical | domain policy size per transaction
reputation | reputation of the sending
reputation | ip you're using to send mail is not authorized
reputation | ptr record
policy | ?.7.26 | …
policy | ?.7.27 | …
policy | ?.7.29 | …
policy | ?.7.3? | …
policy | ?.7.40 | …
reputation | ?.7.23 | …
reputation | ?.7.25 | …
rate | unusual rate of
content | likely unsolicited
content | likely suspicious
content | nature of the content
content | potential security issue
content | illegal attachment
policy | has a policy that prohibited
rate | ?.7.28 | …
""",
    ),
    (
        "outlook",
        _EXCHANGE,
        """
bad_mailbox | resolver.adr
bad_mailbox | recipientnotfound
bad_mailbox | 5.1.10 | …
bad_mailbox | 5.1.351 | …
bad_mailbox | 5.4.1 | recipient address rejected: access denied
bad_mailbox | 5.7.504 | …  # "the recipient address isn't valid"
bad_mailbox | 5.7.505 | …  # the same is said of a banned recipient
reputation | 5.1.8 | …  # the sending account was blocked for spam
rate | 5.1.90 | …
rate | 5.2.2 | submission quota exceeded
rate | 5.2.12[0-9] | …  # letters an hour to this recipient
technical | 5.3.190 | …
bad_domain | 5.4.310 | …
policy | 5.7.515 | …
policy | 5.7.506 | …
policy | 5.7.507 | …
policy | 5.7.509 | …
policy | 5.7.510 | …
policy | 5.7.512 | …
policy | 5.7.750 | …
rate | 5.7.508 | …
reputation | 5.7.50[1-3] | …  # spam abuse detected, banned sender
reputation | 5.7.51[13] | …
rate | ?.7.652 | …  # connections
reputation | ?.7.6[0-5]? | …  # 5.7.606–649: banned sending IP; 4.7.650: low reputation
reputation | ?.7.8[5-9]? | …  # "suspicious activity has been detected"
rate | ?.7.700 | …
rate | ?.7.705 | …
reputation | ?.7.708 | …
rate | 4.7.5?? | …  # server busy
rate | recipient thread limit
rate | queue quota exceeded
""",
    ),
    (
        "outlook",
        _OUTLOOK,
        """
rate | rp-00
reputation | sc-00
reputation | dy-00
reputation | ou-00
bad_mailbox | requested action not taken: mailbox unavailable
""",
    ),
    (
        "yahoo",
        _YAHOO,
        """
reputation | [ts0
reputation | [tss
reputation | [bl
rate | [gl
content | [ph0
rate | [rl
inactive | disabled or discontinued
inactive | mailbox is disabled
mailbox_full | account is over quota
bad_mailbox | mailbox not found
bad_mailbox | user doesn't have a
bad_mailbox | is no longer valid
policy | unresolvable rfc.5321
policy | not accepted for policy reasons
rate | per connection reached
""",
    ),
    (
        "icloud",
        _APPLE,
        """
policy | failing both spf and dkim
policy | due to local policy
policy | [cs0
policy | [hme
reputation | [hm
reputation | [hc
rate | too many errors
rate | excessive volume
inactive | inactive email address
bad_mailbox | no longer on server
bad_mailbox | unknown or illegal alias
reputation | 5.* | not accepting connections
reputation | esmtp not accepting connections
""",
    ),
    (
        "yandex",
        _YANDEX,
        """
bad_mailbox | no such user
bad_mailbox | no correct recipients
bad_mailbox | need fully-qualified address
policy | on the target address
rate | exceeded … message rate limit
technical | service is currently unavailable
reputation | blocked by spam statistics
content | under suspicion of spam
policy | send auth command first
""",
    ),
    (
        "mailru",
        _MAILRU,
        """
inactive | user is terminated
inactive | unavailable: account is
policy | message sending for this account is disabled
inactive | account is disabled
bad_mailbox | invalid mailbox
bad_mailbox | user not found
content | notspam-support
content | spam message rejected
rate | ratelimit exceeded
reputation | dynamic
reputation | address blocked
policy | only with ssl
""",
    ),
    (
        "gmx",
        _GMX,
        """
reputation | bad dns ptr
reputation | nemesis esmtp service not available
reputation | no smtp service
""",
    ),
    (
        "laposte",
        _LAPOSTE,
        """
policy | lpn007_405
policy | lpn007_517
bad_mailbox | adresse destinataire invalide
reputation | service refus
""",
    ),
    (
        "cox",
        _COX,
        """
reputation | cdrbl
rate | cxsnd
""",
    ),
    ("mimecast", _MIMECAST, "policy | internal resource temporarily unavailable"),  # its greylisting
    ("messagelabs", _MESSAGELABS, "bad_mailbox | no such user"),
    # a group that is absent and one that hides from strangers answer alike
    ("googlegroups", _GROUPS, "policy | …"),
    (
        "au",
        _AU,
        """
policy | ^: user unknown  # KDDI au names the address it does not know; without the name its filter speaks
bad_mailbox | >: user unknown
""",
    ),
    # NTT docomo answers a refused sender as if the person were unknown; nothing about the address is certain
    ("docomo", _DOCOMO, "policy | unknown user"),
)

SELF_EVIDENT: tuple[tuple[str, str, str], ...] = (
    (
        "outlook",
        _EXCHANGE,
        """
bad_mailbox | resolver.adr
bad_mailbox | 5.4.1 | recipient address rejected: access denied
reputation | banned sending ip
rate | submission quota exceeded
rate | recipient thread limit
""",
    ),
    ("yahoo", _YAHOO, "bad_mailbox | delivery error: dd this user doesn't have a"),
    ("gmx", _GMX, "reputation | nemesis esmtp"),
    ("icloud", _APPLE, "reputation | me.com esmtp not accepting connections"),
    ("mimecast", _MIMECAST, "policy | host network not allowed - https://community.mimecast"),  # by country
)
