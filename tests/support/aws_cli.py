"""`aws`, for commands that hints name: it takes what the AWS CLI takes, and refuses every other argument.

Services, operations and their parameters are those of botocore's models, by which the CLI makes its own; the commands
that it adds have the options of its reference. A profile must be in the configuration files, as it must for the CLI.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.session import Session

if TYPE_CHECKING:
    from pathlib import Path

_GLOBAL = ("--profile", "--region", "--endpoint-url", "--output")
_OWN = {
    ("configure", "list-profiles"): (),
    ("sso", "login"): ("--sso-session",),
    ("login",): (),
}


def put_on_path(folder: Path) -> None:
    """Make a program `aws` in a folder."""
    program = folder / "aws"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} "$@"\n')
    program.chmod(0o755)


def main(words: list[str]) -> None:
    """Take the words behind `aws`, or end with the status of a wrong command line."""
    parser = argparse.ArgumentParser(prog="aws", allow_abbrev=False)
    for option in _GLOBAL:
        parser.add_argument(option)
    own = next((each for each in _OWN if tuple(words[: len(each)]) == each), None)
    for option in _OWN[own] if own else ():
        parser.add_argument(option)
    if own is None:
        _add_parameters(parser, *words[:2])
    given = parser.parse_args(words[len(own or words[:2]) :])
    if given.profile is not None and given.profile not in Session().available_profiles:
        parser.error(f"The config profile ({given.profile}) could not be found")


def _add_parameters(parser: argparse.ArgumentParser, service: str = "", operation: str = "") -> None:
    try:
        model = Session().get_service_model(service)
    except UnknownServiceError:
        parser.error(f"{service!r} is no command")
    named = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in named:
        parser.error(f"{service} has no operation {operation!r}")
    shape = model.operation_model(named[operation]).input_shape
    for name, member in shape.members.items() if shape else ():
        kind = int if member.type_name in {"integer", "long"} else str
        parser.add_argument(f"--{xform_name(name, '-')}", type=kind, required=name in shape.required_members)


if __name__ == "__main__":
    main(sys.argv[1:])
