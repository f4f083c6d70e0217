"""A bucket that is handed on, and the connection to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from statements import Statements, create

if TYPE_CHECKING:
    from pathlib import Path

    from recording import Recorder
    from servers import RcloneServer

    from s3conn_magic.handoff import Connection

BUCKET = "handed-on"
FRAME = pd.DataFrame({"n": range(1000), "text": [f"text {n}" for n in range(1000)]})


@dataclass(frozen=True)
class Handed:
    """A bucket of rclone, which verifies every signature, and a connection to it.

    `wire` keeps the requests that came since the test began; `folder` is the bucket on disk.
    """

    run: Statements
    wire: Recorder
    folder: Path
    server: RcloneServer

    @property
    def connection(self) -> Connection:
        """The connection `lake`."""
        return self.run.connection("lake")

    def alter(self, options: str) -> None:
        """Alter it, unprobed."""
        self.run(f"ALTER S3 CONNECTION lake {options} VALIDATE = FALSE")

    def read_only(self) -> Connection:
        """Another connection to the same server, which is READ_ONLY."""
        self.run(create("careful", keys=self.server.keys, ENDPOINT=self.wire.endpoint, VALIDATE=False, READ_ONLY=True))
        return self.run.connection("careful")
