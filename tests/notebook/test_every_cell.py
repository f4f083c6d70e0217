"""What becomes of any cell at all on its way into the kernel's memory: masked by a statement's shape, or left alone."""

from __future__ import annotations

import ast
import json
import random
import sysconfig
import time
from pathlib import Path

import pytest
from corpora import SECRET, leaked, some
from IPython.core.inputtransformer2 import TransformerManager

import s3conn_magic
from s3conn_magic.language.completion import complete
from s3conn_magic.language.help import help_at
from s3conn_magic.language.redaction import SECRET_NAMES
from s3conn_magic.notebook.cells import keeps_secret
from s3conn_magic.notebook.history import SECRET_PARTS, redacted_cell
from s3conn_magic.notebook.lexer import pieces
from s3conn_magic.notebook.tab import statements_at

PACKAGE = Path(s3conn_magic.__file__).parent
# In the first tries of newcomers stand other systems' options, whose texts could be secrets.
NOTEBOOKS = sorted(
    set((PACKAGE.parent / "notebooks").glob("*.ipynb")) - {PACKAGE.parent / "notebooks/first_tries.ipynb"}
)
MEGABYTE = 1 << 20
# Two tenths of a second are promised for a megabyte; a busy machine takes its time.
SECONDS = 2.0

pytestmark = pytest.mark.timeout(300)


def kept(cell: str) -> str:
    """What is kept of a cell, which is looked at within the bound and has as many lines."""
    begun = time.thread_time()
    found = redacted_cell(cell)
    assert time.thread_time() - begun < SECONDS
    assert found.count("\n") == cell.count("\n")
    return found


def test_the_first_look_knows_every_secret_option():
    """A cell that gives a secret to an option is read, since the option's name has a part that is looked for."""
    assert not [name for name in SECRET_NAMES if not any(part in name.lower() for part in SECRET_PARTS)]


# Ordinary cells


def test_the_standard_library_stays():
    """Every file of the standard library, its tests included, comes through as it is."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [one for one in library.rglob("*.py") if "site-packages" not in one.parts]
    assert len(files) > 500
    assert not [one for one in files if kept(text := one.read_text("utf-8", "surrogateescape")) != text]


def test_other_packages_stay():
    """The sources of what is installed, SQL libraries and AWS's own among them, come through as they are."""
    files = [*Path(sysconfig.get_path("purelib")).rglob("*.py")]
    random.Random(1).shuffle(files)
    assert not [one for one in some(files, 16) if kept(text := one.read_text("utf-8", "surrogateescape")) != text]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_our_own_sources_stay(file: Path):
    """Statements in our strings and docstrings hold no secret, and come through as they are."""
    text = file.read_text("utf-8")
    assert kept(text) == text


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_our_own_notebooks_stay(file: Path):
    """Cells of our notebooks, as typed and as IPython makes them Python, come through as they are, without a note."""
    cells = [
        "".join(one["source"]) for one in json.loads(file.read_text("utf-8"))["cells"] if one["cell_type"] == "code"
    ]
    assert cells
    for cell in cells:
        for text in (cell, TransformerManager().transform_cell(cell)):
            assert kept(text) == text
            assert not keeps_secret(text)


PLAIN = [
    'print(f"connection to {host}")',
    "print(f'{connection!r:>{width}} upsql')",
    'logging.info("Create S3 connection to %s, secret of %s", host, user)',
    '"""Create a connection, alter it. The secret = \'x\' of a connection is yours."""',
    "conn = create_engine('postgresql://me:secret@host/db').connect()  # create a connection",
    "%%sql\nCREATE USER me WITH PASSWORD = 'a secret';\nALTER USER me SET SECRET = 'b'",
    "%%sql\nCREATE TABLE s3 (connection TEXT DEFAULT 'x', secret TEXT)",
    "%sql CREATE CONNECTION c TYPE = 'mysql' PASSWORD = 'its own'",
    "%%sql\nCREATE KAFKA CONNECTION c HOST = 'a' SASL_PASSWORD = 'its own'",
    "cursor.execute(\"CREATE SECRET s (TYPE s3, KEY_ID 'AKIA', SECRET 'duckdb has it')\")",
    "cursor.execute(\"COPY t FROM 's3://b' CREDENTIALS 'aws_secret_access_key=redshift'\")",
    "os.environ['AWS_SECRET_ACCESS_KEY'] = 'python'\ns3 = boto3.client('s3')",
    "AWS_SECRET_ACCESS_KEY = 'python'\nconnection = s3.create_connection(AWS_SECRET_ACCESS_KEY)",
    "%env AWS_SECRET_ACCESS_KEY='ipython'",
    "%%bash\nexport AWS_SECRET_ACCESS_KEY='bash'\naws s3 ls",
    "execute(f\"CREATE S3 CONNECTION {name} AWS_SECRET_ACCESS_KEY = '{secret}' REGION = '{region}'\")",
    "execute(\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '%s' AWS_SESSION_TOKEN = '{}'\" % key)",
    "execute(f\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = {key!r} PATH_DISPLAY_FILTERS = 's3://{b}/x/'\")",
    "execute('CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = ' + quoted + ' READ_ONLY = TRUE')",
    "execute(\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = ENV 'KEY' COMMENT = 'it''s ours'\")",
    "execute(f'''CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{d['key']}' ''')",
    "execute(f'CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = {f\"{f'{x}'}\"}')",
    "upsql = 1\nupsql and 2\nx = upsql if upsql else 0",
    "# CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = PROMPT 'key'\nx = 1",
    "%%markdown\nFirst create S3 connection `lake`; don't forget its *secret*.",
    "%%upsql\nCREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = $secret",
    '%%markdown\nWith the `%%upsql` magic you\'ll load "all" of it; `%upsql HELP` helps.',
    "%%upsql found <<\nSELECT count(DISTINCT user_id) FROM 's3://bucket/key' GROUP BY ALL",
    "%upsql found << SELECT count(DISTINCT user_id) FROM 's3://bucket/key' GROUP BY ALL",
    "t'connection {x} upsql {y!r:{z}}'",
    "print(f'''{\n  f\"{connection}\"  # upsql\n}''')",
]


@pytest.mark.parametrize("cell", PLAIN)
def test_a_plain_cell_stays(cell: str):
    """A cell without a secret of ours comes through as it is, and brings no note, whatever words are in it."""
    assert kept(cell) == cell
    assert not keeps_secret(cell)


# Cells that nobody types

UNITS = [
    *("(", "[{(", ")", '"', "'", '"""', "'''", "f'{", "f\"{'", "f'''{\"", "t'{", "{", "}", "\\\n", "\\", "\\'", "\\x"),
    *(
        "'''\\''' ",
        '"""\n\\"""\n',
        "f'\\N{",
        "\x00",
        "\ud800",
        "\r",
        "\f",
        "\r\n",
        "\n",
        " \n",
        " ",
        "a",
        "=",
        "a=",
        "$a$ ",
    ),
    *(
        "%%upsql\n",
        "%upsql LIST 's3://a'\n",
        "upsql a\n",
        "upsql \n",
        "#x\n",
        "'a' + ",
        "'a'+b+",
        "SELECT 1+1;",
        "--x\n",
    ),
    *("CREATE /*", "CREATE --", "CREATE ", "ALTER S3 ", "S3 CONNECTION", "CREATE S3 CONNECTION;", "connection ", "/*"),
    *("'CREATE S3 CONNECTION'\n\n", "CREATE S3 CONNECTION a=' ", "AWS_SECRET_ACCESS_KEY='", "run_line_magic('upsql', "),
    *("run_line_magic('%upsql', '')\n", "run_cell_magic('time','','%%upsql')\n", "run_cell_magic('t','','\\\\"),
]
HEADS = ["", "upsql", "%%upsql\n", "%upsql ", "CREATE S3 CONNECTION a ", "x = 'CREATE S3 CONNECTION a B = "]


@pytest.mark.parametrize(
    ("head", "size"), [(head, 32_000) for head in HEADS] + [(head, MEGABYTE) for head in HEADS[:2]]
)
def test_no_cell_runs_away(head: str, size: int):
    """Whatever is repeated up to a megabyte is looked at within the bound, and left alone where it could hold none."""
    for unit in UNITS if size < MEGABYTE or not head else some(UNITS, 3):
        cell = (head + unit * (size // len(unit)))[:size]
        found = kept(cell)
        if not head and "connection" not in unit.lower():
            assert found == cell or "upsql" in unit


def test_no_mixture_runs_away():
    """Mixtures of what opens and closes are looked at within the bound, and no statement behind them is kept."""
    chance = random.Random(7)
    for _ in range(150):
        some = chance.sample(UNITS, 3)
        noise = "".join(chance.choice(some) for _ in range(chance.choice([1, 10, 1000])))
        assert not leaked(kept(f"{noise[:20_000]}\n%%upsql\n{MADE}"))


def test_what_else_sees_cells_cannot_run_away():
    """The completer, the inspector and the lexer answer any cell in time that is linear in its length."""

    class Nothing:
        names = below = staticmethod(lambda *_: ())

    size = 30_000
    for unit in [*UNITS, "$", "= ", "a.", "-- a", "a b "]:
        text = (unit * size)[:size]
        for ask in (
            lambda text: statements_at(text, len(text)),
            lambda text: complete(text, len(text), Nothing()),
            lambda text: help_at(text, len(text)),
            pieces,
        ):
            begun = time.thread_time()
            ask(text)
            assert time.thread_time() - begun < 2 * SECONDS, unit


# Statements, whatever runs them

MADE = f"CREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = '{SECRET}' REGION = 'eu-west-1'"
ALTERED = f"alter s3 connection a set aws_session_token='{SECRET}'"
REPLACED = f"CREATE OR REPLACE\n  S3 /* ours */ CONNECTION a\n  ENCRYPTION_CUSTOMER_MANAGED_KEY = '{SECRET}'\n;"
UNKNOWN = f"CREATE S3 CONNECTION a AWS_SECRET_KEY = '{SECRET}'"
MISSPELT = f"CREATE S3 CONECTION a AWS_SECRET_ACCESS_KEY = '{SECRET}'"
FORGOTTEN = f"CREATE CONNECTION a AWS_SECRET_ACCESS_KEY = '{SECRET}'"
STATEMENTS = [MADE, ALTERED, REPLACED, UNKNOWN, MISSPELT, FORGOTTEN]
MAGICS = {
    "ours": "%%upsql\n{}",
    "another name": "%%sql\n{}",
    "another name, with options": "%%sql --with options\n{}",
    "misspelt": "%%upsqll\n{}",
    "far from ours": "%%s3sql {}",
    "behind another": "%%time\n%%sql\n{}",
    "in a cell of queries": "%%sql\nSELECT 'it''s\nhere';\n{}",
    "forgotten": "{}",
    "below Python": "x = 'a'\n{}",
}
LINES = {
    "ours": "%upsql {}",
    "another name": "x = %sql {}\nprint(x)",
    "misspelt": "%upsqll {}",
    "in a block": "for i in range(3):\n    %upsql {}\n    print('done')",
    "a shell's": "!upsql {}",
}
CALLS = [
    'execute("{}")',
    'execute(f"{}")',
    "s3.execute('''{}\n''')",
    's3.execute(rf"""{}""")',
    'ddl = "{}"  # mine',
    'print(1); ddl = t"{}"; print(2)',
    'd = {{"a": ["x", "{}"]}}',
    'get_ipython().run_cell_magic(\'sql\', \'\', """{}""")',
    'get_ipython().run_cell("""%%upsql\n{}""")',
    'f"{{execute("{}")}}"',
    'def f(:\n    execute("{}")',
]


def masked(statement: str) -> str:
    """The statement without its secret."""
    return statement.replace(SECRET, "<REDACTED>")


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("magic", MAGICS)
def test_a_cell_is_masked_whatever_its_magic_is_called(magic: str, statement: str):
    """A statement is known by its shape in every cell, typed or as IPython has it, and only its secret is masked."""
    cell = MAGICS[magic].format(statement)
    if magic not in {"ours", "misspelt"} or "/*" not in statement:
        assert kept(cell) == MAGICS[magic].format(masked(statement))
    assert not leaked(kept(cell))
    assert not leaked(kept(TransformerManager().transform_cell(cell)))
    assert keeps_secret(cell) is (statement != UNKNOWN)


@pytest.mark.parametrize("statement", [one for one in STATEMENTS if "\n" not in one])
@pytest.mark.parametrize("line", LINES)
def test_a_line_is_masked_whatever_its_magic_is_called(line: str, statement: str):
    """A statement in a line is masked, typed or as IPython has it, and the Python around it stays."""
    cell = LINES[line].format(statement)
    assert kept(cell) == LINES[line].format(masked(statement))
    assert not leaked(kept(TransformerManager().transform_cell(cell)))


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_string_is_masked_in_its_place(call: str, statement: str):
    """A statement in any kind of string loses its secret and nothing else, whoever gets the string."""
    cell = call.format(statement)
    if "\n" in statement and '"""' not in call and "'''" not in call:
        assert not leaked(kept(cell))
    else:
        assert kept(cell) == call.format(masked(statement))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_string_with_escapes_keeps_its_value(statement: str):
    """Of a string written with escapes, Python reads the masked statement."""
    for cell in (repr(statement), f"{statement.encode()!r}", json.dumps(statement), f"b{statement!r}"):
        value = ast.literal_eval(kept(cell))
        assert (value if isinstance(value, str) else value.decode()).rstrip('"') == masked(statement)


PARTS = [
    '"CREATE S3 CONNECTION a "\n"AWS_SECRET_ACCESS_KEY = \'{}\'"',
    '("CREATE S3 "  # of mine\n "CONNECTION a " + \'AWS_SECRET_ACCESS_KEY = "{}"\')',
    '"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = \'" + "{}" + "\'"',
    '"CREATE S3 CONNECTION " + name + " AWS_SECRET_ACCESS_KEY = \'{}\'"',
    'ddl = "CREATE S3 CONNECTION a"\nddl += " AWS_SECRET_ACCESS_KEY = \'{}\'"',
    '"\\n".join(["CREATE S3 CONNECTION a", "AWS_SECRET_ACCESS_KEY = \'{}\'"])',
    "# CREATE S3 CONNECTION a\n# AWS_SECRET_ACCESS_KEY = '{}'",
    "#%%upsql\n#CREATE S3 CONNECTION a\n#  AWS_SECRET_ACCESS_KEY = '{}'\nx = 1",
]


@pytest.mark.parametrize("parts", PARTS)
def test_a_statement_in_parts_is_masked(parts: str):
    """Strings that are put together, and lines that were commented out, are looked at as one."""
    assert kept(parts.replace("{}", SECRET)) == parts.replace("{}", "<REDACTED>")


BROKEN = [
    "execute('CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'')",
    "execute('CREATE S3 CONNECTION a\n AWS_SECRET_ACCESS_KEY = \"{}\"')",
    "execute(\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}",
    '"""CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = \'{}\'',
    "%%sql\nSELECT '''a'; CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'",
    "f\"{x\nCREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'",
    'execute(f"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = \'{"{}"}\'")',
    "execute(f'CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = {\"{}\"!r}')",
    "CREATE S3 CONNECTION a\n\n\nAWS_SECRET_ACCESS_KEY = '{}'",
    "%%upsql\n" + "\x00" * 100 + "\nCREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'",
    "x = 1\rexecute(\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'\")\r",
    "x = " + "(" * 2000 + "'CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = \"{}\"'",
    "x = " + "f'{" * 2000 + "'CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = \"{}\"'",
    "x = '" + "a" * MEGABYTE + "'\nexecute(\"CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'\")",
    "%%upsql\nSELECT 1;" + " " * MEGABYTE + "CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = '{}'",
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda text: text[:40])
def test_where_quotes_are_out_of_step_no_secret_stays(broken: str):
    """Code that is wrong, cut or out of all proportion keeps no secret of a statement in it."""
    assert not leaked(kept(broken.replace("{}", SECRET)))


def test_a_statement_after_any_beginning_of_python_is_masked():
    """Cut anywhere, Python in front of a cell's statement does not hide it."""
    code = "x = f'{a[\"b\"]:>{w}} {{' + r'\\' # it's\ny = [b'''\n%s''', (u\"\\\"\", {1: t'}'})] \\\n  ; z\n"
    for end in range(len(code)):
        assert not leaked(kept(f'{code[:end]}\nexecute("{MADE}")')), code[:end]
        assert not leaked(kept(f"{code[:end]}\n%%sql\n{MADE}")), code[:end]


def test_cells_in_cells_end():
    """A cell in a call in a cell and so on is masked, however deep it is."""
    cell = f"%%upsql\n{MADE}"
    for _ in range(12):
        cell = f"get_ipython().run_cell_magic('time', '', {cell!r})"
        if len(cell) < MEGABYTE:
            assert not leaked(kept(cell))
