"""How long 64 KiB of statements take to parse, and to parse and bind: `python benchmarks/parsing.py`.

Each kind is a text of 65,536 characters, run nine times. No request is sent. Milliseconds of CPU; the bound is 500.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from offline import offline_session

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.source import Source

SIZE = 65_536
RUNS = 9
CREATE = "CREATE S3 CONNECTION x "
FILTERS = f"{CREATE}PATH_DISPLAY_FILTERS = ("


def filled(head: str, piece: str, tail: str = "") -> str:
    """The piece so many times that head, pieces and tail are all of the size; `{}` is the piece's number."""
    pieces, left, number = [], SIZE - len(head) - len(tail), 0
    while left > 0:
        one = piece.replace("{}", str(number))
        one = one if len(one) <= left else " " * left
        pieces.append(one)
        left, number = left - len(one), number + 1
    return "".join([head, *pieces, tail])


KINDS = {
    "statements of 60 characters": filled("", "LIST 's3://bucket/folder/{}/' USING lake RECURSIVE LIMIT 100;\n"),
    "statements of 27 characters": filled("", "DESCRIBE CONNECTION lake ;\n"),
    "statements of 13 characters": filled("", "LIST LIMIT 1;"),
    "more statements than may be": filled("", "SET LIMIT=1;"),
    "connections made": filled("", "CREATE S3 CONNECTION c{} REGION = 'a';"),
    "connections made and renamed": filled("", "CREATE S3 CONNECTION c{}; ALTER S3 CONNECTION c{} RENAME TO d{};"),
    "a name that is not there": filled("", "CREATE S3 CONNECTION a_name_of_{};", "USE CONNECTION a_nmae_of_x"),
    "an error at the end": filled("", "LIST 's3://bucket/{}';", "LISTT"),
    "one literal": filled(f"{CREATE}COMMENT = '", "some text ", "'"),
    "thousands of options": filled(CREATE, "OPTION_{} = 'value' "),
    "options of four characters": filled(CREATE, "a=1 "),
    "a list of locations": filled(FILTERS, "'s3://bucket/{}/', ", "'s3://bucket/')"),
    "a list of short locations": filled(FILTERS, "'s3://b{}',", "'s3://bucket/')"),
    "a list of empty texts": filled(f"{CREATE}COMMENT = (", "'',", "'')"),
    "a list of prompts": filled(FILTERS, "PROMPT '{}',", "PROMPT)"),
    "comments": filled("", "-- a comment\n", "LIST"),
    "one comment": filled("/*", "a comment ", "*/LIST"),
    "the shortest comments": filled("LIST x ", "--\n"),
    "text that does not end": filled(f"{CREATE}COMMENT = '", "text "),
    "comments that do not end": filled("", "/*"),
    "brackets": filled(f"{CREATE}COMMENT = ", "("),
    "words of no meaning": filled("", "gibberish words "),
    "words of one letter": filled("LIST ", "x "),
    "nearly an option": filled(CREATE, "AWS_SECRET_ACCESS_KEX "),
    "marks": filled("LIST ", "$"),
    "semicolons and comments": filled("LIST", ";/**/", " x"),
    "letters outside ASCII": filled("LIST ", "é "),
    "no-break spaces": filled("LIST ", "\u00a0"),
    "a long word": filled("LIST ", "x"),
    "white space": filled("LIST", "\n", "x"),
    "a glob of braces": filled("LIST MATCHING '", "{a,", "'"),
}


def main() -> None:
    session = offline_session("lake")
    ways = {"parse": lambda text: parse(Source(text)), "parse and bind": session.steps}
    print(f"{'ms per 64 KiB':32}" + "".join(f"{name + ', median':>24}{'worst':>8}" for name in ways) + "  ends in")
    for kind, text in KINDS.items():
        assert len(text) == SIZE, kind
        end, shown = "", ""
        for run in ways.values():
            taken = []
            for _ in range(RUNS):
                begun = time.process_time()
                end = _end(run, text)
                taken.append((time.process_time() - begun) * 1000)
            shown += f"{statistics.median(taken):24.1f}{max(taken):8.1f}"
        print(f"{kind:32}{shown}  {end}", flush=True)


def _end(run, text: str) -> str:
    try:
        run(text)
    except S3ConnError as error:
        return type(error).__name__
    return "plans"


if __name__ == "__main__":
    main()
