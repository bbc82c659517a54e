"""Settings: what an operator can choose, each with its name, unit, default and reason.

Read from the environment (prefix ``MAILER_``). With nothing set, mailer is *embedded*: SQLite under the
data folder, a worker in the process, and a listener that catches letters so that nothing leaves the
machine. ``mailer doctor`` prints every setting.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mailer.database import private_file, private_folder
from mailer.errors import MailerError
from mailer.signing import Keyring


class BadSetting(MailerError):
    """A setting cannot be read."""


class Settings(BaseSettings):
    """What the operator chose. Immutable; make one per process and pass it on."""

    model_config = SettingsConfigDict(env_prefix="MAILER_", frozen=True, extra="ignore")

    data: Path = Field(Path("data"), description="Data folder: SQLite file, journal, secret, caught letters.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL. Empty: SQLite in the data folder. Production: postgresql+psycopg://…",
        repr=False,  # it may hold a password, as the next two may
    )
    redis_url: str = Field(
        "",
        description="Broker, redis://…; set: workers and beat run as own processes. Empty: embedded.",
        repr=False,
    )
    smtp_url: str = Field(
        "",
        description="Relays, tried in order, separated by spaces: smtp://user:password@host:587 or smtps://…"
        " Empty: the built-in listener catches every letter.",
        repr=False,
    )
    base_url: str = Field(
        "", description="How readers reach the web app. Empty: http://HOST:PORT of `mailer serve`."
    )
    host: str = Field("127.0.0.1", description="Address the web app listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the web app listens on; 0: any free one.")
    listener_host: str = Field("127.0.0.1", description="Address the built-in SMTP listener listens on.")
    listener_port: int = Field(
        2525, ge=0, le=65535, description="Port of the built-in SMTP listener; 0: any free one."
    )
    bounce_domain: str = Field(
        "bounces.mailer.example",
        description="Domain of return paths; its MX is the listener. Must be yours in production.",
    )
    secret: str = Field(
        "",
        description="Keys that sign links and return paths, `id:key` separated by commas, newest first."
        " Empty: one made in the data folder. All machines of one installation must share it.",
        repr=False,
    )
    secure_cookies: bool | None = Field(
        None, description="Send cookies over HTTPS only. Unset: when the base URL starts with https."
    )
    trusted_proxies: str = Field(
        "",
        description="Proxies before the web app, addresses or networks separated by commas: their"
        " X-Forwarded-For says who asks, and limits count by that. Empty: whoever connects is who asks.",
    )
    embed_sites: str = Field(
        "",
        pattern=r"^\s*(https?://[A-Za-z0-9.*-]+(:[0-9]+)?(\s+|$))*$",
        description="Sites that may show sign-up forms in a frame, like https://www.example.org, separated by"
        " spaces. Empty: none; a plain form that posts here works from any site.",
    )
    listener_certificate: Path | None = Field(
        None,
        description="PEM file of certificate and key with which the listener offers STARTTLS; read anew when"
        " it changes. Unset: it offers none.",
    )
    lmtp_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on which the listener speaks LMTP as well, for a mail server that hands over what"
        " comes to the bounce domain; 0: any free one. Unset: none.",
    )
    raw_mail_days: int = Field(
        180,
        ge=1,
        description="How long mail that came back is kept as it came. What it told, its events, stays.",
    )
    lease_seconds: int = Field(
        30,
        ge=3,
        description="How long a worker may be silent before others may take what it had leased and not begun."
        " It renews its lease while it sends.",
    )

    require_codes: bool = Field(
        False,
        description="The secretariat's accounts must sign in with a code from an app as well (TOTP): who has"
        " not set one up is led there first. Partner managers may, and need not.",
    )
    oidc_issuer: str = Field(
        "",
        description="Issuer of an OpenID Connect provider, https://…, exactly as it names itself. Existing"
        " accounts whose address it says is verified sign in through it. Empty: none.",
    )
    oidc_client_id: str = Field("", description="What the provider knows mailer by.")
    oidc_client_secret: str = Field(
        "", description="The client secret, where the provider gave one.", repr=False
    )
    oidc_name: str = Field(
        "", description="What people call the provider, for the sign-in page. Empty: the issuer's host."
    )

    @property
    def embedded(self) -> bool:
        """True when worker and beat run inside ``mailer serve``."""
        return not self.redis_url

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'mailer.db'}"

    @property
    def public_url(self) -> str:
        """The web app's address as readers see it, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.base_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def relay_urls(self) -> tuple[str, ...]:
        """Relays in order of preference; the built-in listener when none is configured."""
        return tuple(self.smtp_url.split()) or (f"smtp://{self.listener_host}:{self.listener_port}",)

    @property
    def journal(self) -> Path:
        """The folder of the send journals. Local disk, never shared between machines."""
        return self.data / "journal"

    @cached_property
    def keys(self) -> Keyring:
        """The signing keys; makes the data folder's own on first use (mode 0600)."""
        if self.secret:
            return Keyring.parse(self.secret)
        file = self.data / "secret"
        if not file.exists():
            private_folder(self.data)
            _make_secret(file)
        return Keyring.parse(file.read_text().strip())


def _make_secret(file: Path) -> None:
    """Write a new secret, whole or not at all; of two processes that come at once, both use the first's."""
    draft = file.with_name(f"secret.{secrets.token_hex(8)}")
    private_file(draft)
    draft.write_text(f"1:{secrets.token_urlsafe(32)}\n")
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()


def load(**overrides: object) -> Settings:
    """Read the environment; ``overrides`` that are not None win (command line options).

    :raises BadSetting: a value cannot be used; the message names the variable
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MAILER_{str(first['loc'][0]).upper()}" if first["loc"] else "A setting"
        raise BadSetting(f"{name} cannot be used: {first['msg']}. Correct it and start again.") from error


def templates() -> Path:
    """Return the folder that holds letters/, pages/ and locale/: inside the wheel or beside the package."""
    package = Path(__file__).parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"
