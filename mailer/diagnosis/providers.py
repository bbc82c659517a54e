"""Who answers behind an MX. The last label of a name decides nothing: providers are known by the domain
their MX hosts live in.
"""

from __future__ import annotations

from functools import cache

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
