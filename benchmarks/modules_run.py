"""How many modules of the package run code for a statement: `python benchmarks/modules_run.py [--names]`.

Each journey is traced at its first time in a fresh interpreter, in all threads, against the embedded sandbox. A module
counts where one of its functions ran; what importing it ran does not, nor what DuckDB calls in threads of its own.
`--names` prints the modules, too. Ends with 1 if a journey runs more than its goal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = f"{ROOT / 's3conn_magic'}/"
GOALS = {"CREATE": 24, "LIST": 39, "explorer page": 24, "COPY": 58}
BUCKET = "acme-empty"
COPIED = "copied/one.csv"


@contextmanager
def traced() -> Iterator[set[str]]:
    """The modules of the package of which a function runs within the block."""
    modules: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PACKAGE) and file not in modules and not _imports(frame):
            modules.add(file)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield modules
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _imports(frame: Any) -> bool:
    """Whether a frame is the body of a module, or was called by one."""
    while frame is not None and frame.f_code.co_filename != __file__:
        if frame.f_code.co_name == "<module>":
            return True
        frame = frame.f_back
    return False


def _journeys(endpoint: str, key: str, secret: str) -> dict[str, tuple[list[str], Callable[[Any], Any]]]:
    """What comes before each journey, and the journey, both given a session."""
    from s3conn_magic import execute
    from s3conn_magic.explorer.connections import ConnectionChildren
    from s3conn_magic.locations import Location

    create = (
        f"CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = '{key}' AWS_SECRET_ACCESS_KEY = '{secret}' "
        f"ENDPOINT = '{endpoint}'"
    )
    copy = f"CREATE JOB load AS COPY FROM S3 lake LOCATION = 's3://{BUCKET}/{COPIED}' INTO loaded"

    def page(session: Any) -> Any:
        children = ConnectionChildren(lambda: session.connections.get("lake"))
        return children(Location(BUCKET), None, cancelled=lambda: False)

    return {
        "CREATE": ([], lambda _: execute(create)),
        "LIST": ([create], lambda _: execute(f"LIST 's3://{BUCKET}/' USING lake")),
        "explorer page": ([create], page),
        "COPY": ([create], lambda _: execute(copy)),
    }


def run(journey: str, *given: str) -> list[str]:
    """The modules that run for one journey, in this interpreter."""
    import s3conn_magic

    before, travel = _journeys(*given)[journey]
    session = s3conn_magic._current_session()  # the session that `execute` runs in
    for statement in before:
        s3conn_magic.execute(statement)
    with traced() as modules:
        travel(session)
    return sorted(str(Path(file).relative_to(ROOT)) for file in modules)


def main() -> int:
    """Run each journey in an interpreter of its own, print the counts beside their goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", action="store_true", help="print the modules, too")
    parser.add_argument("--journey", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.journey:
        print(json.dumps(run(*options.journey)))
        return 0
    from botocore.session import Session

    from s3conn_magic.sandbox import Sandbox

    with Sandbox.start() as sandbox:
        keys = sandbox.admin
        given = (sandbox.endpoint, keys.access_key_id, keys.secret_access_key.reveal())
        client = Session().create_client(
            "s3", "eu-west-1", endpoint_url=given[0], aws_access_key_id=given[1], aws_secret_access_key=given[2]
        )
        client.put_object(Bucket=BUCKET, Key=COPIED, Body=b"n,text\n1,a\n2,b\n")
        print("journey        modules  goal")
        over = 0
        for journey, goal in GOALS.items():
            command = [sys.executable, __file__, "--journey", journey, *given]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
            modules = json.loads(done.stdout.splitlines()[-1])
            print(f"{journey:<14} {len(modules):7}  {goal:4}")
            over |= len(modules) > goal
            if options.names:
                print("".join(f"    {module}\n" for module in modules), end="")
    return over


if __name__ == "__main__":
    sys.exit(main())
