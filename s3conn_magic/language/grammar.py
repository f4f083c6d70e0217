"""The grammar, and nothing else: text of a cell → statements. `docs/grammar.md` holds its BNF.

The text comes with its comments blanked, so offsets are those of the cell. Every rule has a name that reads well
after "expected", and an error stop (`-`) stands wherever only one continuation is left.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyparsing as pp

from s3conn_magic.language import statements as tree
from s3conn_magic.language.expectations import offering
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.source import Span
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

_WHITE = " \t\r\n\f\v"
_BLANK = re.compile(f"[{_WHITE}]*")
_DIGITS = 18
# Keywords that stand where no name can, so that they may be names without quotes.
_FREE = {
    "AGE",
    "ALL",
    "BUCKETS",
    "CONNECTIONS",
    "SETTINGS",
    "ENV",
    "EXTENSION",
    "HELP",
    "KEYRING",
    "PREFIX",
    "PROMPT",
    "SANDBOX",
    "SIZE",
    "START",
    "STOP",
    "STORAGE_CLASS",
    "TEST",
    "USE",
}
_STRUCTURAL = KEYWORDS - _FREE - {"WRITE"}
RESERVED = _STRUCTURAL | frozenset(OPTION_NAMES)
"""Words that are names only in double quotes."""


def _regex(pattern: str, name: str) -> pp.ParserElement:
    return pp.Regex(pattern).set_whitespace_chars(_WHITE).set_name(name)


def _mark(text: str) -> pp.ParserElement:
    return pp.Literal(text).set_whitespace_chars(_WHITE).suppress().set_name(f"`{text}`")


def _word(text: str) -> pp.ParserElement:
    return pp.CaselessKeyword(text, ident_chars=pp.identbodychars).set_whitespace_chars(_WHITE).set_name(text)


def _words(text: str) -> pp.ParserElement:
    """Keywords of which, once the first is there, all must follow."""
    rule, *rest = (_word(one).suppress().set_name(one) for one in text.split())
    for one in rest:
        rule = rule - one
    return rule


def _name_but(words: frozenset[str], name: str) -> pp.ParserElement:
    """An identifier that is none of the words."""
    return _token(rf"(?!(?i:{'|'.join(sorted(words))})(?![A-Za-z0-9_]))[A-Za-z_][A-Za-z0-9_]*", name, tree.Name, str)


def _token(pattern: str, name: str, kind: Any, read: Callable[[str], Any]) -> pp.ParserElement:
    """A node made of one match."""
    return _regex(pattern, name).add_parse_action(lambda at, found: kind(read(found[0]), Span(at, at + len(found[0]))))


def _field(field: str, rule: pp.ParserElement) -> pp.ParserElement:
    """A rule whose one result is the value of a field of the statement."""
    return pp.Located(rule).add_parse_action(lambda found: [(field, found[1][0], found[0])])


def _fields(field: str, rule: pp.ParserElement) -> pp.ParserElement:
    """A rule all of whose results are the value of a field of the statement."""
    return pp.Located(rule).add_parse_action(lambda found: [(field, tuple(found[1]), found[0])])


def _flag(field: str, words: str, *, value: bool = True) -> pp.ParserElement:
    return _field(field, _words(words).add_parse_action(lambda: [value])).set_name(words)


def _statement(kind: type[tree.Statement], rule: pp.ParserElement) -> pp.ParserElement:
    """A rule that gives fields, made into the statement; the same field twice is an error at the second."""

    def build(text: str, _: int, found: Any) -> tree.Statement:
        start, parts, end = found
        fields: dict[str, Any] = {}
        for field, one, at in parts:
            if field in fields and field != "settings":
                raise pp.ParseFatalException(text, _span(text, at, at).start, f"{_clause(field)} stands twice")
            fields[field] = fields.get(field, ()) + one if field == "settings" else one
        return kind(**fields, span=_span(text, start, end))

    return pp.Located(rule).add_parse_action(build)


def _from_first_word(rule: pp.ParserElement) -> pp.ParserElement:
    """A rule that ends in a statement, whose span then begins where the rule does."""

    def widen(text: str, _: int, found: Any) -> tree.Statement:
        start, (statement,), end = found
        widened: tree.Statement = replace(statement, span=_span(text, start, end))
        return widened

    return pp.Located(rule).add_parse_action(widen)


def _clause(field: str) -> str:
    return "the location" if field == "location" else field.replace("_", " ").upper()


def _span(text: str, start: int, end: int) -> Span:
    """The span without the white space around it, of which the parser skips some before and some after."""
    while end > start and text[end - 1] in _WHITE:
        end -= 1
    return Span(_BLANK.match(text, start).end(), end)  # type: ignore[union-attr] # it matches nothing, too


def _node(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """A rule whose results are the arguments of a node."""
    return pp.Located(rule).add_parse_action(lambda text, _, found: kind(*found[1], _span(text, found[0], found[2])))


def _unquoted(quoted: str) -> str:
    return quoted[1:-1].replace(quoted[0] * 2, quoted[0])


# Names and values

_IDENTIFIER, _STRING = r"[A-Za-z_][A-Za-z0-9_]*", r"'(?:[^']|'')*'"
name = (_token(r'"(?:[^"]|"")+"', "a name", tree.Name, _unquoted) | _name_but(RESERVED, "a name")).set_name("a name")
text = _regex(_STRING, "text in single quotes").add_parse_action(lambda found: _unquoted(found[0]))
number = _regex(rf"[0-9]{{1,{_DIGITS}}}(?![A-Za-z0-9_.])", "a whole number").add_parse_action(
    lambda found: int(found[0])
)

_env_name = offering("environment variable", text)
connection_name = offering("connection", name)

string = _token(_STRING, "text in single quotes", tree.StringLiteral, lambda raw: Secret(_unquoted(raw)))
variable = offering(
    "variable", _token(rf"\${_IDENTIFIER}", "a Python variable", tree.VariableSource, lambda raw: raw[1:])
)
boolean = _token(
    r"(?i:TRUE|FALSE)(?![A-Za-z0-9_])", "TRUE or FALSE", tree.BooleanLiteral, lambda raw: raw.upper() == "TRUE"
)
integer = _token(rf"[0-9]{{1,{_DIGITS}}}(?![A-Za-z0-9_.])", "a whole number", tree.IntegerLiteral, int)
env = _node(tree.EnvSource, _words("ENV") - _env_name)
keyring = _node(tree.KeyringSource, _words("KEYRING") - text - text)
prompt = _node(tree.PromptSource, _words("PROMPT") + pp.Opt(text, default=""))
scalar = offering("value", (string | variable | boolean | integer | env | keyring | prompt).set_name("a value"))
_items = scalar - pp.ZeroOrMore(_mark(",") + scalar) - pp.Opt(_mark(","))
values = _node(tree.ListLiteral, _mark("(") - _items.add_parse_action(lambda found: [tuple(found)]) - _mark(")"))
value = offering("value", (scalar | values).set_name("a value"))

# Options and clauses

option_name = offering("option", _name_but(_STRUCTURAL, "an option"))
option = _node(tree.OptionSetting, option_name - _mark("=") - value)
options = option - pp.ZeroOrMore(_mark(",") - option | option)

named = _field("name", connection_name).set_name("a name")
_new_name = _field("name", name).set_name("a name")
if_exists = pp.Opt(_flag("if_exists", "IF EXISTS"))
like = _field("like", _words("LIKE") - text)
using = _field("using", _words("USING") - connection_name)
_place = offering("location", (string | variable).set_name("an s3:// location"))
location = _field("location", _place).set_name("an s3:// location")
_groups = (_word("PREFIX") | _word("STORAGE_CLASS") | _word("EXTENSION") | _word("AGE") | _word("SIZE")).set_name(
    "PREFIX, STORAGE_CLASS, EXTENSION, AGE or SIZE"
)
by = _field("by", _words("BY") - _groups)
depth = _field("depth", _words("DEPTH") - integer)
limit = _field("limit", _words("LIMIT") - (_word("ALL") | number).set_name("a whole number or ALL"))

# Statements

_settings = _fields("settings", options)
_set = (_words("SET") - _settings - pp.ZeroOrMore(_words("SET") - _settings)).set_name("SET")
_unset = _fields("unset", _words("UNSET") - option_name - pp.ZeroOrMore(_mark(",") - option_name)).set_name("UNSET")
_rename = _field("rename_to", _words("RENAME TO") - name).set_name("RENAME TO")
_list_clause = (
    using
    | _flag("recursive", "RECURSIVE")
    | _flag("versions", "VERSIONS")
    | _field("matching", _words("MATCHING") - string)
    | limit
)

create = _statement(
    tree.CreateConnection,
    _words("CREATE")
    - pp.Opt(_flag("or_replace", "OR REPLACE"))
    - _words("S3 CONNECTION")
    - pp.Opt(_flag("if_not_exists", "IF NOT EXISTS"))
    - _new_name
    - pp.Opt(_settings),
)
alter = _statement(
    tree.AlterConnection,
    _words("ALTER S3 CONNECTION") - if_exists - named - (_set | _unset | _rename).set_name("SET, UNSET or RENAME TO"),
)
drop = _statement(
    tree.DropConnection,
    _words("DROP")
    - pp.Opt(_words("S3"))
    - _words("CONNECTION")
    - if_exists
    - named
    - pp.Opt(_flag("cascade", "CASCADE")),
)
_shown = (
    _statement(tree.ShowConnections, _words("CONNECTIONS") - pp.Opt(like))
    | _statement(tree.ShowBuckets, _words("BUCKETS") - pp.ZeroOrMore(using | like))
    | _statement(tree.ShowSettings, _words("SETTINGS"))
    | _statement(tree.ShowCreate, _words("CREATE S3 CONNECTION") - named)
).set_name("CONNECTIONS, BUCKETS, SETTINGS or CREATE S3 CONNECTION")
show = _from_first_word(_words("SHOW") - _shown)
describe = _statement(tree.DescribeConnection, _words("DESCRIBE CONNECTION") - named)
test = _statement(
    tree.TestConnection,
    _words("TEST CONNECTION")
    - named
    - pp.ZeroOrMore(
        _field("location", _words("LOCATION") - pp.Opt(_mark("=")) - _place) | _flag("with_write", "WITH WRITE")
    ),
)
use = _statement(tree.UseConnection, _words("USE CONNECTION") - named)
list_objects = _statement(tree.ListObjects, _words("LIST") - pp.Opt(location) - pp.ZeroOrMore(_list_clause))
_explored = _statement(tree.ExploreAll, _words("ALL CONNECTIONS")) | _statement(
    tree.Explore, pp.Opt(location) - pp.Opt(using)
)
explore = _from_first_word(_words("EXPLORE") - _explored)
analyze = _statement(tree.Analyze, _words("ANALYZE") - location - pp.ZeroOrMore(using | by | depth))
preview = _statement(
    tree.Preview,
    _words("PREVIEW") - location - pp.ZeroOrMore(using | _field("limit", _words("LIMIT") - number)),
)
_setting = offering("setting", _name_but(_STRUCTURAL - {"LIMIT"}, "a setting"))
_all = _token(r"(?i:ALL)(?![A-Za-z0-9_])", "ALL", tree.WordLiteral, str.upper)
_setting_value = _field("value", offering("value", (_all | value).set_name("a value"))).set_name("a value")
set_ = _statement(tree.SetSetting, _words("SET") - _field("name", _setting) - _mark("=") - _setting_value)
start = _statement(tree.StartSandbox, _words("START SANDBOX"))
stop = _statement(tree.StopSandbox, _words("STOP SANDBOX"))
topic = pp.OneOrMore(offering("topic", _regex(_IDENTIFIER, "a name"))).add_parse_action(" ".join)
help_ = _statement(tree.Help, _words("HELP") - pp.Opt(_field("topic", topic)))

statement = (
    create
    | alter
    | drop
    | show
    | describe
    | test
    | use
    | list_objects
    | explore
    | analyze
    | preview
    | set_
    | start
    | stop
    | help_
).set_name("a statement")
_separator = _regex(rf";[;{_WHITE}]*", "`;`").suppress()
cell = (
    pp.Opt(_separator) - pp.Opt(statement - pp.ZeroOrMore(_separator + statement) - pp.Opt(_separator)) - pp.StringEnd()
)
cell.parse_with_tabs()


def parse_cell(code: str) -> list[tree.Statement]:
    """Statements of a text whose comments are blanked.

    Raises:
        pyparsing.ParseBaseException: holds the whole text; read its place and rule, and let go of it.
    """
    return list(cell.parse_string(code, parse_all=True))
