"""Sessions that send nothing: their connections are made with VALIDATE = FALSE."""

from __future__ import annotations

from typing import Any

from s3conn_magic.session import Session
from s3conn_magic.session.inputs import KernelInputs

VARIABLES: dict[str, Any] = {"count": 7, "nothing": None, "home": "s3://acme/home/", "role": "no role at all"}
_OPTIONS = {
    "logs": "READ_ONLY = TRUE AWS_PROFILE = 'logs'",
    "vault": "AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = 'B'",
}


class Inputs(KernelInputs):
    """Variables and answers that are there from the start; `asked` records the prompts."""

    def __init__(self, variables: dict[str, Any] | None = None, *answers: str) -> None:
        super().__init__(lambda: VARIABLES if variables is None else variables)
        self._answers = [*answers]
        self.asked: list[str] = []

    def prompt(self, text: str) -> str:
        """The next answer."""
        self.asked.append(text)
        if not self._answers:
            raise LookupError("nobody can be asked here")
        return self._answers.pop(0)


def _no_server() -> Any:
    raise AssertionError("no server is started here")


def offline_session(*names: str, inputs: Inputs | None = None) -> Session:
    """A session with connections of these names, none of which has sent anything."""
    session = Session(inputs or Inputs(), start_server=_no_server)
    for name in names:
        list(session.run(f"CREATE S3 CONNECTION {name} {_OPTIONS.get(name, '')} VALIDATE = FALSE"))
    return session
