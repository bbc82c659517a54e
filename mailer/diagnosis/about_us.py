"""What is said about the sender: how much, by what right, from where."""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

BLOCKS: tuple[tuple[Category, str], ...] = (
    (
        _C.RATE,
        """
        too many connections
        too many concurrent
        too many messages
        too many recipients
        too many mails
        too many emails
        too much mail
        too much recipient
        too quickly
        too fast
        rate limit
        ratelimit
        rate-limit
        rate of … exceeded
        throttl
        frequency limited
        limit on the number of
        sending limit
        exceeded the maximum number of
        exceeded … messages per hour
        max defers and failures per hour
        maximum number of recipients
        daily limit
        hourly limit
        quota of messages
        connection limit
        connection rate
        message rate
        slow down
        sending … too frequently
        unusual rate
        unexpected volume
        receiving mail at a rate
        频率
        发送过快
        发信过快
        超过限制
        收件人数量
        連接數過多
        送信制限
        recipient thread limit
        message receive limit
        limit for the number of messages
        messages … per hour
        emails per hour
        messages per day
        per connection reached
        max message per connection
        exceeded permitted limits
        excessive volume
        too many errors
        too many sessions
        too many con
        relay limit exceeded
        daily … limit
        hourly … limit
        try again slower
        exceeded the max
        receiving too many
        volume of mail
        too many recip
        too many rcpt
        too many invalid
        concurrent connection
        maximum connections
        maximum number of connections
        server is busy receiving
        发信量
        发件数
        trop de connexions
        too many smtp sessions
        too many … sessions
        trop de messages
        troppi messaggi
        demasiados
        zu viele
        too frequent
        """,
    ),
    (
        _C.POLICY,
        """
        not authorized
        authentication failure
        mail relay
        protocol violation
        email address is not verified
        send mail as
        non-accepted domain
        not a member
        are not member
        oprávnění
        berechtigung
        permisos
        権限
        权限
        not pre-approved
        spf check
        spf fail
        spf validation
        spf record
        spf: fail
        failed spf
        sender policy framework
        openspf.
        dkim
        dmarc
        domainkeys
        unauthenticated
        not authenticated
        authentication required
        authentication is required
        authentication failed
        authentication check
        auth required
        required authentication level
        must issue a starttls
        starttls is required
        encryption needed
        encryption required
        tls required
        not support tls
        not support starttls
        relaying denied
        relay not permitted
        relaying not allowed
        relaying prohibited
        relaying … not permitted
        unable to relay
        not permitted to relay
        cannot relay
        we do not relay
        relay denied
        relay prohibited
        relay operation rejected
        open relay
        sender address rejected
        sender rejected
        sender denied
        sender domain … not exist
        sender is not allowed
        sender not allowed
        sender verify failed
        sender verification
        sender's … domain … not
        sender address … not
        unable to verify sender
        domain of sender address
        domain of the sender address
        senderdomain
        envelope sender
        return path … rejected
        cannot resolve sender
        mail from … does not exist
        mail from domain
        invalid sender
        invalid from address
        bad sender
        null sender
        not allowed to send
        not permitted to send
        not allowed to post
        don't have permission to post
        do not have permission to
        you may not be allowed
        may not have permission to post
        restricted to … members
        only … members
        members only
        group … not accept
        not in the list of allowed
        against … policy
        policy violation
        violates … policy
        policy restriction
        policy rejection
        security policy
        security policies
        policy reason
        local policy
        denied by policy
        rejected by policy
        refused by policy
        administrative prohibition
        administratively prohibited
        administratively denied
        prohibited by administrator
        message filtered
        rejected by recipient
        refused by recipient
        recipient … does not wish
        does not accept mail from
        do not accept mail from
        not accepting mail from
        doesn't accept mail from
        mail from … rejected
        not rfc
        rfc 2822
        rfc 5322
        rfc2822
        rfc5322
        rfc compliance
        duplicate header
        multiple from
        missing … header
        access denied
        permission denied
        transport rules organization policy
        senderverification
        rejected … by … rule
        拒收
        白名单
        未通过验证
        身份验证
        認証
        only with ssl
        unresolvable rfc.5321
        auth error
        not allowed to relay
        relay not allowed
        relay from
        third-party relay
        relay is prohibited
        batv
        backscatter
        sender domain is empty
        domain of sender
        unsigned dsn
        mail sending denied
        account is protected by
        user reject
        refused due to recipient preferences
        recipient preferences
        only accepting mail from
        is not accepting any mail
        you have been blocked by the recipient
        blocked by the recipient
        blocked by recipient
        restricted sms
        no third-party
        closed mailing list
        not subscribed to this
        due to user rules
        organizational settings
        organization policy
        organisation policy
        content policy
        corporate policy
        company policy
        email policy
        mail policy
        security settings
        failing both spf
        not in allowed-senders
        no smtp mx only
        local user only
        fake sender
        invalid credentials
        login denied
        password not accepted
        verification failure
        certificate
        captcha
        whitelist
        allowlist
        safelist
        bouncedeny
        low priority
        no identity changes
        not owned by
        incorrect authentication
        not welcome
        unauthorized
        unauthorised
        must authenticate
        authenticate first
        message refused
        relaying disallowed
        as a relay
        policy error
        blocked senders
        mailpolicy
        list of senders to accept
        bogus mail from
        purported responsible address
        valid-address-filter
        emetteur invalide
        expéditeur
        fully qualified email address required
        mx records for
        rule imposed
        empty email address
        members-only
        header error
        messages containing images
        refuses to receive
        refuse to receive
        not subscribed to
        credentials invalid
        requires authentication
        not a gateway
        not local host
        domain is not allowed
        don't handle mail for
        do not handle mail for
        spf settings
        multiple addresses in
        relais
        relay … refused
        authentification
        authentifizierung
        autenticación
        autenticazione
        аутентификац
        authentication
        отклонен … политик
        """,
    ),
    (
        _C.REPUTATION,
        """
        not accepted from your
        is listed
        currently listed
        listed on
        listed at … org
        service refuse
        uceprotect
        njabl
        abuseat
        senderscore
        cloudmark
        cloudfilter
        proofpoint … block
        blacklist
        black list
        black-list
        blocklist
        block list
        blackhole
        black-hole
        denylist
        reputation
        your ip
        ip address … rejected
        ip address … block
        client host rejected
        helo command rejected
        blocked by
        has been blocked
        you are blocked
        you have been blocked
        banned
        mail server … rejected
        connection refused … policy
        connections will not be accepted
        connection denied
        refused to talk to me
        no ptr
        ptr record
        rdns
        reverse hostname
        reverse lookup
        reverse mapping
        cannot find your hostname
        cannot find your reverse
        domain name … not resolv
        dynamic address
        generic … hostname
        source of spam
        spammer
        user complaints
        traffic not accepted
        no access from mail server
        no access for
        ip在
        黑名单
        被暂时挂起
        スパム送信
        rbl
        not allowed to connect
        access to submit messages
        access to this mail system has been rejected
        unwelcome connection
        :blocked)
        _is_blocked
        looks suspiciously like
        blocked for abuse
        bad ip profile
        go away
        confirm this mail server
        server requires confirmation
        a problem occurred. (ask your postmaster
        geographical location
        ip is rejected
        ip is hangup
        invalid ip
        host is blocked
        not currently accepting mail from your
        mail server at … blocked
        access ip … rejected
        listed as abusive
        bad outbound sender
        blocked - see
        blocked, see
        ipcheck.
        spam abuse detected
        suspicious activity
        ip is forbidden
        your network
        your host
        your server
        your mail server
        your domain … block
        sending server
        sending host
        sending mta
        sending domain … block
        refused - see http
        cannot resolve your address
        unresolvable relay
        liste noire
        schwarze liste
        lista negra
        lista nera
        черн … спис
        чёрн … спис
        """,
    ),
)
