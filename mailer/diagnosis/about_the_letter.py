"""What is said about the letter itself: its words, size, attachments, form."""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

BLOCKS: tuple[tuple[Category, str], ...] = (
    (
        _C.CONTENT,
        """
        message length
        exceeds … limit
        line limit exceeded
        line too long
        header too long
        spam
        unsolicited
        bulk mail
        mass mail
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
        smtplf
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
        message is too long
        mail is too long
        attachment is too long
        lines too long
        message too long
        bulk e-mail
        bulk email
        unacceptable content
        blocked attachment
        file type
        file extension
        compressed files
        poison
        recurrent pattern
        score … exceed
        suspicious message
        suspect content
        suspicious content
        dangerous
        message is suspicious
        unsafe content
        content reject
        suspicious link
        malicious
        offensive
        profan
        bulk.advertising
        invalid mime
        improperly-formatted
        taille limite
        taille du message
        message trop
        contenu
        nachricht … zu groß
        troppo grande
        demasiado grande
        muito grande
        спам
        вирус
        """,
    ),
)
