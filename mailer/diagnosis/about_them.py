"""What is said about the reader's mailbox, and the domain it is in."""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

BLOCKS: tuple[tuple[Category, str], ...] = (
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
        mailbox quota
        storage allocation
        超出容量
        已满
        speichervolumen
        exhausted … storage
        storage limit
        storage quota
        storage space
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
        user is locked
        is now disabled
        is disabled
        expired account
        inactive email
        is inactive
        not active
        user hangup
        account … unavailable due to
        is frozen
        has been suspended
        is suspended
        currently suspended
        closed account
        mailbox … expired
        user … expired
        user … terminated
        archived recipient
        recipient suspend
        过期
        destinataire archiv
        destinataire … suspendu
        compte … désactivé
        compte … suspendu
        konto … deaktiviert
        konto … gesperrt
        cuenta … desactivada
        cuenta … suspendida
        conta … desativada
        заблокирован
        отключен
        """,
    ),
    (
        _C.BAD_MAILBOX,
        """
        mailbox unavailable
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
        non-existent account
        non-existent user
        non-existent mailbox
        non-existent recipient
        non-existent address
        nonexistent user
        nonexistent mailbox
        nonexistent account
        non existent user
        may contain a non-existent
        unavailable mail user
        don't exists that user
        not user of this server
        no correct recipients
        need fully-qualified address
        no one at this address
        addresses were unknown
        unknown e-mail address
        unknown email address
        can't accept user
        user missing home directory
        invalid or unknown
        name … is not found
        name directory
        badrcptto
        validrcptto
        mailbox not present
        account unavailable
        > not found
        > does not exist
        user does not have
        is not an email address
        no … user here
        no user exists
        不存在
        非法用户
        recipient address … is not a valid
        rejected recipients
        recipient not ok
        nessun utente
        spectator does not exist
        nicht gefunden
        nicht bekannt
        does not exist at
        not known in
        destinataire invalide
        adresse invalide
        adresse … incorrecte
        utente … non trovato
        casella … inesistente
        usuario … no encontrado
        usuário … não encontrado
        brak takiego
        neexistuje
        bilinmeyen
        không tồn tại
        찾을 수 없
        존재하지 않
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
        nonexistent domain
        non-existent domain
        illegal host/domain name
        mail receiving disabled
        domain is not hosted
        domain not hosted
        no dns entry
        bad host
        no route for current request
        """,
    ),
)
