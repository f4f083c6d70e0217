"""The shape of the package: what may import what, what is public, what stays light."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import s3conn_magic
from s3conn_magic.language import grammar
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.rules import Keyword

ROOT = Path(s3conn_magic.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


class Layer(NamedTuple):
    """A layer: its modules or folders, and the libraries of others that it may import."""

    name: str
    parts: frozenset[str]
    libraries: frozenset[str] = frozenset()


def _layer(name: str, parts: str, libraries: str = "") -> Layer:
    return Layer(name, frozenset(parts.split()), frozenset(libraries.split()))


# A layer imports itself and the layers above it; the sandbox, a server of its own, imports the ground only.
LAYERS = [
    _layer("ground", "errors secrets locations runtime transport", "aiohttp keyring yarl pyarrow"),
    _layer("language", "language", "pyparsing"),
    _layer("connections", "connections", "boto3 botocore"),
    _layer("listing", "listing", "aiohttp pyarrow numpy"),
    _layer("lakes", "lakes", "botocore deltalake hudi pyarrow pyiceberg"),
    _layer("objects", "objects", "botocore cramjam fastavro fsspec openpyxl pyarrow"),
    _layer("inventory", "inventory", "pyarrow"),
    _layer("query", "query", "duckdb numpy pyarrow"),
    _layer("preview", "preview", "pyarrow pandas charset_normalizer"),
    _layer("datasets", "datasets", "numpy pyarrow"),
    _layer("jobs", "jobs", "duckdb fsspec pyarrow"),
    _layer("handoff", "handoff", "fsspec obstore pyarrow pyiceberg"),
    _layer("cluster", "cluster", "dask distributed pyarrow"),
    _layer("results", "results", "pandas numpy polars pyarrow anywidget ipywidgets itables traitlets IPython"),
    _layer("explorer", "explorer", "pandas numpy pyarrow anywidget ipywidgets traitlets sidecar"),
    _layer("session", "session"),
    _layer("notebook", "notebook", "IPython prompt_toolkit pygments traitlets"),
    _layer("sandbox", "sandbox", "moto botocore werkzeug pyarrow"),
    _layer("composition", "__init__ __main__ cli", "IPython"),
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer.parts}
GROUND, LISTING, SANDBOX, COMPOSITION = (
    next(rank for rank, layer in enumerate(LAYERS) if layer.name == name)
    for name in ("ground", "listing", "sandbox", "composition")
)
# Modules of tables that lie in S3, and of what fills them, that stand in folders of other things.
OF_TABLES = {"query/managing.py", "query/merging.py", "jobs/filling.py", "language/result_columns.py"}
# Longer than 400 lines, each one idea that reads worse in two.
LONG = {
    "language/words.py",  # names that are near, patterns, and what a wrong word may mean
    "session/inputs.py",  # what comes from outside of cells, and what was meant by what is not there
    "objects/apart.py",  # what a process apart reads, and rows of it that DuckDB takes as they are
    "transport/exchange.py",  # how many requests are under way, how fast, and how often each is sent
    "runtime/background.py",  # threads and coroutines, and waits for them that an interrupt ends
    "objects/listed.py",  # what paths match, keys say, and a first look gives
    "objects/uploads.py",  # whole or not at all, several parts at once, and those that never ended
    "cluster/work.py",  # what a worker is told, and what it does with that
    "cluster/scheduler.py",  # a cluster: its workers, and groups of objects that they read
    "cluster/sweep.py",  # ranges shared out: of all that is there, or in key order up to a limit
    "connections/bucket_target.py",  # a bucket as the engine sees it, and what its answers mean
    "connections/configuration.py",  # each setting with its source, and what is wrong with one
    "connections/credentials.py",  # of a statement, of the machine, of a role, and as they are given out
    "connections/faults.py",  # a sentence for each kind of refusal and of a broken machine
    "connections/guards.py",  # READ_ONLY, filters and requester pays, at each of botocore's hooks
    "connections/providers.py",  # every provider of credentials, and each way in which it fails
    "connections/probe.py",  # what a connection may do, tried when it is made and action by action
    "connections/signing.py",  # requests as botocore makes them, and what answers in its place
    "datasets/__init__.py",  # which objects are one dataset, and what is said of each
    "datasets/layout.py",  # keys taken apart by whole columns, and what is counted of them
    "datasets/sampling.py",  # a look into each format, and how two looks differ
    "handoff/handed_files.py",  # fsspec's contract, for reading, writing and many at once
    "handoff/libraries.py",  # what each library is given, and what goes to other processes
    "inventory/__init__.py",  # a report found, its manifest read, and its files fetched
    "inventory/reading.py",  # a report's rows: for a frame, for sums, and for queries
    "jobs/copying.py",  # a run of COPY, its objects together or one by one
    "jobs/loading.py",  # one object, by what all of them have taught
    "jobs/target_table.py",  # what a job loads into: a table of DuckDB, or one in S3 by way of that
    "jobs/inserting.py",  # an INSERT from its query to its object
    "lakes/__init__.py",  # where a table of others is, and how it is reached
    "explorer/connections.py",  # folders, single objects, and every request about them
    "explorer/tasks.py",  # lines that ask and report, and what deletes and restores
    "explorer/transfers.py",  # bytes in and out: of one object, of several, and onto the disk
    "explorer/widget.py",  # a method for each message of a page
    "explorer/details.py",  # what is told of an object, its first rows, and code that reads it
    "explorer/navigator.py",  # what a user can do with the tree, a method each
    "explorer/tree.py",  # rows in columns, folders, and their lines
    "lakes/catalogs.py",  # all that PyIceberg is given of ours: a table's objects, and what knows its newest state
    "lakes/snapshots.py",  # a state, its rows and bounds, which commits a job has read, and a state of Iceberg
    "lakes/managed.py",  # a table of ours, from its first commit to what is swept behind it
    "language/job_binder.py",  # every option of a job and of a table, read and checked
    "query/managing.py",  # rows of DuckDB into a table: made, inserted, merged
    "language/binder.py",  # statements to plans
    "language/dialect.py",  # what Upsolver writes in a query, each form with what DuckDB reads
    "language/help.py",  # HELP, and statements written again
    "jobs/job.py",  # a job, its objects, and one run of it
    "language/cautions.py",  # what can hardly be meant, one function for each kind of statement
    "language/completion.py",  # what the grammar allows at a place, and what stands for it
    "language/diagnosis.py",  # advice, one function for each kind of mistake
    "language/evaluation.py",  # values as they are read, and what is wrong with them
    "language/grammar.py",  # every rule of the language
    "language/job_values.py",  # what a job's options take, each value with its reader
    "language/options.py",  # the table of options, and their values
    "language/phrases.py",  # the phrase book as it is read, and one function for each clause that is filled
    "language/rules.py",  # elements of rules, and what rules share
    "language/reference.py",  # the table of statements
    "language/forms.py",  # one function for each thing that is written wrong: quotes, brackets, marks, names, places
    "language/meant.py",  # which of the ways a wrong statement is answered by, and what it leaves out
    "language/repairs.py",  # what may have been meant where a statement stops, one function for each kind of change
    "language/source.py",  # the text of a cell: tokens and places
    "language/statements.py",  # the tree
    "language/translation.py",  # a statement of others taken apart: a property for each slot
    "language/answers.py",  # a text without a phrase: its verb, and a command of a shell
    "language/readings.py",  # places, and options in every spelling, in a text of any system
    "listing/__init__.py",  # a listing and what runs it
    "listing/pages.py",  # what an answer says, in whatever form, and whether it is one
    "listing/analysis.py",  # what objects are grouped by, and sums that wait on the disk
    "listing/request.py",  # what is asked, range by range and page by page, and how much is worth asking
    "listing/xml.py",  # an answer read fast, and read again by a parser where it differs
    "results/cards.py",  # messages and cards, as text and as a page, and what a widget carries
    "secrets.py",  # secrets, in memory, in log records and on their way to workers
    "locations.py",  # a place in S3, and every form in which people paste one
    "objects/avro.py",  # a container, its types, and arrays of their values
    "objects/deleting.py",  # what goes as it was seen, and every way back
    "objects/containers.py",  # what one process reads, format after format
    "objects/files.py",  # to read and to write, and what closes a file
    "objects/filesystem.py",  # fsspec's interface
    "objects/formats.py",  # the table of formats, and how one is told
    "objects/ranged.py",  # the one reader of ranges
    "objects/requests.py",  # requests of one object, links to it, and downloads
    "objects/unpacking.py",  # every codec as one stream
    "preview/parquet.py",  # a footer and pages that may be damaged
    "preview/preview.py",  # what a beginning of bytes is
    "query/engine.py",  # DuckDB and the turns of statements
    "query/line_rows.py",  # each kind of rows that DuckDB has no reader for
    "query/names.py",  # a query's tree, and what each name in it stands for
    "query/paths.py",  # what stands behind a path, and what its folders say
    "query/plain_rows.py",  # two forms of text, split alike, and what proves a column
    "query/sql.py",  # what DuckDB is told: names, times, text of JSON, and types as others hold them
    "query/tables.py",  # tables and views, what is noted of them, and how they come and go
    "query/text_rows.py",  # CSV and JSON as rows of exact types
    "query/text_types.py",  # every type of text, and of JSON
    "results/frames.py",  # a frame, and the text and the page of it
    "results/listings.py",  # the frame of every statement that lists
    "session/explain.py",  # what each statement would request
    "session/queries.py",  # plans that the engine has a part in
    "session/__init__.py",  # one method for each statement
}
LARGE_FOLDERS = {
    "language",  # a table, a tree, a grammar, a binder, and what completes
    "objects",  # requests, ranges and files of one object, and a reader for each kind of content
}
SAME_MODULES = {
    "__init__",
    "__main__",
    "registry",  # of connections, and of jobs
}
# A connection as the package has it, and as it is handed out; a preview, and the statement that asks for it.
SAME_CLASSES = {"Connection", "Preview"}
# Listing sees a small protocol, not a connection; the sandbox is nobody's part.
NARROW = {LISTING: {GROUND, LISTING}, SANDBOX: {GROUND, SANDBOX}}


def _imports(file: Path) -> set[str]:
    """Every module that a file imports, also inside functions and for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def _part(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def _own(imported: str) -> str:
    """The layer's part that an import of ours is of; the version is everybody's."""
    part = imported.split(".")[1] if "." in imported else "__init__"
    return "errors" if part == "__version__" else part


def _id(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", MODULES, ids=_id)
def test_a_module_imports_only_the_layers_above_it(file: Path):
    """The direction of architecture.md's table, whether an import is at the top, in a function or for types."""
    rank = RANK[_part(file)]
    allowed = NARROW.get(rank, set(range(rank + 1)) - ({SANDBOX} if rank != COMPOSITION else set()))
    ours = {one for one in _imports(file) if one.split(".")[0] == "s3conn_magic"}
    assert not {one for one in ours if RANK[_own(one)] not in allowed}


@pytest.mark.parametrize("file", MODULES, ids=_id)
def test_a_module_imports_only_the_libraries_of_its_layer(file: Path):
    """Nothing but the standard library, and what the layer is there to use."""
    known = {*sys.stdlib_module_names, "__main__", "s3conn_magic"}
    libraries = {one.split(".")[0] for one in _imports(file)} - known
    assert libraries <= LAYERS[RANK[_part(file)]].libraries


def test_the_layers_of_the_test_are_those_of_the_package():
    """No module is without a layer, and nothing that is gone has one."""
    there = {_part(file) for file in MODULES}
    assert there == set(RANK)


def test_the_import_test_finds_what_it_looks_for(tmp_path: Path):
    """Imports in functions and for types are seen."""
    file = tmp_path / "x.py"
    file.write_text(
        "def f():\n    import boto3.session\n    from s3conn_magic.results import frames\n", encoding="utf-8"
    )
    assert _imports(file) == {"boto3.session", "s3conn_magic.results.frames"}
    assert RANK[_own("s3conn_magic.results.frames")] > RANK["language"]


def _name(file: Path) -> str:
    name = ".".join(("s3conn_magic", *file.relative_to(ROOT).with_suffix("").parts))
    return name.removesuffix(".__init__")


def _importers() -> dict[str, set[str]]:
    """Each module, and those that import it, for types, too."""
    importers: dict[str, set[str]] = {_name(file): set() for file in MODULES}
    for file in MODULES:
        for imported in _imports(file):
            module = imported if imported in importers else imported.rpartition(".")[0]
            if module in importers and module != _name(file):
                importers[module].add(_name(file))
    return importers


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_no_module_is_longer_than_an_idea():
    """At most 600 lines, and soft 400: what is longer stands in a list."""
    assert {_id(file) for file in MODULES if _lines(file) > 400} <= LONG
    assert not [_id(file) for file in MODULES if _lines(file) > 600]


def test_the_package_does_not_grow():
    """69,495 lines: what comes pays by what goes; docs/decisions.md says where they are."""
    assert sum(_lines(file) for file in MODULES) <= 69_495


def test_no_module_is_a_closet():
    """What has one importer, in its own folder, and is short, belongs into it."""
    importers, files = _importers(), {_name(file): file for file in MODULES}
    closets = {
        _id(files[module])
        for module, those in importers.items()
        if len(those) == 1 and files[module].parent == files[min(those)].parent and _lines(files[module]) < 150
    }
    assert closets == set()


def test_a_folder_has_no_more_modules_than_one_remembers():
    """Fifteen, but for the large folders; and 154 in all, beside those of tables that lie in S3 and of datasets."""
    folders = Counter(file.parent for file in MODULES)
    assert {folder.name for folder, count in folders.items() if count > 15} <= LARGE_FOLDERS
    counted = [file for file in MODULES if _part(file) not in {"lakes", "datasets"} and _id(file) not in OF_TABLES]
    assert len(counted) <= 154


def test_a_statement_runs_through_few_modules():
    """The first CREATE, LIST and COPY of a kernel, and a page of the explorer: the goals stand in the benchmark."""
    program = Path(__file__).parents[1] / "benchmarks" / "modules_run.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_modules_of_tests_have_one_name():
    """Folders of tests are no packages, so that pytest takes two modules of one name for one, and runs neither."""
    names = Counter(file.name for file in Path(__file__).parent.rglob("*.py") if file.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_two_modules_or_public_classes_have_one_name():
    """A name says which it is."""
    modules = Counter(file.stem for file in MODULES)
    # A statement and its plan have one name: language/plans.py stands for both.
    classes = Counter(
        node.name
        for file in MODULES
        if _id(file) != "language/statements.py"
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in modules.items() if count > 1} <= SAME_MODULES
    assert {name for name, count in classes.items() if count > 1} <= SAME_CLASSES


def test_no_imports_go_in_a_circle():
    """Those for types count; a module and the face of its own package are one."""
    imports: dict[str, set[str]] = {_name(file): set() for file in MODULES}
    for module, those in _importers().items():
        for importer in those:
            imports[importer].add(module)
    outer: set[str] = {"the first round"}
    while outer:
        imported = set().union(*imports.values())
        outer = {module for module, those in imports.items() if not those & imports.keys() or module not in imported}
        imports = {module: those - outer for module, those in imports.items() if module not in outer}
    assert {module: sorted(those & imports.keys()) for module, those in imports.items()} == {}


@pytest.mark.parametrize("file", MODULES, ids=_id)
def test_nothing_is_called_by_a_name_that_says_nothing(file: Path):
    """Modules and classes have names of the field, and variables are named after what they hold."""
    nodes = [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    words = [file.stem, *[node.name for node in nodes if isinstance(node, ast.ClassDef)]]
    empty = re.compile(r"(^|_)(utils?|helpers?|managers?|handle[rs]*|process)(_|$)", re.IGNORECASE)
    assert not [word for word in words if empty.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word))]
    variables = {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }
    assert not variables & {"one", "found", "told", "it"}


def test_the_public_names_are_these():
    """The surface is a handful of names, and each of them is there."""
    assert s3conn_magic.__all__ == [
        "Connection",
        "S3ConnError",
        "Session",
        "connection",
        "execute",
        "load_ipython_extension",
        "unload_ipython_extension",
    ]
    assert all(getattr(s3conn_magic, name) for name in s3conn_magic.__all__)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    """Lazy names do not change how a missing one fails."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = s3conn_magic.nothing


LOAD = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "s3conn_magic")
assert "upsql" in shell.magics_manager.magics["cell"]
"""
# What is loaded of ours, and the packages of others of which something may be.
AT_IMPORT = {"s3conn_magic", "s3conn_magic.runtime"}
AT_LOAD = AT_IMPORT | {
    "s3conn_magic.errors",
    "s3conn_magic.language",
    "s3conn_magic.language.session_settings",
    "s3conn_magic.notebook",
    "s3conn_magic.notebook.history",
    "s3conn_magic.notebook.magic",
    "s3conn_magic.notebook.tab",
    "s3conn_magic.runtime.interrupts",
}
MOST_OF_PYTHON = 10


@pytest.mark.parametrize(
    ("use", "ours", "others"),
    [("before = set(sys.modules)\nimport s3conn_magic", AT_IMPORT, set()), (LOAD, AT_LOAD, {"IPython"})],
    ids=["import", "load_ext"],
)
def test_nothing_is_imported_before_its_first_use(use: str, ours: set[str], others: set[str], tmp_path: Path):
    """Importing the package and loading the extension import a few modules of ours, and hardly any of others."""
    # A file, since from Python 3.13 on tracebacks quote the lines of `-c`, which are then looked through for secrets.
    program = tmp_path / "program.py"
    report = "\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    code = f"import json, sys\nsys.path.insert(0, {str(ROOT.parent)!r})\n{use}{report}"
    program.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    packages = Counter(module.split(".")[0] for module in loaded)
    assert {module for module in loaded if module.split(".")[0] == "s3conn_magic"} == ours
    assert set(packages) - sys.stdlib_module_names - {"s3conn_magic"} <= others
    assert sum(packages[name] for name in sys.stdlib_module_names) <= MOST_OF_PYTHON


def _grammar_words() -> set[str]:
    """Every keyword that the grammar's rules match."""
    words, waiting, seen = set(), [grammar.cell], set()
    while waiting:
        rule = waiting.pop()
        if id(rule) in seen:
            continue
        seen.add(id(rule))
        if isinstance(rule, Keyword):
            words.add(rule.word)
        waiting += list(rule.recurse())
    patterns = re.findall(r"\(\?ai:([A-Z|]+)\)", grammar.boolean.pattern + grammar.query.pattern)
    return words | {word for one in patterns for word in one.split("|")}


def test_the_grammar_and_the_reference_have_the_same_words():
    """Every keyword of the grammar is in the reference, and the reverse."""
    assert _grammar_words() == KEYWORDS


def test_no_option_is_a_keyword():
    """The words of the language and the names of options do not meet."""
    assert not KEYWORDS & set(OPTION_NAMES)
