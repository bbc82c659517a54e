"""What mail systems say, and what they mean by it.

A phrase is lower case; " … " stands for up to 60 characters of anything ("user … not found"). Categories
are asked in the order of the table: what is said about us is heard before what is said about the address,
so that "mail from 192.0.2.1 refused, no such user list" never silences a reader (law 4).
"""

from __future__ import annotations

from mailer.diagnosis.reply import TEXT_LIMIT
from mailer.diagnosis.verdict import Category

Phrase = tuple[str, ...]

GAP = 60  # characters that " … " may span

_C = Category

PHRASES: tuple[tuple[Category, str], ...] = tuple(
    (category, line.strip())
    for category, block in (
        (  # whole expressions first: they hold words that a later category would claim
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
            """,
        ),
        (
            _C.RATE,
            """
            daily relay quota
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
            """,
        ),
        (
            _C.CONTENT,
            """
            banned content
            blacklisted url
            blacklisted link
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
            mass mailer
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
            rcpthosts
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
            rejected by the recipient
            recipient … does not wish
            does not accept mail from
            do not accept mail from
            not accepting mail from
            doesn't accept mail from
            mail from … rejected
            greylist
            graylist
            grey list
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
            spamhaus
            spamcop
            barracudacentral
            sorbs
            uceprotect
            njabl
            abuseat
            senderscore
            cloudmark
            cloudfilter
            proofpoint … block
            dnsbl
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
            client host … blocked
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
            dynamic ip
            dynamic address
            dynamic/
            dialup
            dial-up
            generic … hostname
            spam source
            source of spam
            spammer
            user complaints
            traffic not accepted
            no access from mail server
            ip在
            黑名单
            被暂时挂起
            スパム送信
            """,
        ),
        (
            _C.CONTENT,
            """
            message length
            exceeds … limit
            line limit exceeded
            line too long
            header too long
            incorrectly constructed
            spam
            unsolicited
            bulk mail
            junk mail
            virus
            malware
            phish
            infected
            trojan
            prohibited attachment
            attachment type
            attachment … not
            illegal attachment
            executable
            content denied
            content rejected
            message content
            content filter
            content restriction
            mail content
            objectionable
            inappropriate
            security issue
            security threat
            url … block
            forbidden … word
            message size
            mail size
            too large
            too big
            size exceed
            size limit
            larger than
            exceeds … maximum
            fixed maximum
            exceeds fixed
            maximum size
            exceed … size
            malformed
            invalid characters
            bare lf
            bare cr
            stray linefeed
            improper mime
            conversion … prohibited
            message … header … invalid
            垃圾
            病毒
            附件
            邮件过大
            邮件太大
            内容被拒
            内容违规
            迷惑メール
            サイズ
            """,
        ),
        (
            _C.MAILBOX_FULL,
            """
            mailbox … full
            mail box full
            mail box is full
            mbox full
            inbox … full
            full mailbox
            account … full
            user … is full
            maildir is full
            overquota
            over-quota
            over its quota
            over the quota
            over their quota
            over his quota
            over the maximum
            over the allowed quota
            quota exceed
            quota full
            quota violation
            quota limit
            exceed … quota
            quota … exceeded
            disk space limit
            out of storage
            out of space
            storage … exceeded
            storage … full
            exceeded storage
            insufficient disk space
            insufficient disk storage
            not enough space
            space not enough
            not enough storage
            not enough disk
            mailbox … limit
            mailbox has exceeded
            mailbox exceeds
            no space left for
            folder is full
            exceeded his disk
            容量不足
            邮箱已满
            空间不足
            信箱已满
            超出配额
            容量を超え
            容量が
            いっぱい
            boîte … pleine
            boite … pleine
            buzón … lleno
            buzon … lleno
            caixa … cheia
            casella … piena
            postfach … voll
            переполнен
            """,
        ),
        (
            _C.INACTIVE,
            """
            account … disabled
            mailbox … disabled
            disabled or discontinued
            user … disabled
            address … disabled
            recipient … disabled
            mailbox … suspended
            account … suspended
            user suspended
            user is suspended
            account … inactive
            inactive account
            inactive user
            inactive mailbox
            mailbox … inactive
            user … inactive
            recipient … inactive
            recipient no longer on server
            deactivated
            account … locked
            mailbox … locked
            user locked
            account … expired
            account … not active
            mailbox … not active
            not an active
            not been activated
            mailbox … frozen
            account … frozen
            temporarily disabled
            account … closed
            account … cancelled
            account … terminated
            停用
            禁用
            冻结
            注销
            休止
            """,
        ),
        (
            _C.BAD_MAILBOX,
            """
            未开通
            not listed in
            check if address is correct
            no mail box
            is not recognized
            not a registered
            possibly incorrect
            no users here
            no one here
            never existed
            unknown user
            unknown local user
            unknown local-part
            unknown local part
            unknown recipient
            unknown address
            unknown account
            unknown mailbox
            unknown virtual mailbox
            unknown or illegal
            user … unknown
            recipient … unknown
            mailbox unknown
            address unknown
            addressee unknown
            account unknown
            no such recipient
            no such person
            no such address
            no such account
            no such local
            no such virtual
            no such email
            no such mail
            no such e-mail
            no such name
            no … mailbox here by that name
            no mailbox here
            no mailbox found
            no mailbox by that name
            no account by that name
            no user by that name
            no … such … user
            no user … found
            no matches to nameserver query … user
            no valid recipient
            no recipient
            user … not found
            user … not exist
            user … doesn't exist
            user … is not a valid
            user … not known
            user … not listed
            user invalid
            user doesn't have
            user not … local
            not a known user
            not a valid mailbox
            not a valid recipient
            not a valid address
            not a local
            not … valid user
            is not a user
            not our customer
            not known at this site
            not known here
            not in my recipient
            not in directory
            isn't in … list of valid
            is not in … directory
            mailbox … not found
            mailbox … not exist
            mailbox … doesn't exist
            mailbox not available
            mailbox name not allowed
            mailbox … unavailable
            mailbox no longer
            mailbox … invalid
            invalid mailbox
            invalid recipient
            invalid user
            invalid address
            invalid final delivery
            invalid local
            invalid destination
            invalid email
            illegal user
            illegal alias
            bad recipient
            bad destination mailbox
            bad destination email
            bad address
            bad email address
            bad-mailbox
            badrecipient
            recipient … not found
            recipientnotfound
            recipient … not exist
            recipient … doesn't exist
            recipient … no longer
            recipient … not known
            recipient … not listed
            recipient not on
            recipient … invalid
            recipient … is not local
            recipient address has been … changed
            resolver.adr
            address … not exist
            address … doesn't exist
            address … not found
            address … no longer
            address … invalid
            address … not valid
            address … not known
            address … not present
            account … not exist
            account … doesn't exist
            account … does no exist
            account … not found
            account … invalid
            account … deleted
            does not have an account
            doesn't have a … account
            doesn't handle
            email … not found
            could not be found
            couldn't be found
            wasn't found at
            no longer available
            no longer valid
            no longer in use
            no longer exists
            no longer work
            no longer on
            no longer with
            does not exist here
            has moved
            undeliverable address
            delivery to … no such
            unroutable mailbox
            unrouteable address
            unroutable address
            child process … 5.1.1
            can't find … user
            cannot find … user
            local delivery failed
            用户不存在
            用户未找到
            邮箱不存在
            帐号不存在
            账号不存在
            地址不存在
            不存在该用户
            没有这个用户
            无此用户
            查无此人
            信箱不存在
            收件人不存在
            找不到收件人
            使用者不存在
            見つかりません
            存在しません
            宛先不明
            ユーザーが
            n'existe pas
            no existe
            não existe
            nao existe
            non esiste
            existiert nicht
            unbekannt
            inconnu
            desconocido
            desconhecido
            sconosciuto
            не существует
            не найден
            nieznany
            """,
        ),
        (
            _C.BAD_DOMAIN,
            """
            host … not found
            domain … not found
            domain … doesn't exist
            domain … invalid
            domain … not exist
            domain must exist
            no such domain
            no such host
            bad domain
            bad destination host
            bad destination system
            invalid domain
            unknown domain
            unrouteable mail domain
            unrouteable domain
            unroutable domain
            couldn't find any
            no route to domain
            no mx
            no mail exchanger
            no valid mx
            null mx
            nullmx
            no address associated with
            mx … localhost
            does not accept mail
            does not accept email
            doesn't accept mail
            doesn't accept email
            not accept any mail
            never accept mail
            all relevant mx records point to non-existent hosts
            mail exchanger … does not exist
            unable to find … domain
            dns error … nonexistent
            域名不存在
            找不到域名
            """,
        ),
        (
            _C.TECHNICAL,
            """
            could not deliver for the last
            no such file
            pipe to |
            host name lookup failure
            connection refused
            connection reset
            connection lost
            connection dropped
            connection closed
            connection failed
            connection to … failed
            timed out
            timeout
            time out
            time-out
            no route to host
            network error
            host is down
            host down
            unreachable
            could not connect
            couldn't connect
            couldn't establish
            unable to connect
            cannot connect
            failed to connect
            can't connect
            not responding
            no response
            did not respond
            not reachable
            lost connection
            name server
            dns lookup
            dns error
            dns server
            temporary failure
            temporary error
            temporary lookup
            temporary system problem
            temporarily
            try later
            come back later
            try again
            server busy
            service unavailable
            service not available
            service currently unavailable
            system not accepting
            not accepting network messages
            insufficient system storage
            insufficient system resources
            insufficient resources
            no space left on device
            out of memory
            resources … unavailable
            low on … resources
            system error
            internal error
            internal server error
            local error
            error in processing
            processing error
            database
            i/o error
            input/output error
            configuration error
            configuration problem
            misconfigur
            loop
            too many hops
            hop count
            received headers
            message expired
            retry time not reached
            queue too long
            queued too long
            not delivered within
            delivery time
            delayed
            undeliverable within
            could not be delivered for
            maximum delivery attempts
            maximum-time-expired
            gave up
            command … not recognized
            unrecognized command
            syntax error
            bad syntax
            protocol error
            not implemented
            bad sequence
            can't create
            cannot create
            can't open
            unable to open
            ldap
            mail system problem
            delivery agent
            command died
            command output
            exit status
            mailer error
            cannot update mailbox
            cannot append message
            mail transport unavailable
            超时
            系统繁忙
            服务器繁忙
            稍后再试
            タイムアウト
            """,
        ),
    )
    for line in block.strip().splitlines()
)


def normal(text: str) -> str:
    """Lower case, single spaces, straight quotes, "^" in front: the form phrases are written in."""
    return "^" + " ".join(text[:TEXT_LIMIT].lower().replace("’", "'").replace("`", "'").split())


def pieces(phrase: str) -> Phrase:
    """Cut a phrase as people write it into what ``says`` looks for."""
    return tuple(phrase.split(" … ")) if phrase else ()


def says(words: str, phrase: Phrase) -> bool:
    """Tell whether ``words`` (lower case) hold every piece in order, at most GAP characters apart."""
    if not phrase:
        return True
    first, *rest = phrase
    start = words.find(first)
    while start >= 0:
        at = start + len(first)
        for piece in rest:
            found = words.find(piece, at, at + GAP + len(piece))
            if found < 0:
                break
            at = found + len(piece)
        else:
            return True
        start = words.find(first, start + 1)
    return False


_TABLE = tuple((category, phrase, pieces(phrase)) for category, phrase in PHRASES)


def category_said(words: str) -> tuple[Category, str] | None:
    """Return the first category whose phrase ``words`` (lower case) hold, with that phrase; else None."""
    for category, phrase, parts in _TABLE:
        if parts[0] in words and (len(parts) == 1 or says(words, parts)):
            return category, f'"{phrase}"'
    return None


_LASTED = tuple(
    pieces(line)
    for line in (
        "message expired",
        "retry time",
        "queue too long",
        "in the queue … too long",
        "delivery time expired",
        "maximum-time-expired",
        "not delivered within",
        "been undeliverable for",
        "unable to deliver in",
        "could not be delivered for",
        "delivery attempts … exceeded",
        "message timed out",
        "could not deliver for the last",
        "try again",
        "try later",
    )
)


def only_lasted(words: str) -> bool:
    """Tell whether ``words`` (lower case) say that a passing trouble lasted too long."""
    return any(says(words, phrase) for phrase in _LASTED)
