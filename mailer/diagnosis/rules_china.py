"""What the providers of China document of their replies. See ``rules`` for how a row is read."""

from __future__ import annotations

_QQ = "https://service.mail.qq.com/detail/122 (the replies link to its pages)"
_EXMAIL = "http://www.exchangecn.com/exchange2003/20130310_421.html (腾讯企业邮箱退信代码)"
_NETEASE = "https://mail.163.com/help/help_spam_16.htm (退信代码说明)"
_COREMAIL = "https://www.icoremail.vip/support/index.php?cate_id=84 (退信)"
_ALIMAIL = "https://help.aliyun.com/document_detail/36612.html (阿里邮箱退信报错)"
_SINA = "https://blog.sina.com.cn/s/blog_8dc13ec50101fxxr.html (新浪邮箱返回代码)"

_COREMAIL_CODES = """
reputation | hl:rep  # many recipients who do not exist
rate | hl:icc  # connections at a time
rate | hl:if  # hl:ifc, hl:ifq: many letters in a short time
reputation | hl:mep  # forged sender domains seen from this address
reputation | hl:ihu  # suspended for what it sent
reputation | hl:ipb  # not among the addresses allowed to send
rate | hl:itc  # connections today
technical | mi:cel  # too many wrong commands: the sending program is at fault
technical | rp:cel
rate | mi:ccl  # more commands than usual
rate | rp:ccl
rate | mi:dmc  # letters on this connection
rate | mi:sfq  # letters of this sender in 15 minutes
rate | mi:stc  # letters of this sender today
policy | mi:nhd  # empty HELO
policy | mi:imf  # malformed sender
policy | mi:spf
policy | mi:dma  # DMARC
policy | mi:spb  # sender not among those allowed
rate | rp:drc  # recipients on this connection
rate | rp:qrc  # recipients in a short time
rate | rp:trc  # recipients today
rate | rp:rcl  # recipients of one letter
policy | rp:frl  # no open relay
reputation | dt:rbl
policy | dt:sum  # envelope and header sender differ
content | dt:spm
reputation | wm:bli
policy | wm:blu
bad_mailbox | rc:ne
bad_mailbox | rc:ld
mailbox_full | rc:fu
inactive | rc:su
bad_mailbox | rc:dl
"""

TABLES: tuple[tuple[str, str, str], ...] = (
    (
        "qq",
        _QQ,
        """
rate | mailbox unavailable or access denied  # this person is getting too much mail just now
bad_mailbox | mailbox not found
bad_mailbox | bad address syntax
rate | frequency limited  # by address, domain, sender, connection
reputation | suspected bounce attack  # our host answers forged mail with reports
reputation | suspected spam ip
reputation | suspected spam sender
content | suspected spam
content | spam is embedded
content | mail content denied
content | content rejected
policy | mail is rejected by recipients
mailbox_full | mailbox space … full
""",
    ),
    (
        "qq",
        _EXMAIL,
        """
rate | connection denied  # this address sends far more often than allowed
reputation | connection refused
""",
    ),
    (
        "netease",
        _NETEASE,
        _COREMAIL_CODES
        + """
reputation | user in blacklist
reputation | ip in blacklist
inactive | user suspended
inactive | user locked
bad_mailbox | user not found
bad_mailbox | invalid user
policy | auth error limit exceed
rate | too much recipient
policy | too much fail authentication
policy | local user only
policy | null sender is not allowed
policy | must equal authorized user
policy | no smtp mx only
policy | authentication is required
technical | error: bad syntax
""",
    ),
    (
        "netease",
        _COREMAIL,
        """
reputation | ip is rejected
reputation | ip is hangup
reputation | invalid ip
policy | fake sender
policy | user rejected
inactive | user hangup
policy | rcpt is rejected
""",
    ),
    (
        "alimail",
        _ALIMAIL,
        """
bad_mailbox | "rcpt to" mailbox unavailable
policy | "mail from" mailbox unavailable
rate | attempts is achieved the maximum
rate | rcpts is achieved the maximum
policy | mailfrom account is a local account
bad_mailbox | rcptto account isn't a local account
content | spamed by local spam engine
content | length of data content
content | length of attach
content | number of attachments
reputation | list on rbl sites
rate | transient reject by behaviour spam
rate | unexpected sending
reputation | behaviour spam
content | content spam
policy | isn't allowed to send
""",
    ),
    (
        "sina",
        _SINA,
        """
technical | queue unavailable
technical | out of memory
technical | database temporary error
technical | stray newline
technical | sequence error
technical | line parse error
technical | looping message
technical | please say
policy | auth support error
policy | auth mode unsupported
policy | auth error
rate | out of allow rcpt numbers
rate | too many same size mails
inactive | user is locked
reputation | black ip
reputation | black mail address
reputation | rbl deny
content | rejected by anti-spam engine
content | message is too long
content | attachment is too long
content | virus found
policy | mail from invalid
policy | host denies
policy | private list access denied
policy | relay check  # also "openrelay check"
policy | fake router
policy | sender is unvalidated
policy | mail address invalid  # the sender's
policy | smtpport check error  # not a proper mail server
policy | helohost error
policy | remote ip check error  # the address does not belong to MAIL FROM
bad_mailbox | user unavailable
""",
    ),
)

SELF_EVIDENT: tuple[tuple[str, str, str], ...] = (
    ("coremail", _NETEASE, _COREMAIL_CODES),  # universities and companies run Coremail under their own names
    (
        "alimail",
        _ALIMAIL,
        """
rate | transient reject by behaviour spam
reputation | reject by behaviour spam
content | reject by content spam
""",
    ),
)
