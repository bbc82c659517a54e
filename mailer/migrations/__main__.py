"""Write the next revision: ``python -m mailer.migrations "What changes"``."""

from __future__ import annotations

import sys
import tempfile

from alembic import command
from alembic.config import Config

from mailer import migrations
from mailer.database import Database

_TIDY = {"sort": "check --select=F401,I --fix --quiet", "shape": "format --quiet"}  # ruff, over the new file


def main(message: str) -> None:
    """Compare the models with what the revisions make, in a database of its own, and write the difference."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/compare.db")
        with database.write() as session:
            config = migrations.config(session.connection())
            config.attributes["compare"] = True
            command.upgrade(config, "head")
            _write(config, message)
        database.close()


def _write(config: Config, message: str) -> None:
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_section_option("post_write_hooks", "hooks", ",".join(_TIDY))
    for name, options in _TIDY.items():
        config.set_section_option("post_write_hooks", f"{name}.type", "module")
        config.set_section_option("post_write_hooks", f"{name}.module", "ruff")
        config.set_section_option(
            "post_write_hooks", f"{name}.options", f"{options} REVISION_SCRIPT_FILENAME"
        )
    number = len(migrations.revisions()) + 1
    command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")


if __name__ == "__main__":
    main(sys.argv[1])
