"""Put a wrong statement into our form as a whole, and leave nothing out of it.

Quotes, brackets, marks, names, places, variables and the order of clauses: each function rewrites one of them wherever
it occurs. What parses and binds then is what was meant.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from s3conn_magic.language.job_options import JOB_OPTIONS, TABLE_OPTIONS
from s3conn_magic.language.option_names import job_option_meant
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS, VOCABULARY
from s3conn_magic.language.session_settings import SETTING_NAMES
from s3conn_magic.language.words import book, nearest, pattern_as

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS = "|".join(sorted({statement.name.split()[0] for statement in STATEMENTS}))
_NAMES = frozenset({*OPTION_NAMES, *JOB_OPTIONS, *TABLE_OPTIONS, *SETTING_NAMES})
_OF_FORMATS = ("TYPE", "DELIMITER", "HEADER", "LOCATION", "COLUMNS", "WINDOW")
LITERAL = re.compile(r"'(?:[^']|'')*'")
_MOST_GLUED = 3


def outside(text: str, pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str]) -> str:
    """Return a text with a pattern replaced wherever it begins outside of literals."""
    spans = [match.span() for match in LITERAL.finditer(text)]

    def put(match: re.Match[str]) -> str:
        if any(start < match.start() < end - 1 for start, end in spans):
            return match.group()
        return new(match) if callable(new) else match.expand(new)

    return pattern.sub(put, text)


_BEGINNINGS = re.compile(
    rf"\A\s*(?:%%\s*(?:up)?sql\b[^\n]*(?=\n)|%%?\s*(?:up)?sql\b|upsql\b|>>>|\.\.\.|\w+>|please|exec|execute|do|just|now|then|sql|run|:)+[:>]?\s+"
    rf"(?=(?:{STARTS}|WITH)\b(?!\s*=))",
    re.IGNORECASE,
)
_DRY = re.compile(r"\A\s*(?:DRY[ _-]?RUN|PLAN|SIMULATE)\s+(?=[A-Z])", re.IGNORECASE)
_ENDINGS = re.compile(r"(?:\s+(?:please|go)|\s*[.\\,]|\s*/)+\s*\Z", re.IGNORECASE)


_COMMENT = re.compile(r"\s(?:#|//)\s*(?=[A-Za-z][^\n]*$)", re.MULTILINE)
_LETTERED = re.compile(r"(?<![\w'])[rRbBuU](?=['\"])")


def _without_frame(text: str) -> str:
    """Return a statement without prompts and fillings around it, and with comments as they are here."""
    said = _ENDINGS.sub("", _DRY.sub("EXPLAIN ", _BEGINNINGS.sub("", text)))
    return outside(outside(said, _COMMENT, " -- "), _LETTERED, "")


_BACKTICK = re.compile(r"`([^`]*)`")
_BEFORE = re.compile(
    r"(?:\b(?:CONNECTION|USING|S3|TABLE|JOB|INTO|TO|EXISTS|FROM|JOIN|SELECT|BY|WHERE|AND)|,)\s*\Z", re.IGNORECASE
)


def _backticks(text: str) -> str:
    """Return a statement whose names in backticks are names, and other texts literals."""

    def put(match: re.Match[str]) -> str:
        if re.search(r"[./]", match[1]) or not _BEFORE.search(text[: match.start()]):
            return f"'{match[1]}'"
        return match[1] if match[1].isidentifier() else f'"{match[1]}"'

    return _BACKTICK.sub(put, text)


_SQUARE = re.compile(r"\[([^\[\]]*)\]|\{([^{}]*,[^{}]*)\}")


def _square_brackets(text: str) -> str:
    """Return a statement with lists in parentheses, and without brackets around one value or name."""

    def put(match: re.Match[str]) -> str:
        inner = (match[1] if match[1] is not None else match[2]).strip()
        return f"({inner})" if "," in inner else inner

    return outside(text, _SQUARE, put)


_BETWEEN = re.compile(r"(?<=['\w)])\s*(?:[;|&+/]|\b(?:AND|OR|UND|&)\b|,\s*,)\s*(?=['\w])", re.IGNORECASE)
_NO_COMMA = re.compile(r"(?<=')\s+(?=')")
_LIST = re.compile(r"\(\s*('[^()]*)\)")
_ONE_GLOB = r"'([^']+)'"
_GLOBS = re.compile(
    r"\bMATCHING\s+\(?'[^']*'(?:\s*(?:,|\bOR\b|\bAND\b|\|)\s*(?:MATCHING\s+)?'[^']*')+\)?", re.IGNORECASE
)
_UNSET = re.compile(r"(?<=\bUNSET\s)([\w\s,;|&]+?)\s*\Z", re.IGNORECASE)


def _separators(text: str) -> str:
    """Return a statement with one comma between the values of a list."""

    def put(match: re.Match[str]) -> str:
        said = outside(match.group(), _NO_COMMA, ", ")
        return outside(
            said, re.compile(_BETWEEN.pattern.replace(r"['\w]", "'").replace(r"['\w)]", "'"), re.IGNORECASE), ", "
        )

    text = _GLOBS.sub(lambda match: f"MATCHING '{{{','.join(re.findall(_ONE_GLOB, match.group()))}}}'", text)
    text = _LIST.sub(put, text)
    return _UNSET.sub(lambda match: ", ".join(re.findall(r"\b(?!AND\b)\w+", match[1], re.IGNORECASE)), text)


def _unbracketed_list(text: str) -> str:
    """Return a statement with brackets around the values of an option's list."""
    said = re.sub(r"=\s*\(?('[^']*'(?:\s*,\s*'[^']*')+)\)?", r"= (\1)", text)
    return re.sub(r"=\s*\(?(TYPE\s*=\s*\w+)\)?(?=\s|\Z)", r"= (\1)", said, flags=re.IGNORECASE)


_OF_CONTENT = re.compile(r"\b(CONTENT_TYPE|FILE_FORMAT)\s*=\s*\(([^()]*)\)", re.IGNORECASE)
_SETTING = re.compile(r"(\w+)(?:\s*(?:=>?|:|\s)\s*('[^']*'|TRUE\b|FALSE\b|\d+))?", re.IGNORECASE)
_MEANT = {
    "DELIM": "DELIMITER",
    "SEP": "DELIMITER",
    "SEPARATOR": "DELIMITER",
    "FIELD_DELIMITER": "DELIMITER",
    "FORMAT": "TYPE",
}
_DEDUPLICATED = re.compile(r"\bDEDUPLICATE_WITH\s*=\s*\(([^()=]+?)\s*,?\s*(\d+\s+\w+)\s*\)", re.IGNORECASE)


def _settings_of_values(text: str) -> str:
    """Return a statement with the type of a format, and what belongs to it, by their names."""

    def put(match: re.Match[str]) -> str:
        inner = re.sub(r"\bTYPE\s*=?\s*", "", match[2], count=1, flags=re.IGNORECASE)
        kind, *rest = [[each[1], each[2]] for each in _SETTING.finditer(inner)] or [["", ""]]
        said = [f"{_MEANT.get(name.upper(), name.upper())} = {value or 'TRUE'}" for name, value in rest]
        return f"{match[1]} = ({' '.join([f'TYPE = {kind[0].upper()}', *said])})"

    said = _OF_CONTENT.sub(put, text)
    said = _DEDUPLICATED.sub(r"DEDUPLICATE_WITH = (COLUMNS = (\1) WINDOW = \2)", said)
    return re.sub(r"\bPARTITION\s+BY\b", "PARTITIONED BY", said, flags=re.IGNORECASE)


_OF_JOB = re.compile(r"\s*(?:CREATE|ALTER)\s(?:[^']*?\s)??(?:JOB|TABLE)\b", re.IGNORECASE)
_GIVEN = re.compile(
    r"(?<![\w$.(])([A-Za-z_][\w.-]*)\s*(?:=>?|:)?\s*('[^']*'|\d+(?:\s+[A-Za-z]+)?|(?<==)\s*\w+|(?<==\s)\w+)(?!\s*=)"
)


def _options_of_others(text: str) -> str:
    """Return a statement on a job or a table with other systems' options as ours."""
    head = re.split(r"\b(?:SELECT|WITH|INTO\s+(?!S3\b))", text, maxsplit=1, flags=re.IGNORECASE)[0]
    if not _OF_JOB.match(text):
        return text
    copies = re.search(r"\bCOPY\s+FROM\b", text, re.IGNORECASE) is not None

    def put(match: re.Match[str]) -> str:
        ours = match[1].upper() in KEYWORDS or nearest(match[1], _NAMES)
        meant = [] if ours else job_option_meant(match[1], match[2])
        return meant[0 if copies else -1] if meant else match.group()

    return outside(head, _GIVEN, put) + text[len(head) :]


_MATCHED = re.compile(r"\b(MATCHING|PATTERN|REGEXP?|MATCHES|FILTER|INCLUDE|GLOB)\s*=?\s*'([^']+)'", re.IGNORECASE)


def _globs(text: str) -> str:
    """Return a listing whose pattern is a glob, and not a regular expression."""

    def put(match: re.Match[str]) -> str:
        regular = re.search(r"\.[*+]|\\|\[\.\]|[|^$]", match[2])
        glob = pattern_as("glob", match[2], "regular") if regular else match[2]
        deep = match[1].upper() != "MATCHING" and "/" not in glob and re.search(r"\bRECURSIVE\b", text, re.IGNORECASE)
        glob = f"**/{glob}" if deep and glob else glob
        return f"MATCHING '{glob}'" if glob else match.group()

    return _MATCHED.sub(put, text) if re.match(r"\s*LIST\b", text, re.IGNORECASE) else text


_FILTERED = re.compile(r"\b(PATH_DISPLAY_FILTERS?)\s*=\s*(\([^()]*\)|[^\s()]+)", re.IGNORECASE)
_ELEMENT = re.compile(r"'([^']*)'|(?!(?:TRUE|FALSE|NULL|\d+)\b)([^\s,()'$][^\s,()']*)", re.IGNORECASE)


def _filters(text: str) -> str:
    """Return a statement whose display filters are places, in quotes."""

    def place(match: re.Match[str]) -> str:
        bare = re.sub(r"\A(?:s3[an]?:?)?/*", "", match[1] or match[2] or "").replace("\\", "/")
        return f"'s3://{bare}{'' if '/' in bare else '/'}'"

    return _FILTERED.sub(lambda match: f"{match[1]} = {_ELEMENT.sub(place, match[2])}", text)


# Options that a value tells by its form.
_TELLING = (
    ("AWS_ROLE", r"arn:aws[a-z-]*:iam::\d{12}:role/\S+"),
    ("ENCRYPTION_KMS_KEY", r"arn:aws[a-z-]*:kms:\S+|alias/\S+"),
    ("ENDPOINT", r"https?://\S+|localhost:\d+"),
    ("PATH_DISPLAY_FILTERS", r"s3://\S+"),
    ("REGION", r"(?:us|eu|ap|sa|ca|me|af)-[a-z]+-\d"),
)
_ROLE = re.compile(r"(arn:aws[a-z-]*:iam::\d{12}:)(?!role/|user/|group/|root)(?:roles?[:/])?(?=[\w+=,.@-]+')")
_OF_VARIABLES = {"KEY_ID": "AWS_ACCESS_KEY_ID", "ACCESS_KEY": "AWS_ACCESS_KEY_ID", "SECRET": "AWS_SECRET_ACCESS_KEY"}
_OF_VARIABLES |= {"SECRET_KEY": "AWS_SECRET_ACCESS_KEY", "PROFILE": "AWS_PROFILE", "ROLE": "AWS_ROLE"}


def _values_of_options(text: str) -> str:
    """Return a statement on a connection with each value at the option that its form, or its variable's name, tells."""
    if not re.match(r"\s*(?:CREATE|ALTER)\b(?!\s+\w*\s*JOB).*?\bCONNECTION\b", text, re.IGNORECASE):
        return text
    text = _ROLE.sub(r"\1role/", text)
    for name, form in _TELLING:
        value = rf"'(?:{form})'"
        if not re.search(rf"\b{name}\s*=", text):
            given = rf"\b(?!COMMENT|EXTERNAL_ID|{name})[A-Z_]+\s*=\s*({value})"
            text = re.sub(given, rf"{name} = \1", text, count=1)
            text = re.sub(rf"(?<![=\s(,])(\s+)({value})", rf"\1{name} = \2", text, count=1)

    def named(match: re.Match[str]) -> str:
        name = match[2].upper()
        name = _OF_VARIABLES.get(name, name if name in _NAMES else f"AWS_{name}")
        return f"{match[1]} {name} = ${match[2]}" if name in _NAMES and f"{name} =" not in text else match.group()

    pair = re.sub(r"\b\w+\s*=?\s*\(\s*\$(\w+)\s*[,:/ ]\s*\$(\w+)\s*\)", r"$\1 $\2", text)
    said = re.sub(r"(?<![=\s,(])()\s+\$(\w+)", named, pair)
    return re.sub(r"\s*,\s*(?=\$?\w+ =)", " ", said)


_BARE_PLACE = re.compile(
    r"\b(LIST|EXPLORE|PREVIEW|ANALYZE|DISCOVER|COMPARE|SUMMARIZE|LOCATION|LOCATION =|LIMIT|MATCHING)\s+([a-z_]\w*)\b",
    re.IGNORECASE,
)


def _bare_variables(text: str) -> str:
    """Return a statement with words in the place of a value as Python variables, if there are some."""
    if re.match(r"\s*SET\b", text, re.IGNORECASE):
        return text
    said = re.sub(r"(?<==)(\s*)([a-z_]\w*)\b(?!\s*[=(.])", r"\1$\2", text)
    return _BARE_PLACE.sub(lambda match: match.group() if match[2].isupper() else f"{match[1]} ${match[2]}", said)


_SAYS_NO = re.compile(r"\s+(?:NOT|NO|NON|WITHOUT)[ _-]+(?:RECURSIVE(?:LY)?|VERSIONS?|LIMIT)\b", re.IGNORECASE)


def _says_no(text: str) -> str:
    """Return a statement without what it says that it does not want."""
    return outside(text, _SAYS_NO, lambda match: " LIMIT ALL" if match.group().upper().endswith("LIMIT") else "")


@cache
def _named() -> re.Pattern[str]:
    names = sorted({*_NAMES, *_OF_FORMATS, *book()["jobs"]}, key=len, reverse=True)
    marks = r"(?:\s*(?:==|=>|:=|->|~=|=\s*=|:)\s*|\s+(?:TO|IS|EQUALS|EQ|AS|BE)\s+(?==?\s*(?:['$(\d]|TRUE|FALSE|\w+)))"
    return re.compile(rf"(?<![\w$])({'|'.join(names)})\b(?!\s+=\s*[^=\s]){marks}=?\s*", re.IGNORECASE)


def _equals(text: str) -> str:
    """Return a statement with `=` between each option and its value."""

    def put(match: re.Match[str]) -> str:
        asks = re.search(r"\sAS\s", match.group(), re.IGNORECASE) and re.match(
            r"COPY|INSERT|MERGE|SELECT", text[match.end() :]
        )
        return match.group() if asks else f"{match[1]} = "

    return outside(text, _named(), put)


_TWO_WORDS = frozenset(name for name in {*_NAMES, *KEYWORDS} if "_" in name)


@cache
def _apart() -> re.Pattern[str]:
    names = sorted(_TWO_WORDS, key=len, reverse=True)
    return re.compile(rf"(?<![\w$])(?:{'|'.join(name.replace('_', '[ _-]?') for name in names)})(?!\w)", re.IGNORECASE)


def _names_of_words(text: str) -> str:
    """Return a statement with names of several words as they are: AWS ACCESS KEY ID, READ-ONLY, ReadOnly."""

    def put(match: re.Match[str]) -> str:
        plain = re.sub(r"[ _-]", "", match.group()).upper()
        return next(name for name in sorted(_TWO_WORDS) if name.replace("_", "") == plain)

    return outside(text, _apart(), put)


_WORD = re.compile(r"(?<![\w$.@/-])[A-Za-z][A-Za-z0-9_]{3,}(?![\w.-])")
_OF_SQL = _NAMES | {
    "TRUE",
    "FALSE",
    "ORDER",
    "GROUP",
    "BY",
    "LEFT",
    "JOIN",
    "INNER",
    "UNION",
    "WHERE",
    "VALUES",
    "PARTITION",
}


def _unglued(text: str) -> str:
    """Return a statement with keywords apart that were written as one word."""
    return outside(text, _WORD, lambda match: " ".join(_parts(match.group().upper()) or [match.group()]))


def _parts(word: str, most: int = _MOST_GLUED) -> list[str]:
    """Return the two or three keywords that a word consists of; none if it is one, or another."""
    known = KEYWORDS | _OF_SQL
    if word in VOCABULARY or most == 0:
        return []
    for at in range(2, len(word) - 1):
        first, rest = word[:at], word[at:].removeprefix("_")
        if first in known and (rest in known or (behind := _parts(rest, most - 1))):
            return [first, rest] if rest in known else [first, *behind]
    return []


_PLACE = re.compile(r"(?<![\w@])s3[an]?:?[\\/]+\s*(?=\w)", re.IGNORECASE)
_THROUGH = re.compile(r"(?<=s3://)(\w+):(?=[a-z0-9])")


def _places(text: str) -> str:
    """Return a statement with places that begin with `s3://` and have slashes."""
    said = _PLACE.sub("s3://", text)
    said = re.sub(r"(['\"]?)(s3://[^\s'\"]*)", lambda match: match[1] + match[2].replace("\\", "/"), said)
    return _THROUGH.sub(r"\1@", said)


_NAMING = re.compile(r"\b(CONNECTION|USING|S3|JOB|INTO|TABLE|EXISTS)\s+\$(?=\w)", re.IGNORECASE)
_CAST = re.compile(r"(?<==)\s*(?:str|repr|int|f)\(\s*([A-Za-z_]\w*)\s*\)")
_METHOD = re.compile(r"(?<=\$)([A-Za-z_]\w*)(?:\.\w+\(\s*\)|\[[^\]]*\]|\.\w+)+")
_HYPHENS = re.compile(r"(?<=\$)[A-Za-z]\w*(?:-\w+)+")
_FIELD = re.compile(
    r"\"\$\{?(\w+)\}?\"|'\$\{?(\w+)\}?'|'?\{\{?\s*(\w+)\s*\}\}?'?|\$\{(\w+)\}|%\((\w+)\)s|\$\s+(\w+)|\$['\"](\w+)['\"]"
)


def _variables(text: str) -> str:
    """Return a statement with each Python variable as `$name`."""
    text = _CAST.sub(r" $\1", text)
    said = _NAMING.sub(r"\1 ", _METHOD.sub(r"\1", text))
    said = _HYPHENS.sub(lambda match: match.group().replace("-", "_"), said)
    return _FIELD.sub(lambda match: f"${next(filter(None, match.groups()))}", said)


_SOURCES = (
    (re.compile(r"\$(?:os\.)?env(?:iron)?(?:\.|\[['\"])(\w+)(?:['\"]\])?", re.IGNORECASE), r"ENV '\1'"),
    (
        re.compile(r"\b(PROMPT|ENV)\s+(?!TRUE|FALSE)\"?\$?([A-Za-z_]\w*)\"?(?!\s*=)(?=\s|;|\Z)", re.IGNORECASE),
        r"\1 '\2'",
    ),
    (re.compile(r"\b(KEYRING)\s+\"?(\w+)\"?[\s,/]+\"?(\w+)\"?(?!\s*=)(?=\s|;|\Z)", re.IGNORECASE), r"\1 '\2' '\3'"),
    (re.compile(r"\b(KEYRING\s+'[^']*')\s*,\s*(?=')", re.IGNORECASE), r"\1 "),
    (re.compile(r"\b(PROMPT|ENV|KEYRING)\s*=\s*(?=')", re.IGNORECASE), r"\1 "),
)


def _sources(text: str) -> str:
    """Return a statement whose sources of secrets have their names in quotes."""
    for pattern, new in _SOURCES:
        text = outside(text, pattern, new)
    return text


@cache
def _digits() -> dict[str, str]:
    small = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    tens = ["ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"]
    return (
        {word: str(10 * at) for at, word in enumerate(tens, 1)}
        | {word: str(at) for at, word in enumerate(small, 1)}
        | {"thousand": "1000", "million": "1000000"}
    )


_UNITS = {"B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_NEGATIVE = re.compile(r"\b(LIMIT|DEPTH)\s+-(?=[2-9]|1\d)", re.IGNORECASE)
_OF_BYTES = re.compile(r"(?<=[<>=]\s)(\d+)\s*'?\s*([KMGT])i?B\b'?|(?<=[<>=])(\d+)\s*([KMGT])i?B\b", re.IGNORECASE)


def _numbers(text: str) -> str:
    """Return a statement with digits for words of numbers, and for sizes in a comparison."""

    def size(match: re.Match[str]) -> str:
        number, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
        return str(
            int(number) * (1024 ** ("KMGT".index(unit.upper()) + 1) if "i" in match.group() else _UNITS[unit.upper()])
        )

    words = re.compile(rf"\b({'|'.join(_digits())})\b", re.IGNORECASE)
    text = outside(text, _NEGATIVE, r"\1 ")
    said = outside(text, words, lambda match: _digits()[match[1].lower()])
    return outside(said, _OF_BYTES, size)


_IF = re.compile(
    r"\A\s*(CREATE(?:\s+OR\s+REPLACE)?|ALTER|DROP)\s+(IF\s+(?:NOT\s+)?EXISTS)\s+((?:S3\s+)?CONNECTION|TABLE|JOB)\s+",
    re.IGNORECASE,
)
_OR = re.compile(r"\A\s*CREATE\s+(?:AND|OR|&|/)?\s*(?:REPLACE|OVERWRITE)\s+", re.IGNORECASE)
_INVENTORY = re.compile(r"\A\s*LIST\s+(?:THE\s+)?INVENTORY\s+(?:FROM\s+)?", re.IGNORECASE)
_FROM_PLACE = re.compile(
    r"\A\s*(ANALYZE|LIST|EXPLORE|PREVIEW|DISCOVER|SUMMARIZE|COMPARE)\s+(?:FROM|IN|OF|ON|AT|NAMED)\s+(?='s3:(?![^']*manifest\.json'))",
    re.IGNORECASE,
)
_KIND_FIRST = re.compile(
    r"\A\s*((?:S3\s+)?CONNECTION|TABLE|JOB|CONNECTIONS|BUCKETS|TABLES|JOBS)\s+(CREATE|DROP|SHOW|ALTER)\b", re.IGNORECASE
)
_LONE = re.compile(r"\A\s*(CONNECTIONS|BUCKETS|TABLES|JOBS|SETTINGS)\b", re.IGNORECASE)
_TAIL = re.compile(
    r"\A(.*?\bINTO\s+S3\s+\S+)\s+((?:SELECT|WITH|FROM)\b.*?)((?:\s+(?:LOCATION|FILE_FORMAT|COMPRESSION|DATE_PATTERN"
    r"|OUTPUT_OFFSET|FILE_SUFFIX)\s*=\s*(?:'[^']*'|\([^()]*\)|\w+))+)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)


def _order(text: str) -> str:
    """Return a statement with IF EXISTS behind the kind of thing, and options before a query."""
    said = _IF.sub(lambda match: f"{match[1]} {match[3]} {match[2]} ", text)
    said = _OR.sub("CREATE OR REPLACE ", said)
    said = _KIND_FIRST.sub(lambda match: f"{match[2]} {match[1]}", said)
    said = _FROM_PLACE.sub(r"\1 ", _INVENTORY.sub("LIST FROM INVENTORY ", said))
    said = _LONE.sub(lambda match: f"SHOW {match[1]}", said)
    return _TAIL.sub(lambda match: f"{match[1]}{match[3]} {match[2]}", said)


_OPTION = r"[A-Z_0-9]+\s*=\s*(?:'[^']*'|\([^()]*\)|\$?\w+)\s+"
_KINDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), new)
    for pattern, new in (
        # One thing, and options behind its name.
        (r"\A(\s*(?:CREATE|ALTER|DROP|DESCRIBE|TEST|USE)\s[\w\s]*?\b(?:CONNECTION|JOB|TABLE))S\s+(?=[\w\"])", r"\1 "),
        (
            rf"\A\s*(CREATE(?:\s+OR\s+REPLACE)?|ALTER)\s+((?:{_OPTION})+)((?:S3\s+)?CONNECTION|(?:SYNC\s+)?JOB)\s+(.*)\Z",
            r"\1 \3 \4 \2",
        ),
        (r"\A\s*(CREATE(?:\s+SYNC)?)\s+(?!JOB\b|SYNC\b)(?=\w+\b.*\bAS\s+(?:COPY|INSERT|MERGE)\b)", r"\1 JOB "),
        # IF EXISTS as a whole.
        (r"\bIF\s+(NOT\s+)?(?!NOT\b|EXISTS\b)(\w+)\s+EXISTS\b", r"IF \1EXISTS \2"),
        (r"\b(CONNECTION|JOB|TABLE)\s+(?:\w{1,3}\s+)?(NOT\s+)?EXISTS\s+(?=[\w\"])", r"\1 IF \2EXISTS "),
        (r"\A(\s*(?:DROP|ALTER)\b.*?\bIF)\s+NOT\s+(?=EXISTS\b)", r"\1 "),
        # Words around names.
        (r"\b(CONNECTION|JOB|TABLE|USING|EXISTS)\s+(?:NAME|THE|FOR|IN|OF)\s+(?=[\w'\"])", r"\1 "),
        (r"\b(CONNECTION|JOB|TABLE|USING|EXISTS|S3|INTO|TO)\s+(?:NAMED|CALLED)\s+(?=[\w'\"])", r"\1 "),
        # The verb of a job, and where it loads.
        (
            r"\A(\s*SHOW\b.*?)\s+(?:WHERE\s+name\s+)?(?:START|BEGIN)(?:S|N?ING)?\s+WITH\s+'([^'%]*)'",
            r"\1 LIKE '\2%'",
        ),
        (r"\bAS\s+(?=FROM\s+S3\b)", "AS COPY "),
        (r"\bAS\s+(?=INTO\s+S3\b)", "AS INSERT "),
        (r"(\bAS\s+COPY\s+FROM\b(?!.*\bINTO\b).*['\w)])\s+(?!INTO\b)([a-z_]\w*)\s*\Z", r"\1 INTO \2"),
        (r"\b(AS\s+COPY\s+FROM|INSERT\s+INTO)\s+(?!S3\b)(?=[a-z_]\w*\s+LOCATION\b)", r"\1 S3 "),
        (r"(?<=\=)\s*\((\d+)\)", r" \1"),
        (r"(?<!\bSAMPLE)\s+(?=\d+\s+PERCENT\b)", " SAMPLE "),
        (r"(?:\bSAMPLE\s+)?\b(\d+)\s*%(?=\s|\Z)", r"SAMPLE \1 PERCENT"),
    )
)
_NO_AS = re.compile(
    r"(\bJOB\b.*?)(?<!\bAS)\s+(?=(?:COPY\s+FROM|INSERT\s+INTO|MERGE\s+INTO)\b)", re.IGNORECASE | re.DOTALL
)


def _kinds(text: str) -> str:
    """Return a statement with JOB, AS and IF EXISTS where they belong, and options behind the name."""
    for pattern, new in _KINDS:
        text = pattern.sub(new, text).strip()
    return text if re.search(r"\bAS\s+(?:COPY|INSERT|MERGE)\b", text, re.IGNORECASE) else _NO_AS.sub(r"\1 AS ", text)


_REPEATED = re.compile(r"\b([A-Za-z_]\w*)\s+\1\b", re.IGNORECASE)
_JOINING = re.compile(
    r"\s*(?:,|\bAND\b|\bTHEN\b)\s*(?=(?:USING|LIMIT|MATCHING|RECURSIVE|VERSIONS|BY|LIKE|LOCATION|DEPTH|INTO|CASCADE)\b)",
    re.IGNORECASE,
)


def _joints(text: str) -> str:
    """Return a statement without words twice, and without AND between its clauses."""
    return outside(outside(text, _REPEATED, r"\1"), _JOINING, " ")


_UNQUOTED = re.compile(r"\b(MATCHING|LIKE|LOCATION\s*=?|TO)\s+([^\s'\"=]*[*%./][^\s'\"]*)", re.IGNORECASE)
_UNQUOTED_WORDS = re.compile(
    r"(?<==)\s*((?!ENV\b|PROMPT\b|KEYRING\b|TRUE\b|FALSE\b)[A-Za-z]+(?:\s+(?!\w+\s*=|AS\b|INTO\b)[A-Za-z]+)+)(?=\s+\w+\s*=|\s*\Z)",
    re.IGNORECASE,
)
_BARE_URI = re.compile(r"(?<=[\s(,=])(\"?)(s3://[^\s'\",;()]+)\1(?=[\s,;)]|\Z)")
_SCHEMELESS = re.compile(
    r"(?<=[\s(,=])'?(?!s3:|\*|[a-z]+/'?(?:\s|\Z))([a-z0-9][a-z0-9.-]{2,62}/[^'\s,()*]*)'?(?=[\s,)]|\Z)"
)


def _unquoted(text: str) -> str:
    """Return a statement with patterns, files and texts of several words in quotes."""
    said = _UNQUOTED.sub(r"\1 '\2'", text)
    return outside(outside(said, _UNQUOTED_WORDS, r" '\1'"), _BARE_URI, r"'\2'")


def _schemes(text: str) -> str:
    """Return a statement with `s3://` and quotes where a bucket and a key stand."""
    return _SCHEMELESS.sub(r"'s3://\1'", text)


@cache
def _valued() -> re.Pattern[str]:
    names = "|".join(sorted({*_NAMES, *_OF_FORMATS}, key=len, reverse=True))
    return re.compile(
        rf"(?<![\w$'])({names})\s+(?=['($]|\d|(?:TRUE|FALSE|AUTO|CSV|JSON|PARQUET|TSV|AVRO|ORC)\b)", re.IGNORECASE
    )


def _no_equals(text: str) -> str:
    """Return a statement with `=` where an option is followed by its value."""
    return outside(text, _valued(), r"\1 = ")


def _semicolons(text: str) -> str:
    """Return a statement with commas for what would end it."""
    return _separators(outside(text.rstrip("; "), re.compile(r"\s*;\s*"), ", "))


_COLON_AS = re.compile(r"\A(\s*CREATE\s+(?:SYNC\s+)?JOB\s+\w+)\s*(?::|->|=|IS)\s*(?=COPY|INSERT|MERGE)", re.IGNORECASE)
_CALLED = re.compile(rf"\A\s*({STARTS})\s*\(([^()]*)\)(?=\s|;|\Z)", re.IGNORECASE)
_ALTERS = re.compile(
    r"\A(\s*ALTER\s+(?:S3\s+)?CONNECTION\s+\S+)\s+(\S.*?)\s+(?=UNSET\b)(.+)\Z", re.IGNORECASE | re.DOTALL
)
_TWICE = re.compile(rf"\A\s*({STARTS})\s+\1\b", re.IGNORECASE)


def _calls(text: str) -> str:
    """Return a statement that is written like a call, without the brackets."""
    said = _TWICE.sub(r"\1", _CALLED.sub(lambda match: f"{match[1]} {match[2]}", text))
    return _ALTERS.sub(r"\1 \2; \1 \3", _COLON_AS.sub(r"\1 AS ", said))


FORMS: tuple[Callable[[str], str], ...] = (
    _without_frame,
    _backticks,
    _variables,
    _places,
    _names_of_words,
    _options_of_others,
    _globs,
    _equals,
    _separators,
    _square_brackets,
    _unbracketed_list,
    _sources,
    _order,
    _calls,
    _kinds,
    _joints,
    _unquoted,
    _no_equals,
    _schemes,
    _numbers,
    _settings_of_values,
    _filters,
    _values_of_options,
    _bare_variables,
    _says_no,
    _semicolons,
    _unglued,
)
