"""The phrase book: statements and options of other systems → ours, by the tables of `phrases.toml`.

It is read where a statement has failed, and by HELP, Tab and docs/mapping.md. A pattern is written as the reference
writes a syntax: words as they are, `[what may be missing]`, `{one|of|these}`, `<slot>` for what is taken over.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, Option, find_option
from s3conn_magic.language.source import Span, is_plain
from s3conn_magic.language.words import literal, nearest
from s3conn_magic.locations import normal_location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


MOST = 4_000
BLANK = "…"
"""What is left to be filled in."""
_NAME = r"(?!(?:INTO|SELECT|IN)\b)(?:\"(?:[^\"]|\"\")+\"|`[^`]+`|[A-Za-z_][\w$-]*(?:\.[A-Za-z_][\w$-]*)*)"
QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_BALANCED = rf"(?:[^()'\"]|{QUOTED})"
for _ in range(3):
    _BALANCED = rf"(?:[^()'\"]|{QUOTED}|\({_BALANCED}*\))"
# Words that no name stands for in a statement that is read as it may have been meant.
_TAKEN = (
    "S3|CONNECTIONS?|IF|SET|AS|WITH|OPTIONS|OR|TABLES?|JOBS?|BUCKETS?|SETTINGS|USING|LIKE|FROM|IN|ON|LIMIT|ALL|TO|UNSET"
    "|RENAME|SECRET|STAGE|STORAGE|EXTERNAL|VIEW|DATABASE|SCHEMA|INDEX|RECURSIVE|VERSIONS|MATCHING|INVENTORY|LOCATION"
)
_SLOTS = {
    "or_replace": r"OR\s+REPLACE\b",
    "if_not_exists": r"IF\s+NOT\s+EXISTS\b",
    "if_exists": r"IF\s+EXISTS\b",
    "place": r"'[^']*://[^']*'|\"[^\"]*://[^\"]*\"|`[^`]*`|[a-z0-9]+://[^\s;,()'\"]+",
    "stage": r"'@[^']+'|@[^\s;,()']+",
    "remote": r"[\w-]+:[^\s;]*",
    "path": r"[\w-]+/[^\s;]*",
    "text": rf"{QUOTED}|\$\$.*?\$\$",
    "value": rf"{QUOTED}|os\.\w+\s*[\[(][^)\]]*[\])]|[^\s;,()=]\S*?",
    "key": r"['\"][\w.-]+['\"]|[\w.-]+",
    "pipe": r"\|(?!\|)|>{1,2}|INTO\b",
    "into": r"(?:for\s+[\w, ]+?\s+in|[\w, .]+?=(?!=)|(?:print|display|list|len|pprint)\s*\(|await|return|yield)",
    "recursive": r"RECURSIVE\b",
    "moved": r"(?:(?:RECURSIVE|VERSIONS|USING\s+\w+|LIMIT\s+\w+|MATCHING\s+'[^']*')\s*)+",
    "plural": r"(?:CONNECTIONS|BUCKETS|TABLES|JOBS|SETTINGS)\b",
    "tabled": r"(?:PIVOT|UNPIVOT|VALUES)\b.+",
    "method": r"parquet|csv|json|orc|text|load|save",
    "names": r"\w+(?:\s*,\s*\w+)*",
    "clauses": (
        r"(?:USING|STORED|PARTITIONED|CLUSTERED|CLUSTER|WITH|LOCATION|TBLPROPERTIES|ROW|COMMENT|AS|OPTIONS|DISTKEY|SORTKEY"
        r"|DISTSTYLE|FILE_FORMAT|CATALOG|EXTERNAL_VOLUME|BASE_LOCATION)\b.+?"
    ),
    "listed": r"(?:SHOW|LIST|SELECT|ANALYZE|PREVIEW|FROM)\b.*?",
    "named": rf"(?!(?:{_TAKEN})\b|\w+\s*[=:])(?:{_NAME}|'[\w .-]+'|\d\w*)",
    "lone": rf"(?!(?:{_TAKEN})\b)(?:{_NAME})",
    "bucket": r"'[\w.-]+(?:/[^']*)?'|(?=[^\s;]*[-/])[a-z0-9][\w./-]+",
    "glued": r"LIKE\s+[\w%*.-]+",
    "prompted": r"%{1,2}(?:up|spark|i)?sql\b|[!>$]|\w*sql>|D(?=\s)|await\b|\w+\s*(?:=|<<)(?:\s*%upsql\b)?|```\s*\w*",
    "verb": r"(?:LIST|EXPLORE|ANALYZE|PREVIEW)\b",
    "field": r"f?['\"]?\{\{?\s*[A-Za-z_]\w*\s*\}?\}['\"]?|[$#]\{\w+\}|[:@&][A-Za-z_]\w*|%\(\w+\)s",
    "ours": (
        r"(?:SHOW|LIST|CREATE|ALTER|DROP|SELECT|FROM|WITH|EXPLORE|ANALYZE|PREVIEW|USE|DESC|DESCRIBE|HELP|TEST|RUN|COPY"
        r"|SET|UNLOAD|INSERT|LS|PUT|GET)\b.*?"
    ),
    "column": r"[A-Za-z_]\w*",
    "where": r".+",
    "file": r"[^\s;]+",
    "item": r"\[[^\]]*\]",
    "setting": r"[\w.]+",
    "n": r"'?-?\d[\d_,.]*'?",
    "query": rf"(?:SELECT|WITH|FROM|VALUES)\b{_BALANCED}*?|\({_BALANCED}*?\)",
    **dict.fromkeys(("name", "table", "other", "word"), _NAME),
    "profiled": QUOTED,
    **dict.fromkeys(("endpoint", "access", "secret"), rf"{QUOTED}|[^\s;]+"),
    **dict.fromkeys(("options", "rest", "tail", "words", "columns"), r".*?"),
}
_OPTIONAL = ("or_replace", "if_not_exists", "if_exists")
_ELEMENT = re.compile(r"<(\w+)>|([\[\]{}|])|(\w+)|(\s+)|(.)")


Written: TypeAlias = "str | list[str]"
"""A value, or a list of them, as it is written."""


class Phrase(NamedTuple):
    """A statement of another system, what says the same here, and the difference; without ours, that is the answer."""

    whose: str
    theirs: str
    ours: str
    difference: str
    cli: bool

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a whole statement."""
        upper = text.upper()
        if not all(any(word in upper for word in words) for words in _words_of(self.theirs)):
            return None
        return _compiled(self.theirs).fullmatch(text)


class Synonym(NamedTuple):
    """An option of another system: ours, or none where it is left out; `values` has those that differ."""

    whose: str
    theirs: str
    ours: str
    difference: str
    values: Mapping[str, str]


@cache
def _words_of(pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return the words that a text must have for the pattern to fit, one of each group."""
    plain = pattern
    while (less := re.sub(r"\[[^\[\]]*\]", " ", plain)) != plain:
        plain = less
    groups = re.findall(r"\{([^{}]*)\}", plain)
    alone = re.sub(r"\{[^{}]*\}|<\w+>", " ", plain).split()
    return (
        *((word.upper(),) for word in alone),
        *(tuple(re.sub(r"<\w+>", " ", way).split()[0].upper() for way in group.split("|")) for group in groups),
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression over the text of a statement."""
    pieces, names = [], dict[str, int]()
    for match in _ELEMENT.finditer(pattern):
        slot, bracket, word, space, other = match.groups()
        if slot:
            names[slot] = names.get(slot, 0) + 1
            group = slot if names[slot] == 1 else f"{slot}_{names[slot]}"
            pieces.append(rf"\s*(?P<{group}>{_SLOTS[slot]}){'?' if slot in _OPTIONAL else ''}")
        elif bracket:
            pieces.append({"[": "(?:", "]": ")?", "{": r"\s*(?:", "}": ")", "|": "|"}[bracket])
        elif word:
            follows = pattern[match.end() : match.end() + 1]
            pieces.append(rf"\s*{word}" + ("" if follows in {"<", "{"} else r"\b"))
        elif other and not space:
            pieces.append(rf"\s*{re.escape(other)}")
    return re.compile("".join(pieces) + r"\s*", re.IGNORECASE | re.DOTALL | re.ASCII)


@cache
def book() -> dict[str, dict[str, Any]]:
    """Return the tables as they are written."""
    text = files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def phrases() -> tuple[Phrase, ...]:
    """Return the statements of all systems, in the order of the file."""
    return tuple(
        Phrase(section["whose"], row[0], row[1], row[2], cli=bool(section.get("cli")))
        for section in _sections().values()
        for row in section["statements"]
    )


@cache
def _sections() -> dict[str, dict[str, Any]]:
    return {name: section for name, section in book().items() if "whose" in section}


@cache
def synonyms() -> tuple[Synonym, ...]:
    """Return the options of all systems, in the order of the file."""
    return tuple(
        Synonym(section["whose"], row[0], row[1], row[2], _values("".join(row[3:])))
        for section in _sections().values()
        for row in section["options"]
    )


def _values(written: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in written.split())
    return {theirs.lower(): ours for theirs, _, ours in pairs}


@cache
def _by_name() -> dict[str, Synonym]:
    return {entry.theirs: entry for entry in reversed(synonyms())}


def folded(name: str) -> str:
    """Return an option's name as the tables have it: `--role-arn`, `fs.s3a.access.key`, `roleArn`."""
    plain = re.sub(r"[.-]", "_", name.strip("'\"`-")).upper()
    return plain.removeprefix("SPARK_HADOOP_")


def synonym(name: str) -> Synonym | None:
    """Return what an option of another system is here."""
    known = folded(name)
    entries = _by_name()
    for prefix in ("", "S3_", "AWS_", "STORAGE_", "S3_AWS_"):
        if known.startswith(prefix) and (entry := entries.get(known.removeprefix(prefix))):
            return entry
    plain = known.replace("_", "")
    return next((entry for theirs, entry in entries.items() if theirs.replace("_", "") == plain), None)


def option_meant(name: str) -> Option | None:
    """Return the option of ours that a name of any system stands for."""
    known = folded(name)
    ours = find_option(known) or find_option(name)
    if ours is None and (entry := synonym(name)):
        ours = find_option(entry.ours)
    plain = known.replace("_", "")
    bare = (option for option in OPTIONS if option.name.replace("_", "") in {plain, f"AWS{plain}"})
    return ours or next(bare, None)


_PIECE = re.compile(rf"{QUOTED}|\$\$.*?\$\$|--(?=\s|$)[^\n]*|(?<!\S)/\*.*?\*/|(?P<end>;)", re.DOTALL)
COMMENT = re.compile(rf"({QUOTED}|\$\$.*?\$\$)|--(?=\s|$)[^\n]*|(?<!\S)/\*.*?\*/|(?<!\S)#[^\n]*", re.DOTALL)


def pieces(text: str) -> Iterator[Span]:
    """Yield the statements of a text, foreign ones among them, without the `;`."""
    start = 0
    for match in _PIECE.finditer(text):
        if match["end"]:
            yield trimmed(text, start, match.start())
            start = match.end()
    yield trimmed(text, start, len(text))


def trimmed(text: str, start: int, end: int) -> Span:
    """Return a span without the white space and comments around what it holds."""
    while match := re.compile(r"\s+|--(?=\s|$)[^\n]*|/\*.*?\*/", re.DOTALL).match(text, start, end):
        start = match.end()
    return Span(start, max(start, start + len(text[start:end].rstrip())))


def lines_of(text: str, span: Span) -> Iterator[Span]:
    """Yield the lines of a statement of several, for languages in which a line is one."""
    if "\n" in text[slice(*span)] and len(text) <= MOST:
        for match in re.finditer(r"[^\n]+", text[slice(*span)]):
            if match.group().strip():
                yield trimmed(text, span.start + match.start(), span.start + match.end())


def head_of(text: str, span: Span) -> Span:
    """Return the first word of a statement."""
    match = re.compile(r"[^\s('\"=;,]+").match(text, span.start)
    return Span(span.start, match.end() if match else span.end)


def spaced(text: str) -> str:
    """Return a statement with single spaces, without its end: two that are the same so say the same."""
    return " ".join(text.split()).rstrip("; ")


_SWITCHES = frozenset(
    {"recursive", "human-readable", "summarize", "no-sign-request", "no-verify-ssl", "dryrun", "quiet", "delete"}
    | {
        "force",
        "verbose",
        "versions",
        "humanize",
        "all",
        "dry-run",
        "long",
        "no-paginate",
        "only-show-errors",
        "all-versions",
    }
)
_FLAG = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)(?:=(\S+))?")


def flags_of(text: str) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of a command with their values, and the command without them."""
    flags, rest, at = [], [], 0
    while match := _FLAG.search(text, at):
        rest.append(text[at : match.start()])
        name, value, at = match[1], match[2], match.end()
        follows = re.compile(rf"\s+({QUOTED}|[^\s;]+)").match(text, at)
        takes = value is None and name.startswith("--") and name[2:] not in _SWITCHES
        if follows and takes and not re.match(r"-|s3://", follows[1]):
            value, at = follows[1], follows.end()
        flags.append((name, value or "true"))
    return flags, "".join([*rest, text[at:]]).strip()


_TOKEN = re.compile(
    r"ENV\s*\(?\s*['\"]?\w+['\"]?\s*\)?|PROMPT(?:\s+'[^']*')?|KEYRING\s+'[^']*'\s*,?\s*'[^']*'"
    r"|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|[$#]\{\w+\}|%\(\w+\)s|(?<=[\s=]):[A-Za-z_]\w*|:=|[A-Za-z_-]+(?=:\s)"
    rf"|f?{QUOTED}|\$\$.*?\$\$|os\.environ\s*\[[^\]]*\]|(?:os\.)?(?:getenv|environ\.get)\s*\([^)]*\)"
    r"|=>|==|[=:(),\[\]{}]|[^\s=:(),\[\]{}'\"]+(?:://[^\s,()'\"]*|:\d+[^\s,()'\"]*)?",
    re.DOTALL | re.IGNORECASE,
)
_ASSIGNS = {"=", "=>", "==", ":", ":="}
_MARKS = _ASSIGNS | set("(),[]{}")


# Words between options that say nothing.
_BETWEEN = {"WITH", "OPTIONS", "SET", "AND", "AS", "PROPERTIES", "CREDENTIALS", "CONFIG", "USING"}


def given_in(text: str) -> Iterator[tuple[str, Written]]:
    """Yield the options in a text with their values as written: `A = 'x'`, `A 'x'`, `A => 'x'`, `"a": "x"`, nested.

    What is no option is given with an empty name.
    """
    tokens, at = _TOKEN.findall(text), 0
    if rest := _TOKEN.sub("", text).strip():
        yield "", rest
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in _MARKS or (token.upper() in _BETWEEN and following not in _ASSIGNS):
            at += 1
            continue
        together = f"{token}_{following}"
        if find_option(together) or (following.isalpha() and not find_option(token) and synonym(together)):
            token, at = together, at + 1
            following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if following in {"", ",", ")"} and (switch := find_option(token)) and switch.takes == "TRUE or FALSE":
            yield token, "TRUE"
            at += 1
            continue
        value_at = at + 2 if following in _ASSIGNS else at + 1
        if following not in _ASSIGNS and (following in _MARKS - {"("} or not following or token[0] in "'\""):
            if token.upper() not in _BETWEEN:
                yield "", token
            at += 1
            continue
        value, end = _value_at(tokens, value_at)
        if value is not None:
            yield token, value
        elif value_at >= len(tokens) or tokens[value_at] not in {"(", "[", "{"}:
            yield "", token
        at = end


def _value_at(tokens: Sequence[str], at: int) -> tuple[Written | None, int]:
    """Return the value at an index, and the index behind it; None where options are nested there."""
    if at >= len(tokens):
        return None, at
    if tokens[at] not in {"(", "[", "{"}:
        return (None if tokens[at] in _MARKS else tokens[at]), at + 1
    inside: list[str] = []
    for index in range(at + 1, len(tokens)):
        if tokens[index] in {")", "]", "}"}:
            return (inside, index + 1) if inside else (None, at + 1)
        if tokens[index] in _ASSIGNS or tokens[index] in _MARKS - {","} or tokens[index][0] not in "'\"`" + ",":
            return None, at + 1
        inside += [] if tokens[index] == "," else [tokens[index]]
    return inside or None, len(tokens)


def without_quotes(written: str) -> str:
    """Return a value without its quotes."""
    if written[:2] == "$$":
        return written[2:-2]
    quote = written[:1]
    if quote in {"'", '"', "`"} and written.endswith(quote) and len(written) > 1:
        return written[1:-1].replace(quote * 2, quote)
    return written


WILD = re.compile(r"[*?\[{]")
URL = re.compile(
    r"(?P<scheme>https?://)?(?:(?P<key>[^:@]+):(?P<secret>.+)@)?(?P<host>[\w.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)(?:/.*)?"
)
FIELD = re.compile(
    r"(?:f['\"])?\{\{?\s*(\w+)\s*\}?\}['\"]?|[$#]\{(\w+)\}|[:@&]{1,2}([A-Za-z_]\w*)|%\((\w+)\)s", re.ASCII
)
_SOURCE = re.compile(r"ENV\s*\(?\s*['\"]?(\w+)['\"]?\s*\)?", re.IGNORECASE)
_ENVIRONMENT = re.compile(
    r"(?:os\.)?(?:environ\s*\[|getenv\s*\(|environ\.get\s*\()\s*['\"](\w+)['\"].*|\$\{?([A-Z]\w*)\}?", re.DOTALL
)
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
PYTHON = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
# What a variable that holds a part of a key pair is called; any other bare word may be the secret itself.
_VARIABLE = re.compile(
    r"(?:[a-z0-9]{1,8}_){0,3}(?:secret|key|id|token|password|pwd)(?:_(?:id|key|access|token|value))*", re.IGNORECASE
)
KEY_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,17}")
ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|kms|sts)::?[a-z0-9-]*:?\d{12}:[\w+=,.@/-]+")
_LOCAL = re.compile(r"^(?:localhost|127\.|\[::1\]|minio|host\.docker)", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Whether a server is one that people run without TLS."""
    return _LOCAL.match(host) is not None


# Shorter words cannot hold as much of a secret as would matter.
_SHORT = 8


def harmless(text: str) -> bool:
    """Whether no word of a text can be a secret: those mix capitals, small letters and digits."""
    words = re.split(r"[^A-Za-z0-9+]+", text)
    return all(len(word) < _SHORT or is_plain(word) or word in {word.lower(), word.upper()} for word in words)


_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(slots=True)
class Given:
    """Options of ours made of those of others: texts as a statement has them, and what is not among them."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    others: dict[str, Written] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    python: bool = False
    tolerant: bool = False
    junk: bool = False
    _scheme: str = ""

    def add(self, name: str, value: Written) -> None:
        """Add one option of any system; what has no name is none of any."""
        known = folded(name)
        # The key of an object, which is no part of a key pair.
        of_object = known == "KEY" and "BUCKET" in self.others
        self.junk = self.junk or not name
        self.others[known] = value
        if not name or of_object or known == "PORT":
            return
        entry = None if find_option(known) else synonym(name)
        if entry is None or not self._mapped(entry, known, value):
            self._plain(name, known, value)

    def _mapped(self, entry: Synonym, known: str, value: Written) -> bool:
        """Add an option some of whose values are written otherwise; return whether this one is."""
        bare = without_quotes(value).lower() if isinstance(value, str) else ""
        mapped = entry.values.get(bare, entry.values.get("*"))
        if mapped == "!":
            self.undone.append(known)
        elif mapped in {"http://", "https://"}:
            self._scheme = mapped
        elif mapped is not None:
            self._put(entry.ours, literal_of(mapped.replace("{}", bare)))
        return mapped is not None or entry.theirs == "TYPE"

    def _plain(self, name: str, known: str, value: Written) -> None:
        if option := option_meant(name):
            self._put(option.name, value)
        elif self.tolerant and (near := nearest(known, OPTION_NAMES)):
            self._put(near, value)
        elif entry := synonym(name):
            self.left_out[known] = entry.difference
        elif known not in str(book()["elsewhere"]["options"]).split():
            self.undone.append(known)

    def _put(self, name: str, value: Written) -> None:
        option = find_option(name)
        if not name or option is None:
            return
        written = value if isinstance(value, list) else [value]
        texts = [self._text(option, each) for each in written if each]
        if texts := [text for text in texts if text]:
            shown = f"({', '.join(texts)})" if len(texts) > 1 else texts[0]
            self.values.setdefault(option.name, shown)

    def _text(self, option: Option, written: str) -> str:
        """Return a value as it is written here; empty for one that says nothing."""
        bare = without_quotes(written)
        if source := self._source(written):
            return source
        if bare in {"?", "%s"}:
            self.junk = True
            return f"'{BLANK}'"
        if bare in {"", "*", "None", "NULL", "null"} or (bare == written and written.startswith("$")):
            return written if written.startswith("$") else ""
        if option.takes == "TRUE or FALSE":
            truth = True if bare.upper() == "UNSIGNED" else BOOLEANS.get(bare.lower())
            self.junk = self.junk or truth is None
            return str(bool(truth)).upper()
        return self._checked(option, bare, written)

    def _source(self, written: str) -> str:
        """Return where a value comes from that is not in the text, as it is written here."""
        if match := _ENVIRONMENT.fullmatch(written):
            return f"ENV '{match[1] or match[2]}'" if match[1] or self.python or "{" in written else f"${match[2]}"
        if match := _SOURCE.fullmatch(written):
            return f"ENV '{match[1]}'"
        if match := FIELD.fullmatch(written):
            return f"${match[match.lastindex or 1]}"
        if re.match(r"(?:PROMPT|KEYRING)\b", written, re.IGNORECASE):
            return re.sub(r"(?<=')\s*,\s*(?=')", " ", written)
        of_python = self.python and PYTHON.fullmatch(written) and written.lower() not in {*BOOLEANS, "none", "unsigned"}
        return f"${written.rpartition('.')[2]}" if of_python else ""

    def _checked(self, option: Option, bare: str, written: str) -> str:
        if option.name == "PATH_DISPLAY_FILTERS":
            bare = normal_location(bare)
        if option.name == "ENDPOINT":
            bare = self._without_keys(bare)
        if option.name == "ADDRESSING_STYLE":
            bare = {"vhost": "virtual"}.get(bare.lower(), bare.lower())
        if written == bare and _VARIABLE.fullmatch(bare) and (option.secret or option.name == "AWS_ACCESS_KEY_ID"):
            return f"${bare}"
        if option.secret or (option.name == "AWS_ACCESS_KEY_ID" and not (KEY_ID.fullmatch(bare) or harmless(bare))):
            asked = f"PROMPT '{option.name}'"
            self.secrets[asked] = literal(bare)
            return asked
        try:
            option.read(bare if option.name != "ENDPOINT" or "://" in bare else f"https://{bare}")
        except ValueError:
            return f"${bare}" if written == bare and bare.isidentifier() else f"'{BLANK}'"
        return literal(bare)

    def _without_keys(self, url: str) -> str:
        """Return an endpoint without the key pair and the bucket in it; the pair becomes options."""
        match = URL.fullmatch(url)
        if match and match["key"]:
            self._put("AWS_ACCESS_KEY_ID", literal(match["key"]))
            self._put("AWS_SECRET_ACCESS_KEY", literal(match["secret"]))
        return f"{match['scheme'] or ''}{match['host']}" if match else url

    def finish(self) -> None:
        """Make the endpoint one URL."""
        key, secret = self.values.get("AWS_ACCESS_KEY_ID", ""), self.secrets.get("PROMPT 'AWS_SECRET_ACCESS_KEY'", "")
        if KEY_ID.fullmatch(secret.strip("'")) and not KEY_ID.fullmatch(key.strip("'")):
            # The two were given in each other's place.
            self.values["AWS_ACCESS_KEY_ID"] = secret
            self.secrets["PROMPT 'AWS_SECRET_ACCESS_KEY'"] = self.secrets.pop("PROMPT 'AWS_ACCESS_KEY_ID'", key)
        for here, there in (_PAIR, _PAIR[::-1]):
            if here in self.values and there not in self.values and "AWS_PROFILE" not in self.values:
                self.values[there] = f"PROMPT '{there}'"
                self.junk = True
        host = self.values.get("ENDPOINT")
        port = self.others.get("PORT")
        if host and isinstance(port, str) and not re.search(r":\d+'$", host):
            host = self.values["ENDPOINT"] = f"{host[:-1]}:{without_quotes(port)}'"
        if host and host.startswith("'") and "://" not in host:
            scheme = self._scheme or ("http://" if is_local(host[1:]) else "https://")
            self.values["ENDPOINT"] = f"'{scheme}{host[1:]}"


def literal_of(text: str) -> str:
    """Return a word or text as a value is written: TRUE and FALSE plain, all else in quotes."""
    return text if text in {"TRUE", "FALSE"} else literal(text)


_SHOWN = re.compile(r"arn:aws[a-z-]*:[a-z]+:[\w:+=,.@/-]*|'(?:[^']|'')*'|[^\s']+")


def masked(said: str) -> str:
    """Return a statement without what may be a secret in it."""
    return _SHOWN.sub(_shown, said)


def _shown(match: re.Match[str]) -> str:
    piece = match.group()
    inner = piece.strip("'")
    if harmless(inner) or ARN.fullmatch(inner) or KEY_ID.fullmatch(inner):
        return piece
    if piece.startswith("'s3://"):
        return (
            literal(f"s3://{inner[5:].split('/')[0]}/{BLANK}") if harmless(inner.split("/")[2]) else f"'s3://{BLANK}/'"
        )
    return f"'{BLANK}'" if piece.startswith("'") else BLANK


# Pieces of statements as they are written here


def plain_columns(columns: str) -> str:
    """Return columns with their types, without what only other systems say of them."""
    return re.sub(rf"\s+COMMENT\s+(?:{QUOTED})", "", columns, flags=re.IGNORECASE).strip()


def below(location: str) -> str:
    """Return what a path of a query ends in for all that is in a folder, which others read by its name alone."""
    last = location.rpartition("/")[2]
    return "**/*" if not last else "" if "." in last or WILD.search(location, len("s3://")) else "/**/*"


def glob(regex: str) -> str:
    """Return a simple regular expression as a glob, or nothing."""
    plain = re.sub(r"\[\.\]|\\\.", "\0", regex.strip("^$"))
    plain = plain.replace(".*", "\1").replace(".+", "\1")
    if re.search(r"[\\()|+?\[\]{}^$]", plain):
        return ""
    glob = plain.replace("\0", ".").replace("\1", "*")
    return f"**/{glob}" if glob.startswith("*") and "/" not in glob else glob
