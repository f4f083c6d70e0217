"""Bind statements to plans: look up names, and check each option and combination, in the order of the cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial, singledispatchmethod
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import ConnectionExistsError, ConnectionNotFoundError
from s3conn_magic.language import plans, statements
from s3conn_magic.language.evaluation import Binding, Inputs, split
from s3conn_magic.language.job_binder import (
    JobBinder,
    StorageBinder,
    anew,
    mutable,
    query_of,
)
from s3conn_magic.language.options import find_option
from s3conn_magic.language.plans import (
    DEFAULT_S3,
    SANDBOX,
    TO_BE_STARTED,
    Catalog,
    Known,
    exists,
    in_use,
    is_sandbox,
    meant,
    none_yet,
    not_found,
    release,
)
from s3conn_magic.language.reference import BY_QUERY
from s3conn_magic.language.statements import JobStatement
from s3conn_magic.language.words import identifier, listed, nearest, pattern_meant, table_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from s3conn_magic.errors import BindError
    from s3conn_magic.language.options import BoundOptions
    from s3conn_magic.language.source import Source
    from s3conn_magic.locations import Location


class TableBinder:
    """Binds a cell's statements about queries and tables, in order.

    Args:
        binding: reads the values of the cell.
        tables: names of the existing tables.
        reader: returns the connection that a statement reads through.
        known: the connections by folded name; dropping a table removes it from their usages.
        storage: returns the current DEFAULT_STORAGE: a connection's name and a location, or nothing.
    """

    def __init__(
        self,
        binding: Binding,
        tables: Iterable[str],
        reader: Callable[[statements.Name | None, statements.Statement], str],
        known: dict[str, Known],
        storage: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._binding = binding
        self._storage = storage
        self.names = {name.casefold(): name for name in tables}
        self._reader = reader
        self._known = known

    def aside(self, known: dict[str, Known]) -> TableBinder:
        """Return a copy with its own state."""
        return TableBinder(self._binding, self.names.values(), self._reader, known, self._storage)

    def forget(self, usages: Iterable[plans.Usage]) -> None:
        """Forget dropped tables."""
        for usage in usages:
            self.names.pop(usage.name.casefold(), None)

    @singledispatchmethod
    def bind(self, statement: statements.Statement) -> plans.Plan:
        """Return the plan of a statement.

        Raises:
            BindError: a table's name is taken or unknown, or clauses cannot be combined.
        """
        return self._binding.bound(statement)

    @bind.register
    def _create(self, statement: statements.CreateTable) -> plans.Plan:
        self._check(statement)
        old = self.names.get(statement.name.text.casefold())
        if old is not None and statement.if_not_exists:
            return self._binding.no_change(statement, f"the table {old} already exists.")
        if old is not None and not statement.or_replace:
            hint = "CREATE OR REPLACE TABLE replaces it; CREATE TABLE IF NOT EXISTS keeps it."
            raise self._binding.error(f"the table {old} already exists", statement.name.span, hint=hint)
        storage = self._of_storage(statement).stored(statement, self._storage())
        self.names[statement.name.text.casefold()] = statement.name.text
        written: Any = statement.columns
        given: dict[str, Any] = {"in_file": self._binding.in_file} | storage
        if written and not statement.query:
            given["locate"] = partial(self._binding.place_within, written.span)
        # `()` is how Upsolver writes a table that takes its columns from its first rows.
        columns = written.value.reveal() if written and written.value.reveal().strip("() \t\n") else None
        connection = self._reader(statement.using, statement) if statement.location else ""
        return self._binding.bound(statement, columns=columns, connection=connection, **given)

    def _of_storage(self, statement: statements.Statement) -> StorageBinder:
        def existing(name: statements.Name) -> Known:
            return self._known[self._reader(name, statement).casefold()]

        return StorageBinder(self._binding, self._known, existing, self.names, {})

    @bind.register
    def _about_table(self, statement: statements.AboutTable) -> plans.Plan:
        storage, given = self._of_storage(statement), dict[str, Any]()
        if statement.settings:
            given["options"], given["note"] = storage.altered(statement.settings)
        name = self._existing_name(statement.name)
        return self._binding.bound(statement, name=replace(statement.name, text=name), **given)

    def _existing_name(self, name: statements.Name) -> str:
        if name.text.casefold() not in self.names:
            raise self._missing(name)
        return self.names[name.text.casefold()]

    def _check(self, statement: statements.CreateTable) -> None:
        self._check_using(statement)
        name = statement.name
        if statement.or_replace and statement.if_not_exists:
            message = "OR REPLACE cannot be combined with IF NOT EXISTS"
            raise self._binding.error(message, name.span, hint="Use only one of them.")
        mixed: list[Any] = [*statement.partitioned, *statement.keys, *statement.settings]
        if statement.location and mixed:
            hint = self._binding.said_here(mixed[0].span, whole=True) or "Use STORAGE_LOCATION instead."
            raise self._binding.error("LOCATION cannot be used here", mixed[0].span, hint=hint)
        other: Any = statement.columns or statement.query
        if statement.location and other:
            hint = "A table over files has the columns of the files."
            hint = self._binding.said_here(other.span, whole=True) or hint
            raise self._binding.error("LOCATION cannot be combined with columns or AS", other.span, hint=hint)
        if statement.using and not statement.location:
            hint = "In a query a connection is named in the path: 's3://name@bucket/key'."
            raise self._binding.error("USING can only be used with LOCATION", statement.using.span, hint=hint)

    def _check_using(self, statement: statements.CreateTable) -> None:
        """Check that the connection exists, unless USING names a table format of another system."""
        try:
            self._reader(statement.using, statement) if statement.using else None
        except ConnectionNotFoundError as error:
            error.hint = self._binding.said_here(statement.span, whole=True) or error.hint
            raise

    @bind.register
    def _rows(self, statement: statements.Rows) -> plans.Plan:
        given: dict[str, Any] = {"in_file": self._binding.in_file}
        if statement.query is None:
            given["locate"] = partial(self._binding.place_within, statement.span)
        if table := getattr(statement, "table", None):
            given["text"] = self._rows_of(table)
        if statement.location is not None:
            given["connection"] = self._reader(statement.using, statement)
        return self._binding.bound(statement, **given)

    def rows_of(self, statement: statements.DescribeConnection) -> plans.Plan | None:
        """Return the plan of DESCRIBE name for a table, or None if there is none of that name."""
        if statement.name.text.casefold() not in self.names:
            return None
        return self._rows(statements.DescribeRows(table=statement.name, span=statement.span))

    def _rows_of(self, name: statements.Name) -> str:
        if name.text.casefold() not in self.names:
            raise self._missing(name)
        return f"FROM {'.'.join(map(identifier, table_parts(self.names[name.text.casefold()])))}"

    @bind.register
    def _drop(self, statement: statements.DropTable) -> plans.Plan:
        self._of_storage(statement).options_of(statement.settings)
        table = self.names.pop(statement.name.text.casefold(), None)
        if table is None and statement.if_exists:
            return self._binding.no_change(statement, f"no table {statement.name.text}.")
        if table is None:
            raise self._missing(statement.name)
        release(self._known, "table", table)
        return self._binding.with_name(statement, table)

    def _missing(self, name: statements.Name) -> BindError:
        names = list(self.names.values())
        hint = f"There {'are' if len(names) > 1 else 'is'} {listed(names, 'and')}." if names else _NO_TABLES
        hint = f"Did you mean {near}?" if (near := nearest(name.text, names)) else hint
        return self._binding.error("there is no table of that name", name.span, hint=hint)


# Options whose values a statement may be compared by, as none is a secret.
_APPARENT = {"READ_ONLY", "REGION", "ENDPOINT", "ADDRESSING_STYLE", "ANONYMOUS", "REQUESTER_PAYS", "AWS_PROFILE"}
_NO_TABLES = "There are no tables yet: CREATE TABLE name (id BIGINT); creates one."


def bind(
    statements: Sequence[statements.Statement],
    source: Source,
    catalog: Catalog,
    inputs: Inputs,
    tables: Callable[[], Iterable[str]] = tuple,
    *,
    jobs: Callable[[], Iterable[str]] = tuple,
) -> list[plans.Plan]:
    """Return the plans of a cell, in order; `tables` and `jobs` return the existing names.

    Each statement is bound against the connections as the ones before it would leave them.

    Raises:
        BindError, ConnectionNotFoundError, ConnectionExistsError, ConnectionInUseError: with the place.
    """
    binding = Binding(source, inputs, CLAUSES)
    bound = _Binder(binding, catalog, tables, jobs).bind_all(statements)
    if binding.prompts:
        binding.asking = True
        bound = _Binder(binding, catalog, tables, jobs).bind_all(statements)
    return bound


class _Binder:
    def __init__(
        self, binding: Binding, catalog: Catalog, tables: Callable[[], Iterable[str]], jobs: Callable[[], Iterable[str]]
    ) -> None:
        self._binding, self._table_names, self._job_names = binding, tables, jobs
        self._known = {known.name.casefold(): known for known in catalog.known()}
        self._fallback = catalog.fallback
        self._storage: tuple[str, ...] = getattr(catalog, "storage", ())
        self._default = catalog.default.casefold() if catalog.default else None
        self._current_endpoints, self._taken = catalog.endpoints, catalog.taken
        binding.endpoints = self._endpoints

    def _endpoints(self) -> dict[str, str | None]:
        """Return the server of each connection, including those that the cell creates before; None for AWS."""
        given = {known.name: known.options.get("ENDPOINT") for known in self._known.values()}
        return {**self._current_endpoints(), **{name: str(bound.value) for name, bound in given.items() if bound}}

    @cached_property
    def _jobs(self) -> dict[str, str]:
        return {name.casefold(): name for name in self._job_names()}

    @cached_property
    def _tables(self) -> TableBinder:
        return TableBinder(self._binding, self._table_names(), self._reader, self._known, lambda: self._storage)

    def bind_all(self, cell: Sequence[statements.Statement]) -> list[plans.Plan]:
        bound, bind = [], self._bind
        for statement in cell:
            plan = bind(statement)
            read = plan.statement if isinstance(plan, statements.Explain) else plan
            self._binding.check_servers(read.through)
            bound.append(plan)
        return bound

    @singledispatchmethod
    def _bind(self, statement: statements.Statement) -> plans.Plan:
        return self._tables.bind(statement)

    # Connections

    @_bind.register
    def _create(self, statement: statements.CreateConnection) -> plans.Plan:
        name = statement.name
        place = self._binding.beginning(statement)
        if statement.or_replace and statement.if_not_exists:
            raise self._binding.error(
                "OR REPLACE cannot be combined with IF NOT EXISTS", name.span, hint="Use only one of them."
            )
        old = self._known.get(name.text.casefold())
        if old and not statement.or_replace and not statement.if_not_exists:
            raise exists(old.name).at(self._binding.place(name.span))
        options = self._binding.options(statement.settings, used=not (old and statement.if_not_exists))
        self._check(options, statement.settings, name)
        if old and statement.if_not_exists:
            written = {name: each for name, each in options.items() if name in _APPARENT and each.source == "statement"}
            others = sorted(name for name, each in written.items() if each != old.options.get(name))
            other = f", with another {listed(others, 'and')}: OR REPLACE changes that" if others else ""
            return self._binding.no_change(statement, f"the connection {old.name} already exists{other}.")
        stored, validate = split(options)
        self._known[name.text.casefold()] = Known(name.text, stored, old.usages if old else ())
        return plans.Create(
            place=place,
            name=name.text,
            options=stored,
            validate=validate,
            or_replace=statement.or_replace,
            replaces=old.name if old else "",
            where=partial(self._binding.places_of, statement.settings),
        )

    @_bind.register
    def _alter(self, statement: statements.AlterConnection) -> plans.Plan:
        place = self._binding.beginning(statement)
        old = self._known.get(statement.name.text.casefold())
        settings = self._binding.options(statement.settings, used=bool(old))
        for setting in statement.settings:
            mutable(self._binding, setting.name, may_be_transient=True, anew=anew(old, setting.value) if old else "")
        for name in statement.unset:
            mutable(self._binding, name, may_be_transient=False, anew=anew(old) if old else "")
        removed = self._binding.removed(statement.unset)
        if old is None and statement.if_exists:
            return self._binding.no_change(statement, f"no connection {statement.name.text}.")
        old = self._existing(statement.name)
        if old is TO_BE_STARTED:
            message = f"{old.name} has no options before START SANDBOX has run"
            raise self._binding.error(message, statement.name.span, hint="Alter it in the next cell.")
        if statement.rename_to:
            return self._rename(statement, old, statement.rename_to)
        stored, validate = split(settings)
        if removed and not stored and not any(name in old.options for name in removed):
            return self._binding.no_change(statement, f"{old.name} has none of that to change.")
        options = {name: value for name, value in {**old.options, **stored}.items() if name not in removed}
        self._check(options, statement.settings, statement.unset[0] if statement.unset else statement.name)
        self._known[old.name.casefold()] = old._replace(options=options)
        changed = (*stored, *removed)
        where = partial(self._binding.places_of, statement.settings, statement.unset)
        return plans.Alter(place=place, name=old.name, options=options, changed=changed, validate=validate, where=where)

    def _rename(self, statement: statements.AlterConnection, old: Known, new: statements.Name) -> plans.Plan:
        if (existing := self._known.get(new.text.casefold())) and existing is not old:
            raise ConnectionExistsError(
                f"the connection {existing.name} already exists",
                hint="Choose another name, or drop that one first.",
                place=self._binding.place(new.span),
            )
        if new.text == old.name:
            return self._binding.no_change(statement, "that is its name.")
        del self._known[old.name.casefold()]
        self._known[new.text.casefold()] = old._replace(name=new.text)
        if self._default == old.name.casefold():
            self._default = new.text.casefold()
        return plans.Rename(place=self._binding.beginning(statement), name=old.name, new_name=new.text)

    def _check(
        self, options: BoundOptions, settings: tuple[statements.OptionSetting, ...], otherwise: statements.Name
    ) -> None:
        if options:
            where = {option.name: setting.span for setting in settings if (option := find_option(setting.name.text))}
            self._binding.check(options, where, otherwise.span)

    @_bind.register
    def _drop(self, statement: statements.DropConnection) -> plans.Plan:
        if statement.name.text.casefold() not in self._known and statement.if_exists:
            return self._binding.no_change(statement, f"no connection {statement.name.text}.")
        old = self._existing(statement.name)
        if old.usages and not statement.cascade:
            raise in_use(old).at(self._binding.place(statement.name.span))
        del self._known[old.name.casefold()]
        self._tables.forget(old.usages)
        for usage in old.usages:
            self._jobs.pop(usage.name.casefold() if usage.kind == "job" else "", None)
        if self._default == old.name.casefold():
            self._default = None
        return self._binding.with_name(statement, old.name)

    @_bind.register
    def _use(self, statement: statements.UseConnection) -> plans.Plan:
        known = self._existing(statement.name)
        self._default = known.name.casefold()
        return self._binding.with_name(statement, known.name)

    def _existing(self, name: statements.Name, *others: str) -> Known:
        if name.text.casefold() == DEFAULT_S3 and not self._known:
            self._by_default(name)
        if known := self._known.get(name.text.casefold()):
            return known
        names = [*(known.name for known in self._known.values()), *others]
        raise not_found(name.text, names).at(self._binding.place(name.span))

    # Introspection

    @_bind.register
    def _describe(self, statement: statements.DescribeConnection) -> plans.Plan:
        if statement.name.text.casefold() not in self._known and (rows := self._tables.rows_of(statement)):
            return rows
        known = self._existing(statement.name, *self._tables.names.values())
        return self._binding.with_name(statement, known.name)

    @_bind.register
    def _about_connection(self, statement: statements.AboutConnection) -> plans.Plan:
        return self._binding.with_name(statement, self._existing(statement.name).name)

    # What is read through a connection

    @_bind.register
    def _reading(self, statement: statements.Reading) -> plans.Plan:
        values = self._binding.clauses(statement)
        at = values.get("inventory") or values.get("location")
        return self._binding.bound(statement, name=self._reader(statement.using, statement, at), **values)

    @_bind.register
    def _compare(self, statement: statements.Compare) -> plans.Plan:
        def side_of(side: statements.ComparedSide) -> statements.ComparedSide:
            values = self._binding.clauses(side)
            return replace(side, name=self._reader(side.using, statement, values["location"]), **values)

        return self._binding.bound(statement, left=side_of(statement.left), right=side_of(statement.right))

    @_bind.register
    def _explore_all(self, statement: statements.ExploreAll) -> plans.Plan:
        if not self._known:
            self._by_default(statement)
        return self._binding.bound(statement)

    def _by_default(self, statement: statements.Statement | statements.Name) -> str:
        """Return the connection that is created when the statement is executed.

        Raises:
            ConnectionNotFoundError: there are no credentials for it, or the setting forbids it.
        """
        if (name := self._fallback()) is None:
            raise none_yet().at(self._binding.beginning(statement)())
        self._known[name] = Known(name, {})
        return name

    def _reader(
        self, using: statements.Name | None, statement: statements.Statement, location: Location | None = None
    ) -> str:
        """Return the connection that a statement reads through, chosen by display filters if none is named."""
        if using:
            return self._existing(using).name
        if self._default in self._known:
            return self._known[self._default].name
        if not self._known:
            return self._by_default(statement)
        try:
            return self._taken(meant(self._known.values(), location, _using))
        except ConnectionNotFoundError as error:
            failure = error.at(self._binding.beginning(statement)())
        raise failure

    @_bind.register
    def _job(self, statement: JobStatement) -> plans.Plan:
        return JobBinder(self._binding, self._known, self._existing, self._tables.names, self._jobs).bind(statement)

    # Session

    @_bind.register
    def _explain(self, statement: statements.Explain) -> plans.Plan:
        before = self._known, self._tables, self._default, self._jobs
        # EXPLAIN changes nothing for the statements that follow.
        self._known, self._jobs = dict(self._known), dict(self._jobs)
        self._tables = self._tables.aside(self._known)
        try:
            with self._binding.asking_nobody():
                return self._binding.bound(statement, statement=self._bind(statement.statement))
        finally:
            self._known, self._tables, self._default, self._jobs = before

    @_bind.register
    def _set(self, statement: statements.SetSetting) -> plans.Plan:
        name, value = self._binding.setting(statement.name, statement.value)
        if name == "DEFAULT_CONNECTION":
            self._default = value.casefold() if value else None
        if name == "DEFAULT_STORAGE":
            self._storage = value
        if name == "DEFAULT_STORAGE" and value:
            self._reader(statements.Name(value[0], statement.value.span), statement)
            self._binding.place_in(value[1], statement.value.span)
        return self._binding.bound(statement, name=replace(statement.name, text=name), value=value)

    @_bind.register
    def _start(self, statement: statements.StartSandbox) -> plans.Plan:
        self._check_not_users(statement, f"{SANDBOX} is a connection of yours, not the one that START SANDBOX makes")
        self._known.setdefault(SANDBOX, TO_BE_STARTED)
        return self._binding.bound(statement)

    @_bind.register
    def _stop(self, statement: statements.StopSandbox) -> plans.Plan:
        self._check_not_users(statement, f"{SANDBOX} is a connection of yours, not the one that STOP SANDBOX drops")
        known = self._known.pop(SANDBOX, None)
        if known and known.usages:
            raise in_use(known).at(self._binding.beginning(statement)())
        return self._binding.bound(statement)

    def _check_not_users(self, statement: statements.Statement, message: str) -> None:
        if (known := self._known.get(SANDBOX)) and not is_sandbox(known):
            hint = f"ALTER S3 CONNECTION {SANDBOX} RENAME TO …; renames yours."
            raise ConnectionExistsError(message, hint=hint, place=self._binding.beginning(statement)())


def _using(names: Sequence[str], _: Location) -> str:
    from s3conn_magic.language.rules import name_text

    return f"Add {', or '.join(f'USING {name_text(name)}' for name in names)}."


# What the clauses of a statement stand for, whichever statement has them


def _location(binding: Binding, statement: Any, written: Any) -> dict[str, Any]:
    if not hasattr(statement, "version"):
        return {"location": binding.place_of(written)}
    location, version, _ = binding.pasted(binding.text(written), written.span)
    if not location.key:
        hint = "LIST shows what is in a bucket; PREVIEW takes one object of it, 's3://bucket/key'."
        raise binding.error("this is a bucket, not an object", written.span, hint=hint)
    return {"location": location, "version": version}


def _inventory(binding: Binding, statement: Any, written: Any) -> dict[str, Any]:
    place = binding.place_of(written)
    if (by := getattr(statement, "by", "")) in BY_QUERY:
        message = f"BY {by} cannot be combined with FROM INVENTORY"
        raise binding.error(message, statement.span, hint="Use only one of them.")
    return {"inventory": place}


def _matching(binding: Binding, _: Any, written: Any) -> dict[str, Any]:
    if not (glob := binding.text(written)):
        hint = "Leave it out for every key."
        raise binding.error("MATCHING takes a glob that is not empty", written.span, hint=hint)
    from s3conn_magic.runtime.patterns import Glob

    try:
        Glob.compile(glob)
    except ValueError as error:
        reason = str(error)
    else:
        return {"matching": glob}
    hint = pattern_meant("MATCHING", "glob", glob)
    raise binding.error(f"MATCHING takes a glob: {reason}", written.span, hint=hint)


def _depth(binding: Binding, statement: Any, written: Any) -> dict[str, Any]:
    if getattr(statement, "by", "PREFIX") != "PREFIX":
        hint = "Leave it out, or group BY PREFIX."
        raise binding.error(f"DEPTH cannot be combined with BY {statement.by}", written.span, hint=hint)
    if written.value < 1:
        raise binding.error("DEPTH takes a whole number that is at least 1", written.span)
    return {"depth": written.value}


def _version(binding: Binding, _: Any, written: Any) -> dict[str, Any]:
    if version := binding.text(written):
        return {"version": version}
    hint = "LIST 's3://bucket/key' VERSIONS; lists the existing ones."
    raise binding.error("VERSION takes the id of a version", written.span, hint=hint)


def _as_of(binding: Binding, side: Any, written: Any) -> dict[str, Any]:
    from s3conn_magic.language.job_values import moment_of

    moment = moment_of(written.value.reveal())
    if moment is None or side.report or moment > datetime.now(UTC):
        hint = "For example AS OF '2026-01-31 12:00', in UTC; a report has its own time."
        message = "AS OF takes a time that has passed, and is not for an inventory report"
        raise binding.error(message, written.span, hint=hint)
    return {"as_of": moment}


def _path(binding: Binding, _: Any, written: Any) -> dict[str, Any]:
    path = binding.text(written)
    if not path.strip() or not path.isprintable():
        raise binding.error("this is not the path of a file", written.span, hint="Write one, such as 'rows.csv'.")
    return {"path": path}


_PERCENT = 100


def _percent(binding: Binding, _: Any, written: Any) -> dict[str, Any]:
    if written.value > _PERCENT:
        raise binding.error("SAMPLE takes a whole number of PERCENT from 0 to 100", written.span)
    return {"percent": written.value}


CLAUSES: Mapping[str, Callable[[Binding, Any, Any], dict[str, Any]]] = {
    "location": _location,
    "inventory": _inventory,
    "matching": _matching,
    "depth": _depth,
    "sample": lambda _, __, written: {"sample": written.value},
    "version": _version,
    "as_of": _as_of,
    "path": _path,
    "percent": _percent,
    "query": lambda binding, _, written: {"in_file": binding.in_file, **query_of(binding, written)},
}
"""How each clause is read, by the name of its field."""
