"""The phrase book: statements and options of other systems → ours, by the tables of `phrases.toml`.

It is read where a statement has failed, and by HELP, Tab and docs/mapping.md. A pattern is written as the reference
writes a syntax: words as they are, `[what may be missing]`, `{one|of|these}`, `<slot>` for what is taken over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote

from s3conn_magic.language.option_names import (
    Synonym,
    book,
    folded,
    option_meant,
    option_words,
    rank_of,
    sections,
    synonym,
    words_listed,
)
from s3conn_magic.language.options import OPTION_NAMES, Option, find_option
from s3conn_magic.language.session_settings import SETTING_NAMES
from s3conn_magic.language.source import BLANK, KEY_ID, QUOTED, Span, harmless, lines_of, pieces
from s3conn_magic.language.words import literal, nearest
from s3conn_magic.locations import location_meant, normal_location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from s3conn_magic.secrets import Secret


_BALANCED = rf"(?:[^()'\"]|{QUOTED})"
for _ in range(3):
    _BALANCED = rf"(?:[^()'\"]|{QUOTED}|\({_BALANCED}*\))"
OPTIONAL = ("or_replace", "if_not_exists", "if_exists")
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


@dataclass(slots=True)
class Answer:
    """What is said of a statement of another system.

    Attributes:
        whose: of which system it is.
        head: its first words, as a place.
        span: all of it.
        ours: what says the same here, with what may be a secret masked; empty where there is none.
        note: what else there is to say.
        whole: ours with its secrets, where it says all that was written; else None.
    """

    whose: str
    head: Span
    span: Span
    ours: str
    note: str = ""
    whole: Secret | None = None

    @property
    def hint(self) -> str:
        """What to do, as a line."""
        whose = f"That is {self.whose}. " if self.whose else ""
        return f"{whose}Here: {self.ours} {self.note}".rstrip() if self.ours else self.note


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
            pieces.append(rf"\s*(?P<{group}>{slot_pattern(slot)}){'?' if slot in OPTIONAL else ''}")
        elif bracket:
            pieces.append({"[": "(?:", "]": ")?", "{": r"\s*(?:", "}": ")", "|": "|"}[bracket])
        elif word:
            follows = pattern[match.end() : match.end() + 1]
            pieces.append(rf"\s*{word}" + ("" if follows in {"<", "{"} else r"\b"))
        elif other and not space:
            pieces.append(rf"\s*{re.escape(other)}")
    return re.compile("".join(pieces) + r"\s*", re.IGNORECASE | re.DOTALL | re.ASCII)


@cache
def slot_pattern(name: str) -> str:
    """Return what may stand for a slot, as a regular expression."""
    parts = {"balanced": _BALANCED, "quoted": QUOTED, "own_setting": "|".join(SETTING_NAMES)}
    return parts.get(name) or re.sub("«(\\w+)»", lambda match: slot_pattern(match[1]), book()["slots"][name])


@cache
def phrases() -> tuple[Phrase, ...]:
    """Return the statements of all systems, in the order of the file."""
    return tuple(
        Phrase(section["whose"], row[0], row[1], row[2], cli=bool(section.get("cli")))
        for section in sections().values()
        for row in section["statements"]
    )


# The end of a line as a shell and Python join it to the next; what a shell does with the output of a command.
JOINED = re.compile(r"\\[ \t]*(?:\n|\Z)")
_PIPED = re.compile(r"\s+[|>].*", re.DOTALL)
_FLAG = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)(?:=(\S+))?")


_BEFORE_COMMAND = re.compile(r"\A(?:[A-Z]\w*=\S+\s+)+(?=[a-z])")


def flags_of(text: str, *, values: bool = True) -> tuple[list[tuple[str, str]], str]:
    """Return the flags of a command with their values, and variables set before it; and the command without them.

    With `values` False, only those after `=` are values.
    """
    flags, rest, at = list[tuple[str, str]](), [], 0
    if match := _BEFORE_COMMAND.match(text):
        flags = [(name, value) for name, _, value in (pair.partition("=") for pair in match.group().split())]
        at = match.end()
    while match := _FLAG.search(text, at):
        rest.append(text[at : match.start()])
        name, value, at = match[1], match[2], match.end()
        follows = re.compile(rf"\s+({QUOTED}|[^\s;]+)").match(text, at)
        takes = values and value is None and name.startswith("--") and name[2:] not in words_listed("flags")
        takes = takes or bool(value is None and follows and follows[1].isdecimal())
        if follows and takes and not re.match(r"-|s3://", follows[1]):
            value, at = follows[1], follows.end()
        flags.append((name, value or "true"))
    return flags, "".join([*rest, text[at:]]).strip()


_TOKEN = re.compile(
    r"ENV\.\w+|ENV\b\s*\(?\s*['\"]?\w+['\"]?\s*\)?|PROMPT(?:\s+'[^']*')?|KEYRING\s+'[^']*'\s*,?\s*'[^']*'"
    r"|\{\{\s*env_var\s*\([^)]*\)\s*\}\}|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|[$#]\{\w+\}|%\(\w+\)s|(?<=[\s=]):[A-Za-z_]\w*|:=|[A-Za-z_-]+(?=:\s)"
    rf"|f?{QUOTED}|\$\$.*?\$\$|(?:os\.environ|ENV)\s*\[[^\]]*\]|(?:os\.)?(?:getenv|environ\.get|env_var)\s*\([^)]*\)"
    r"|=>|==|[=:(),\[\]{}]|[^\s=:(),\[\]{}'\"]+(?:://[^\s,()'\"]*|:\d+[^\s,()'\"]*)?",
    re.DOTALL | re.IGNORECASE,
)
# The AS before a value in Redshift's options.
_AS_MARK = re.compile(r"\b([A-Z]{4,})\s+AS\s+(?=['\d])", re.IGNORECASE)
_ASSIGNS = {"=", "=>", "==", ":", ":="}
_MARKS = _ASSIGNS | set("(),[]{}")


# Several options in one text, as Redshift's CREDENTIALS has them, and a URL.
_IN_TEXT = re.compile(r"(aws_\w+)=([^;&'\"]+)", re.IGNORECASE)


def _is_between(token: str, following: str) -> bool:
    """Whether a token is no option by itself: a mark, a word between them, a switch that is not needed, or several."""
    alone = token.isdecimal() or token.upper() in words_listed("switches") or token in _MARKS
    between = token.upper() in words_listed("between") or bool([*_within(token)])
    return alone or (following not in _ASSIGNS and between)


def _within(token: str) -> Iterator[tuple[str, str]]:
    """Yield the options that are written in one text."""
    if token[0] in "'\"":
        yield from ((name, literal(value)) for name, value in _IN_TEXT.findall(token))


def given_in(text: str) -> Iterator[tuple[str, Written]]:
    """Yield the options in a text with their values as written: `A = 'x'`, `A 'x'`, `A => 'x'`, `"a": "x"`, nested.

    What is no option is given with an empty name.
    """
    tokens, at = _TOKEN.findall(_AS_MARK.sub(r"\1 = ", text)), 0
    if rest := _TOKEN.sub("", text).strip():
        yield "", rest
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if _is_between(token, following):
            yield from _within(token)
            at += 1
            continue
        together = f"{token}_{following}"
        if find_option(together) or (following.isalpha() and not find_option(token) and synonym(together, kinds=False)):
            token, at = together, at + 1
            following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if following in {"", ",", ")"} and (switch := option_meant(token)) and switch.takes == "TRUE or FALSE":
            yield token, "TRUE"
            at += 1
            continue
        value_at = at + 2 if following in _ASSIGNS else at + 1
        if following not in _ASSIGNS and (following in _MARKS - {"("} or not following or token[0] in "'\""):
            if token.upper() not in words_listed("between"):
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


def environment_meant(text: str) -> str:
    """Return the variable of the environment that a text reads, as templates and other languages write it."""
    match = _ENVIRONMENT.fullmatch(text)
    return (match[1] or match[3] or "") if match else ""


def without_quotes(written: str) -> str:
    """Return a value without its quotes."""
    if written[:2] == "$$":
        return written[2:-2]
    quote = written[:1]
    if quote in {"'", '"', "`"} and written.endswith(quote) and len(written) > 1:
        return written[1:-1].replace(quote * 2, quote)
    return written


URL = re.compile(
    r"(?P<scheme>https?://)?(?:(?P<key>[^:@]+):(?P<secret>.+)@)?(?P<host>[\w.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)(?P<path>(?:/.*)?)"
)
# A key pair within a location, and perhaps the server.
_WITH_KEYS = re.compile(r"s3[an]?://(?P<key>[^:@/]+):(?P<secret>[^@]+)@(?P<host>[\w.:-]+)/?(?P<path>.*)", re.IGNORECASE)
FIELD = re.compile(
    r"(?:f['\"])?\{\{?\s*(\w+)\s*\}?\}['\"]?|[$#]\{(\w+)\}|[:@&]{1,2}([A-Za-z_]\w*)|%\((\w+)\)s", re.ASCII
)
_SOURCE = re.compile(r"ENV\s*\(?\s*['\"]?(\w+)['\"]?\s*\)?", re.IGNORECASE)
_ENVIRONMENT = re.compile(
    r"(?i:['\"]?(?:f['\"])?\{{0,2}\s*(?:os\.)?(?:environ\s*\[|getenv\s*\(|environ\.get\s*\(|env_var\s*\(|ENV\s*\[)"
    r"\s*['\"](\w+)['\"].*)|\$\{?([A-Z]\w*)\}?|(?i:['\"]?(?:ENV\.|process\.env\.|\$\{?env:|\{\{\s*env\.)(\w+)[\s}]*['\"]?)",
    re.DOTALL,
)
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
PYTHON = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
# What a variable that holds a part of a key pair is called; any other bare word may be the secret itself.
_VARIABLE = re.compile(
    r"(?:[a-z0-9]{1,8}_){0,3}(?:secret|key|id|token|password|pwd)(?:_(?:id|key|access|token|value))*", re.IGNORECASE
)
# An access key's id as AWS and most servers have it: what is longer and of small letters may be the secret.
_PLAIN_ID = re.compile(r"[A-Z0-9]{8,128}|[\w.-]{1,12}")
_LOCAL = re.compile(r"^(?:localhost|127\.|\[::1\]|minio|host\.docker)", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Whether a server is one that people run without TLS."""
    return _LOCAL.match(host) is not None


_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SCHEMES = {"http://", "https://"}


_NAMED = re.compile(r"[A-Za-z][A-Za-z_.-]{1,40}")


@dataclass(slots=True)
class Given:
    """Options of ours made of those of others: texts as a statement has them, and what is not among them."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    others: dict[str, Written] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    python: bool = False
    tolerant: bool = False
    junk: bool = False
    completed: bool = False
    _scheme: str = ""
    _below: str = ""
    _rank: int = 0
    _ranks: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Written) -> None:
        """Add one option of any system; what has no name is none of any."""
        known = folded(name)
        # The key of an object, which is no part of a key pair.
        of_object = known == "KEY" and "BUCKET" in self.others
        self.junk = self.junk or not name
        self.others[known] = value
        if not name or of_object or known == "PORT":
            return
        self._rank = rank_of(known)
        entry = None if find_option(known) else synonym(name)
        if entry is None or not self._mapped(entry, name, value):
            self._plain(name, known, value)

    def _mapped(self, entry: Synonym, name: str, value: Written) -> bool:
        """Add an option some of whose values are written otherwise; return whether this one is."""
        bare = without_quotes(value).lower() if isinstance(value, str) else ""
        mapped = entry.values.get(bare, entry.values.get("*"))
        if mapped == "!":
            self._leave(name)
            self.lacks[folded(name)] = entry.difference
        elif mapped in _SCHEMES:
            self._scheme = mapped
            self.left_out[folded(name)] = f"it is part of `ENDPOINT = '{mapped}host'`"
        elif mapped is None and _SCHEMES & set(entry.values.values()):
            self.left_out[folded(name)] = entry.difference
            return True
        elif mapped is not None:
            self._put(entry.ours, literal_of(mapped.replace("{}", bare)))
        return mapped is not None or entry.theirs == "TYPE"

    def _plain(self, name: str, known: str, value: Written) -> None:
        entry = synonym(name)
        if self._is_below(known, entry, value):
            self._below = self._below or without_quotes(str(value))
        elif option := option_meant(name):
            self._put(option.name, value)
        elif self.tolerant and (near := nearest(known, OPTION_NAMES)):
            self._put(near, value)
        elif entry and known not in words_listed("options"):
            self._put(entry.ours, value)
            if not entry.ours and (self.tolerant or entry.whose):
                self.left_out[known] = entry.difference
            elif not entry.ours:
                self._leave(name)
        elif known not in words_listed("options"):
            self._leave(name)

    @staticmethod
    def _is_below(known: str, entry: Synonym | None, value: Written) -> bool:
        """Whether an option says where in a bucket something is, and not in which."""
        filters = entry is not None and entry.ours == "PATH_DISPLAY_FILTERS"
        named = {"bucket", "buckets", "bucketname", "bucketnames", "container", "for", "filters"} & set(
            option_words(known)
        )
        plain = without_quotes(value) if isinstance(value, str) else "://"
        return filters and not named and "://" not in plain and not re.match(r"[$:{]|ENV\b", plain)

    def _leave(self, name: str) -> None:
        """Note what has no counterpart: its name, where that can be nothing else."""
        self.undone.append(folded(name) if _NAMED.fullmatch(name.strip("'\"`-")) and harmless(name) else BLANK)

    def _put(self, name: str, value: Written) -> None:
        of_kms = name == "ENCRYPTION_CUSTOMER_MANAGED_KEY" and re.search(r"arn:aws[\w-]*:kms:|alias/", str(value))
        option = find_option("ENCRYPTION_KMS_KEY" if of_kms else name)
        if not name or option is None:
            return
        written = value if isinstance(value, list) else [value]
        texts = [self._text(option, each) for each in written if each]
        if texts := [text for text in texts if text]:
            shown = f"({', '.join(texts)})" if len(texts) > 1 else texts[0]
            if self._rank > self._ranks.get(option.name, -1):
                self.values[option.name], self._ranks[option.name] = shown, self._rank

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
            said = match[1] or match[3] or (match[2] if self.python or "{" in written else "")
            return f"ENV '{said}'" if said else f"${match[2]}"
        if match := re.fullmatch(r"['\"]\$\{(\w+)\}['\"]", written):
            return f"${match[1]}"
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
            bare = f"https://{bare}/" if re.fullmatch(r"[\w.-]+\.amazonaws\.com", bare) else bare
            bare = self.on_server(bare) or (location_meant(bare) if "://" in bare else "") or normal_location(bare)
        if option.name == "ENDPOINT":
            bare = self._without_keys(bare)
        if option.name == "ADDRESSING_STYLE":
            bare = {"vhost": "virtual"}.get(bare.lower(), bare.lower())
        if written == bare and _VARIABLE.fullmatch(bare) and (option.secret or option.name == "AWS_ACCESS_KEY_ID"):
            return f"${bare}"
        if option.secret or (option.name == "AWS_ACCESS_KEY_ID" and not _PLAIN_ID.fullmatch(bare)):
            asked = f"PROMPT '{option.name}'"
            self.secrets[asked] = literal(bare)
            return asked
        try:
            option.read(bare if option.name != "ENDPOINT" or "://" in bare else f"https://{bare}")
        except ValueError:
            return f"${bare}" if written == bare and bare.isidentifier() else f"'{BLANK}'"
        return literal(bare)

    def on_server(self, url: str) -> str:
        """Return the location that a URL of a server's own names, whose server becomes the endpoint; else nothing."""
        if keys := _WITH_KEYS.fullmatch(url):
            self._put("AWS_ACCESS_KEY_ID", literal(unquote(keys["key"])))
            self._put("AWS_SECRET_ACCESS_KEY", literal(unquote(keys["secret"])))
            if hosted := re.fullmatch(r"([\w.-]+?)\.s3[.-][\w.-]*amazonaws\.com", keys["host"]):
                return normal_location(f"s3://{hosted[1]}/{keys['path']}")
            on_aws = keys["host"].partition(":")[0].endswith("amazonaws.com")
            of_server = on_aws or ":" in keys["host"]
            if of_server and not on_aws:
                self._put("ENDPOINT", literal(keys["host"]))
            return normal_location(f"s3://{'' if of_server else keys['host'] + '/'}{keys['path']}")
        match = URL.fullmatch(url)
        if not match or not match["scheme"] or location_meant(url) or not (path := match["path"].strip("/")):
            return ""
        self._put("ENDPOINT", literal(f"{match['scheme']}{match['host']}"))
        return f"s3://{path}{'/' * url.endswith('/') or '/' * ('/' not in path)}"

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
        if "AWS_SESSION_TOKEN" in self.values and not self.values.keys() & {*_PAIR, "AWS_PROFILE"}:
            self.values[_PAIR[0]] = f"PROMPT '{_PAIR[0]}'"
        for here, there in (_PAIR, _PAIR[::-1]):
            if here in self.values and there not in self.values and "AWS_PROFILE" not in self.values:
                self.values[there] = f"PROMPT '{there}'"
                self.completed = True
        host = self.values.get("ENDPOINT")
        if host:
            self.left_out = {name: why for name, why in self.left_out.items() if "`ENDPOINT =" not in why}
        filters = self.values.get("PATH_DISPLAY_FILTERS", "")
        if self._below and re.fullmatch(r"'s3://[^/']+/'", filters):
            self.values["PATH_DISPLAY_FILTERS"] = f"{filters[:-1]}{self._below.lstrip('/')}'"
        apart = "HOST" in self.others and any("ENDPOINT" in name for name in self.others)
        port = None if apart else self.others.get("PORT")
        if host and isinstance(port, str) and not re.search(r":\d+'$", host):
            host = self.values["ENDPOINT"] = f"{host[:-1]}:{without_quotes(port)}'"
        if host and host.startswith("'") and "://" not in host:
            scheme = self._scheme or ("http://" if is_local(host[1:]) else "https://")
            self.values["ENDPOINT"] = f"'{scheme}{host[1:]}"


def literal_of(text: str) -> str:
    """Return a word or text as a value is written: TRUE and FALSE plain, all else in quotes."""
    return text if text in {"TRUE", "FALSE"} else literal(text)


# Which phrases, and which settings of a cell, are looked at

_QUERY = re.compile(r"(?:SELECT|WITH|FROM)\b", re.IGNORECASE)
_FOR_QUERIES = re.compile(r"[{\[]*(?:SELECT|FROM|<query>)|with <word>")


def phrases_for(text: str) -> Sequence[Phrase]:
    """Return the phrases that a statement may be; a query is the engine's, so only those that are written for queries.

    Marks such as `>` and `||` are operators there, and what is behind them belongs to the query.
    """
    every = phrases()
    return [phrase for phrase in every if _FOR_QUERIES.match(phrase.theirs)] if _QUERY.match(text) else every


def fitting(text: str) -> Iterator[tuple[Phrase, list[tuple[str, str]], re.Match[str]]]:
    """Yield the phrases that fit a statement, with the flags of a command, the likelier first.

    A flag that is not known may be followed by its value, or by what the command is about: that is looked at last.
    """
    for values in (True, False):
        for phrase in phrases_for(text):
            command = JOINED.sub(" ", _PIPED.sub("", text)) if phrase.whose else text
            flags, plain = flags_of(command, values=values) if phrase.cli else ([], text)
            if (values or (phrase.cli and phrase.whose)) and (match := phrase.match(plain)):
                yield phrase, flags, match


def settings_in(phrase: Phrase, text: str) -> list[tuple[str, str]]:
    """Return all settings of a cell that are written as the phrase says, which together are one connection."""
    units = [unit for span in pieces(text) for unit in (span, *lines_of(text, span))]
    matches = [phrase.match(flags_of(text[slice(*unit)])[1] if phrase.cli else text[slice(*unit)]) for unit in units]
    groups = [match.groupdict() for match in matches if match]
    return [(_setting_name(phrase, group), group["value"]) for group in groups]


def _setting_name(phrase: Phrase, group: Mapping[str, str]) -> str:
    name = (
        group.get("setting") or group.get("own_setting") or group.get("key") or group.get("item", "").strip("[] ") or ""
    )
    return (
        f"s3_{name}" if "s3_<setting>" in phrase.theirs else f"fs.{name}" if "fs.<setting>" in phrase.theirs else name
    )


def sentence_on(text: str) -> str:
    """Return what is said of a statement by its first words alone."""
    upper = [word.upper() for word in re.findall(r"[A-Za-z_]\w*", text)[:2]]
    says = book()["none"]
    return str(says.get(" ".join(upper)) or says.get(upper[0] if upper else "") or "")
