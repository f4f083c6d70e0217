"""Say what was meant by a wrong statement, so that it runs.

It is put into our form as a whole (`forms`, `query_forms`); a statement that looks at a place is read by its words;
else a word or two are changed (`repairs`). What had to be left out is said, and no secret is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.forms import FORMS
from s3conn_magic.language.grammar import parse_cell
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.query_forms import bracketed, forms_of_query, quoted
from s3conn_magic.language.redaction import redactions
from s3conn_magic.language.reference import KEYWORDS, VOCABULARY, AnalyzeBy
from s3conn_magic.language.repairs import ASKED, LONGEST, MOST_COST, STARTS, SURE_COST, repaired, table
from s3conn_magic.language.rules import ParseError
from s3conn_magic.language.session_settings import SETTING_NAMES, find_setting
from s3conn_magic.language.source import BEFORE_NAME, BLANK, SECRET_NAME, Source, Span, harmless, pieces, spaced
from s3conn_magic.language.words import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from s3conn_magic.language.statements import Statement

    Stops = Callable[[str], tuple[int, str] | None]

_SHORT = 8  # of a secret, too little to matter
# Hints that say how something is written, and not what to write.
_GENERAL = re.compile(
    r"\Z|The syntax is|HELP|Text is|A (?:name|list|location|statement) (?:is|has|begins)|An option is|Separate"
    r"|It is read|Or the quote|Build the text|Write [A-Z3 ]+CONNECTION|[A-Z3 _]+ takes |Keep one"
    r"|\$name is|FROM duckdb_f|(?:DESCRIBE|SHOW) |\w+ is (?:a keyword|an option)|Add ['\"] at"
    r"|A Python variable is|LIMIT takes|DEPTH takes|End the"
)
_PATH = re.compile(r"(?=.*[/*])[a-z0-9.*/:_-]+|[\d_,.:T-]+|\w+%|[a-z_]+\.[a-z]{2,5}|\{+[a-z_]+\}+")
_LEADS = BEFORE_NAME | {"$"}  # to a name that is no secret's
_NO_SECRETS = VOCABULARY - {name for option in OPTIONS if option.secret for name in (option.name, *option.aliases)}
_OURS = re.compile(r"\bHere: ((?:[^;']|'[^']*')*);")
# A statement of ours for one of nobody in particular.
_VAGUE = re.compile(r"That is another (?:SQL|system)'s\. Here: (?!.*;.*;)|End the previous")
_MOST_LEFT = 3  # words, of a statement that says the same without them
_EXAMPLE = re.compile(r"Write \w+ = ")


def repair(error: S3ConnError, source: Source, bind: Callable[[list[Statement], Source], object]) -> None:
    """Let the hint of an error say the statement as it was probably meant, if it does not say what to do.

    Args:
        error: of a statement.
        source: the cell.
        bind: raises an error for statements that could not be run.
    """
    error.hint = _called(source.text) or error.hint
    if unnamed := _UNNAMED.search(source.text):
        names = "'NAME'" if unnamed[1].upper() == "ENV" else "'SERVICE' 'USER'"
        error.hint = f"Write {unnamed[1].upper()} {names}, which it is kept under."
    elif error.place is not None and not error.place.file:
        at = source.offset(error.place)
        # What is tried is bound, and nobody is to be asked for a secret then.
        if (ours := _OURS.search(error.hint)) and ASKED.search(ours[0]):
            return
        asked = ASKED.search(source.text)
        stops = _stops_parsing if asked else partial(_stopped, bind)
        error.hint = (_restored(source, at, stops)[0] if asked else _hint(error.hint, source, at, stops)) or error.hint


def _hint(hint: str, source: Source, at: int, stops: Stops) -> str:
    """Return a better hint than one there is, if there is a better one."""
    ours = fixed[1] if (fixed := _OURS.search(hint)) else ""
    seeds = _followed(hint, source, at)
    fine = any(stops(text) is None for text in seeds or ([ours] if ours else []))
    hyphened = re.search("[-_]", getattr(source.token_at(at), "text", "")) is not None
    if fine and (not hyphened if seeds else not _loses(source.text, ours)):
        return ""
    whole, nearly = _restored(source, at, stops)
    if whole:
        return whole
    most, changed = MOST_COST, "" if fine else ours
    explained = not seeds and not ours and not _GENERAL.match(hint)
    glued = hint == "Delete it." and at > 0 and not source.text[at - 1].isspace()
    if (fine or not (seeds or ours)) and (_VAGUE.match(hint) or (_EXAMPLE.match(hint) and not fine)):
        most = SURE_COST
    elif fine or (explained and not glued):
        return ""
    made = _searched(source, at, stops, (next(iter(seeds), ""), changed, *nearly), most)
    said = _OURS.search(made or hint)
    if "left out" in made or said is None or _loses(source.text, (made or hint).partition("Here: ")[2]):
        made = _read(source, at, stops, made) or made
    made = "" if made == f"Here: {ours};" else made
    if (made or hint).startswith("Here: "):
        return f"{_left(_lost(source, at, made or hint))}{made or hint}"
    return made


def _searched(source: Source, at: int, stops: Stops, seeds: tuple[str, ...], most: float) -> str:
    """Return the hint with the nearest statement that runs, and with what it leaves out."""
    span = next((span for span in pieces(source.text) if span.end >= at), Span(0, 0))
    written = source.text[slice(*span)]
    seed, ours, *nearly = seeds
    if not source.readable and nearly:
        written, span = nearly[0], Span(span.start, span.start + len(nearly[0]))
        source, seed = replace(source, text=source.text[: span.start] + written), ""
    if not written or span.end > LONGEST or not source.readable or not _holds_none(source, span):
        return ""
    before = source.text[: span.start]
    near = [*nearly, *([ours] if ours and BLANK not in ours else [])]
    near += [seed[span.start : span.end + len(seed) - len(source.text)]] if seed else []

    def stops_here(text: str) -> tuple[int, str] | None:
        stopped = stops(before + text)
        return (stopped[0] - span.start, stopped[1]) if stopped else None

    said, left = repaired(written, near, stops_here, source.connections(), most)
    if not said or not _shows_nothing(said) or spaced(said) == spaced(written):
        return ""
    return f"{_left(left)}Here: {said}"


def _lost(source: Source, at: int, said: str) -> list[str]:
    """Return the places, numbers, variables and words of ours of a statement that another one lacks."""
    span = next((span for span in pieces(source.text) if span.end >= at), Span(0, len(source.text)))
    kept = {_meaning(token.text) for token in Source(said).tokens}
    numbers = {text for text in kept if text.isdecimal()}
    lost: list[str] = []
    for token in Source(source.text[slice(*span)]).tokens:
        text, upper = token.text, token.text.upper()
        if _meaning(text) in kept or "" in table().get(upper, ()) or upper in _NOISE | STARTS:
            continue
        if (text.isdecimal() and numbers) or token.kind in {"space", "comment"}:
            continue
        if text.isdecimal() or upper in KEYWORDS or (text.startswith("'s3://") and "s3://" not in said):
            lost.append(text)
    return [" ".join(lost)] if 0 < len(lost) <= _MOST_LEFT else []


def _read(source: Source, at: int, stops: Stops, made: str) -> str:
    """Return the hint for a statement that looks at a place, by what each of its words can only be."""
    span = next((span for span in pieces(source.text) if span.end >= at), Span(0, len(source.text)))
    said, left = by_words(source.text[slice(*span)], source.connections())
    if (
        not said
        or len(left) > _MOST_LEFT
        or not _holds_none(source, span)
        or stops(source.text[: span.start] + said) is not None
    ):
        return ""
    others = made.partition("Here:")[0].count(" ") - len("is left out")
    return (
        f"{_left([' '.join(left)] if left else [])}Here: {said};" if not (made and left and len(left) >= others) else ""
    )


def _left(texts: Sequence[str]) -> str:
    left = [f"`{text}`" for text in dict.fromkeys(texts)]
    return f"{listed(left, 'and')} {'is' if len(left) == 1 else 'are'} left out. " if left else ""


# What does not say how to write it.
_OF_RUN = re.compile(
    r"\Z|DESCRIBE SELECT|TRY_CAST|FROM duckdb_f|LIST 's3|s3://bucket/key|Write FROM objects|\$name|It is read"
)


def repair_run(error: S3ConnError, source: Source, bind: Callable[[list[Statement], Source], object]) -> None:
    """Let the hint of an error that a running query or listing raised say the statement as it was probably meant."""
    if error.place is not None and not source.file and _OF_RUN.match(error.hint) and harmless(source.text):
        made = _restored(source, source.offset(error.place), partial(_stopped, bind))[0]
        error.hint = made or error.hint


def _stopped(bind: Callable[[list[Statement], Source], object], text: str) -> tuple[int, str] | None:
    tried = Source(text)
    try:
        bind(parse_cell(tried.code), tried)
    except ParseError as stopped:
        return stopped.at, stopped.message
    except S3ConnError as refused:
        return tried.offset(refused.place), refused.message
    return None


def _stops_parsing(text: str) -> tuple[int, str] | None:
    try:
        parse_cell(Source(text).code)
    except ParseError as stopped:
        return stopped.at, stopped.message
    except S3ConnError as refused:
        return 0, refused.message
    return None


def _loses(written: str, said: str) -> bool:
    """Return whether a statement lacks a value, or a word of ours, that was written."""
    kept = {_meaning(token.text) for token in Source(said).tokens}
    words = [token for token in Source(written).tokens if token.kind in {"word", "string", "quoted"}]
    return any(_meaning(token.text) not in kept for token in words if token.text.upper() not in _NOISE)


_NOISE = frozenset({"THE", "A", "AS", "WITH", "S3", "FROM", "IN", "OF", "TO"})


def _meaning(text: str) -> str:
    return re.sub(r"\W", "", text).upper()


def _restored(source: Source, at: int, stops: Stops) -> tuple[str, list[str]]:
    """Return the hint with a statement in our form that runs, and else what comes near to it."""
    span = next((span for span in pieces(source.text) if span.end >= at), Span(0, len(source.text)))
    end = len(source.text.rstrip().rstrip(";"))
    whole = source.text[slice(*span)].count("(") == source.text[slice(*span)].count(")")
    spans = [*([span] if whole else []), Span(span.start, end), span, Span(0, end)]
    nearly: list[str] = []
    for start, end in dict.fromkeys(spans):
        written = source.text[start:end]
        if not written.strip() or len(written) > LONGEST:
            continue
        for said in restored(written, source.connections()):
            tried = replace(source, text=said)
            if _misplaces(written, said, source.connections()):
                continue
            if not tried.readable or not _holds_none(tried, Span(0, len(said))) or not _shows_nothing(said):
                continue
            if stops(source.text[:start] + said) is None and spaced(said) != spaced(written):
                return f"Here: {said.strip().rstrip(';')};", []
            nearly.append(said)
    return "", [*dict.fromkeys([*nearly[:1], *nearly[-1:]])]


def _misplaces(written: str, said: str, connections: Sequence[str]) -> bool:
    """Return whether a variable became text, or a connection the name of a bucket."""
    texts = [*re.findall(r"'\$\{?\w", said), *(f"s3://{name}/" for name in connections if f"s3://{name}/" in said)]
    return any(text not in written for text in texts)


_UNNAMED = re.compile(r"=\s*(ENV|KEYRING)\s*(?=\Z|;|[A-Z_]+\s*=)", re.IGNORECASE)
_CALL = re.compile(r"\b(PROMPT|ENV|KEYRING)\s*\(\s*('[^']*')(?:\s*,\s*('[^']*'))?\s*\)", re.IGNORECASE)
_ONE = re.compile(r"\b(KEYRING)\s+'([^'/]+)/([^'/]+)'(?!\s*')", re.IGNORECASE)


def _called(text: str) -> str:
    """Return a statement whose sources of secrets are written like calls, or as one text, in our syntax."""
    said = _CALL.sub(lambda match: " ".join(filter(None, match.groups())), text)
    said = _ONE.sub(r"\1 '\2' '\3'", said).strip().rstrip(";")
    if said == text.strip().rstrip(";") or not harmless(said) or not _shows_nothing(said):
        return ""
    try:
        parse_cell(Source(said).code)
    except (ParseError, S3ConnError):
        return ""
    return f"Here: {said};"


def _followed(hint: str, source: Source, at: int) -> list[str]:
    """Return a text as a hint says to change it at a place."""
    meant, written = re.fullmatch(r"Did you mean (.+)\?", hint), re.match(r"Write (\S+|\w+ = \S+) instead", hint)
    here, before = source.token_at(at), source.token_before(at)
    if meant:
        return [source.with_word(token, meant[1]) for token in (here, before) if token]
    if not written or not here or here.span.start != at:
        return []
    end = here.span.end
    if " = " in written[1]:
        mark = source.token_at(end)
        value = source.token_at(mark.span.end) if mark else None
        end = value.span.end if value else end
    return [f"{source.text[:at]}{written[1]}{source.text[end:]}"]


def _holds_none(source: Source, span: Span) -> bool:
    """Return whether nothing in a statement can be a secret: no name of one, no word that messages do not show."""
    if not harmless(source.text[slice(*span)]):
        return False
    known = source.connections()
    setting = re.fullmatch(r"(?i:SET)\s+(\w+)\s*=\s*\S+", source.text[slice(*span)])
    if setting and nearest(setting[1], SETTING_NAMES):
        return True
    tokens = [token for token in source.tokens if span.start <= token.span.start < span.end]
    tokens = [token for token in tokens if token.kind not in {"space", "comment"}]
    for index, token in enumerate(tokens):
        behind = [each.text.upper() for each in tokens[index + 1 : index + 3]]
        referred = behind[:1] == ["="] and re.fullmatch(
            r"\$|ENV|KEYRING|PROMPT|'(?:\$\{?|\{+)\w+\}*'", "".join(behind[1:])
        )
        if token.kind not in {"word", "quoted"} or referred or (index and tokens[index - 1].text.upper() in _LEADS):
            continue
        of_secret = SECRET_NAME.search(token.text) and not re.match(r"(?i)max_?keys\Z", token.text)
        if (of_secret and token.text.upper() not in _NO_SECRETS) or (
            source.shown(token) == "…" and len(token.text) >= _SHORT and not _PATH.fullmatch(_plain(token.text, known))
        ):
            return False
    return True


def _plain(written: str, known: Sequence[str]) -> str:
    """Return a location without the connection in it, if that exists."""
    return re.sub(rf"\As3://(?:{'|'.join(map(re.escape, known))})@", "s3://", written) if known else written


def _shows_nothing(said: str) -> bool:
    """Return whether nothing stands in a statement where a secret may stand."""
    return all(
        change.span.end - change.span.start < _SHORT
        or "s3://" in said[slice(*change.span)]
        or find_setting(change.owner)
        for change in redactions(said)
    )


def restored(text: str, connections: Sequence[str]) -> Iterator[str]:
    """Yield a wrong statement in our form: with one thing mended, then with more and more of them."""
    text = text.strip()
    yield from _of_connections(text, connections)
    quotes = [*quoted(text)]
    yield from quotes
    yield from bracketed(text)
    seen = {text, *quotes}
    forms = [*FORMS, *forms_of_query(text)]
    for start in [*quotes[:3], text][:3]:
        for form in forms:
            if (said := form(start)) not in seen:
                seen.add(said)
                yield said
    said = quotes[0] if quotes else text
    for form in forms:
        if (said := form(said)) not in seen:
            seen.add(said)
            yield said


_NAMELESS = re.compile(
    r"\A(\s*(?:ALTER|TEST|DESCRIBE)\s+(?:S3\s+)?CONNECTION)\s+(?=(?:SET|UNSET|LOCATION|WITH)\b)", re.IGNORECASE
)
_PLACED = re.compile(
    r"\A(\s*CREATE\s+.*?\bCONNECTION(?:\s+IF\s+NOT\s+EXISTS)?)\s+['\"]?(s3://[\w./-]+?)/?['\"]?(?=\s|\Z)", re.IGNORECASE
)
_ALIKE = re.compile(
    r"\A(\s*(?:DROP|TEST|DESCRIBE|USE)\s+(?:S3\s+)?CONNECTION)S?\s+(?:WHERE\s+name\s+)?(?:LIKE|=)\s+'([^']*)'\s*\Z",
    re.IGNORECASE,
)
_DEFINED = re.compile(
    r"\A\s*SHOW\s+(?:DDL|DEFINITION|CODE|SCRIPT|SOURCE|SQL|STATEMENT|CREATE)\s+(?:OF\s+|FOR\s+)?(\w+)\s*\Z",
    re.IGNORECASE,
)
_OF_ONE = re.compile(r"\A\s*SHOW\s+CONNECTIONS?\s+(?:USING|FOR|OF|NAMED|IN|=)\s+(\w+)\s*\Z", re.IGNORECASE)


def _of_connections(text: str, connections: Sequence[str]) -> Iterator[str]:
    """Yield a statement with the connection that it lacks, or that a pattern or another word stands for."""
    if connections and _NAMELESS.match(text):
        yield _NAMELESS.sub(lambda match: f"{match[1]} {connections[0]} ", text)
    if match := _PLACED.match(text):
        yield f"{match[1]} my_s3{text[match.end() :]} PATH_DISPLAY_FILTERS = '{match[2]}/'"
    if match := _ALIKE.match(text):
        like = re.escape(match[2]).replace("%", ".*").replace("_", ".")
        named = [name for name in connections if re.fullmatch(like, name, re.IGNORECASE)]
        yield "; ".join(f"{match[1].strip()} {name}" for name in named)
    if (match := _DEFINED.match(text)) and match[1] in connections:
        yield f"SHOW CREATE S3 CONNECTION {match[1]}"
    if (match := _OF_ONE.match(text)) and match[1] in connections:
        yield f"SHOW CONNECTIONS LIKE '{match[1]}'"


_VERBS = {
    "LIST": ("LS", "FIND", "SEARCH", "DIR", "SHOW"),
    "PREVIEW": ("HEAD", "CAT", "OPEN", "VIEW", "SAMPLE", "SHOW"),
    "EXPLORE": ("BROWSE",),
    "ANALYZE": ("ANALYSE", "DU", "SIZE", "COUNT"),
    "DISCOVER": ("SCAN",),
    "SUMMARIZE": ("PROFILE",),
    "DESCRIBE": ("DESC", "INFO"),
}
_CLAUSE_WORDS = {
    "RECURSIVE": "RECURSE RECURSIVELY DEEP ALL NESTED EVERYTHING",
    "VERSIONS": "VERSION",
    "BY": "GROUP PER",
}
_DIMENSIONS = get_args(AnalyzeBy)
_TOKEN = re.compile(r"'(?:[^']|'')*'|\$\w+|\d+|\w+|\S")
_THROUGH = {"USING", "VIA", "THROUGH"}
_FILLING = frozenset(
    [
        "FROM",
        "IN",
        "OF",
        "THE",
        "A",
        "AN",
        "AT",
        "TO",
        "ON",
        "FOR",
        "WITH",
        "USING",
        "VIA",
        "THROUGH",
        "CONNECTION",
        "S3",
        "BUCKET",
        "BUCKETS",
        "OBJECT",
        "OBJECTS",
        "FILE",
        "FILES",
        "KEY",
        "KEYS",
        "FOLDER",
        "PREFIX",
        "PATH",
        "LOCATION",
        "LIMIT",
        "TOP",
        "FIRST",
        "HEAD",
        "ROWS",
        "LINES",
        "N",
        "MATCHING",
        "LIKE",
        "PATTERN",
        "GLOB",
        "BY",
        "DEPTH",
        "LEVEL",
        "LEVELS",
        "NAMED",
        "CALLED",
        "WHERE",
        "NAME",
        "AS",
        "AND",
        "INSIDE",
        "UNDER",
        "WITHIN",
        "ME",
        "ITS",
    ]
)


def by_words(text: str, connections: Sequence[str]) -> tuple[str, list[str]]:
    """Return a statement that looks at a place with its clauses in our order, and the words that are left out."""
    verb, *words = [match.group() for match in _TOKEN.finditer(text)] or [""]
    whole = next((ours for ours, theirs in _VERBS.items() if verb.upper() in {ours, *theirs}), "")
    places = [word for word in words if word.startswith("'s3://") or (word[0] == "$" and whole)]
    asks = {word.upper() for word in words}
    undecided = asks & {"-", "."} or (whole == "ANALYZE" and ("BY" in asks) != bool(asks & {*_DIMENSIONS}))
    unknown = [word for before, word in pairwise(words) if before.upper() in _THROUGH and word[0].isalpha()]
    if not whole or len(places) != 1 or undecided or not {*unknown} <= {*connections, *KEYWORDS}:
        return "", []
    if whole == "ANALYZE" and asks & {"LIMIT", "TOP", "FIRST", "HEAD", "ROWS"}:
        return "", []
    if whole == "LIST" and verb.upper() == "SHOW" and re.search(r"\.\w+'\Z", places[0]):
        whole = "PREVIEW"
    clauses: dict[str, str] = {}
    left: list[str] = []
    for word in words:
        _put(word, whole, clauses, left, connections)
    if verb.upper() in {"FIND", "SEARCH"} and "MATCHING" in clauses and "/" not in clauses["MATCHING"]:
        clauses |= {"RECURSIVE": "RECURSIVE", "MATCHING": f"MATCHING '**/{clauses['MATCHING'][10:]}"}
    order = ("USING", "RECURSIVE", "VERSIONS", "MATCHING", "BY", "DEPTH", "LIMIT")
    return " ".join([whole, places[0], *(clauses[name] for name in order if name in clauses)]), left


def _put(word: str, verb: str, clauses: dict[str, str], left: list[str], connections: Sequence[str]) -> None:
    """Put a word of a statement into the clause that takes it."""
    upper, before = word.upper(), dict(clauses)
    lists = verb == "LIST"
    flag = next((ours for ours, theirs in _CLAUSE_WORDS.items() if upper in {ours, *theirs.split()}), "")
    if word.startswith("'s3://") or word[0] == "$" or word in {",", "=", "(", ")", ";", ":", "+"}:
        return
    if word in connections or word.strip("'") in connections:
        clauses["USING"] = f"USING {word.strip(chr(39))}"
    elif verb == "ANALYZE" and upper in _DIMENSIONS:
        clauses["BY"] = f"BY {upper}"
    elif lists and flag in {"RECURSIVE", "VERSIONS"}:
        clauses[flag] = flag
    elif word.startswith("'") and lists:
        clauses["MATCHING"] = f"MATCHING {word}"
    elif word.isdecimal() and verb in {"LIST", "PREVIEW", "ANALYZE"} and not left:
        clauses["LIMIT" if verb != "ANALYZE" else "DEPTH"] = f"{'LIMIT' if verb != 'ANALYZE' else 'DEPTH'} {word}"
    elif (upper not in _FILLING or (upper in {"DEPTH", "LEVEL", "LEVELS"} and verb != "ANALYZE")) and flag != "BY":
        left.append(word)
    left.extend(said for name, said in before.items() if said != clauses[name])
