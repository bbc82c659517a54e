"""Whole expressions, asked before all else: they hold words that a later, wider phrase would claim."""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

BLOCKS: tuple[tuple[Category, str], ...] = (
    (
        _C.TECHNICAL,
        """
        host not found, try again
        name service error … try again
        try again … name service error
        unable to contact ldap
        not accepting connections
        establish an smtp connection
        improper sequence of commands
        recipient server did not accept our requests to connect
        socket error
        address verification in progress
        temporarily rejected … message
        server configuration problem
        queue file write error
        mail system configuration
        dns records for … could not be found
        malformed name server reply
        """,
    ),
    (
        _C.POLICY,
        """
        greylist
        graylist
        grey list
        by spf
        sender is blocklisted
        sender is blacklisted
        sender blacklisted
        sender blocked
        sender address … blacklist
        email address … blacklist
        address that has been blacklisted
        sender is in my black list
        senderfilterconfig
        helo command rejected: need fully-qualified
        rejected by the recipient
        was not authenticated
        spf policy
        due to spf
        sender address blocked
        anti-spoof
        antispoof
        spoof
        envelope rejected
        envelope blocked
        from: domain
        domain in from
        sender email address
        unroutable sender
        sender is spammer
        returned mail not accepted
        no relaying
        relaying mail
        not … configured to relay
        allowed rcpthost
        """,
    ),
    (
        _C.RATE,
        """
        relay quota
        sending quota
        submission quota
        daily … quota exceeded
        in a short amount of time
        in a short time
        in a short period
        in short time
        """,
    ),
    (
        _C.BAD_DOMAIN,
        """
        domain … couldn't be found
        name service error
        host unknown
        unknown host
        domain may not exist
        name or service not known
        domain is not reachable
        no smtp service
        nxdomain
        domain name not found
        recipient address rejected: domain not found
        域名不存在
        找不到域名
        unknown domain name
        mail domain … is unknown
        """,
    ),
    (
        _C.MAILBOX_FULL,
        """
        mailbox size limit
        too many messages in
        too much mail data
        user has too many messages
        too many messages on the server
        mailbox is full
        mailbox full
        over quota
        quota exceeded
        disk quota
        exceeding receiving limits
        mailbox exceeds
        mailbox would exceed
        mailfolder is full
        """,
    ),
    (
        _C.CONTENT,
        """
        banned content
        blacklisted url
        blacklisted link
        spamassassin
        uribl
        surbl
        url in message
        spamsignature
        spamprofiler
        no spam please
        blocked by our filter
        blocked by … content filter
        blocked by … spam filter
        spam filter
        """,
    ),
    (
        _C.REPUTATION,
        """
        banned sending
        ip name lookup failed
        mismatches client ip
        smtp server of your isp
        mail server of your isp
        your isp's
        use your isp
        my name was rejected
        from this ip
        sending ip
        host network not allowed
        blocked using
        reverse dns
        spamhaus
        spamcop
        barracudacentral
        sorbs
        dnsbl
        on a black list
        is blacklisted
        blacklisted by
        blacklisted at
        identified as spammer
        due to ip reputation
        poor reputation
        bad reputation
        low reputation
        spam source
        rejected using
        too many invalid recipients
        ip address rejected
        ip was blocked
        dynamic ip
        dynamic/
        dialup
        dial-up
        does not have a ptr
        missing ptr
        open proxy
        may not be mail exchanger
        realtime block list
        real-time block list
        client host … blocked
        server ip
        sending spam
        spam site
        spams from
        too much spam
        valid sender domain
        > is blocked
        ] is blocked
        sender ip
        unwanted messages have been sent
        """,
    ),
    (
        _C.INACTIVE,
        """
        temporary locked
        temporarily locked
        mailbox currently suspended
        """,
    ),
    (
        _C.BAD_MAILBOX,
        """
        recipient address rejected: access denied
        not in recipient list
        """,
    ),
)
