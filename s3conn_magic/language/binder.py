"""Statements → plans. Everything that can be wrong with a cell is found here, before its first statement runs."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import TYPE_CHECKING

from s3conn_magic.errors import ConnectionExistsError, ConnectionNotFoundError
from s3conn_magic.language import plans
from s3conn_magic.language import statements as tree
from s3conn_magic.language.binding import Binding, Inputs
from s3conn_magic.language.catalog import (
    SANDBOX,
    TO_BE_STARTED,
    Catalog,
    Known,
    exists,
    in_use,
    is_sandbox,
    not_found,
    there_are,
)
from s3conn_magic.language.clauses import depth_of, mutable, path_of, split
from s3conn_magic.language.jobs.binder import JobBinder
from s3conn_magic.language.jobs.statements import JobStatement
from s3conn_magic.language.options import find_option
from s3conn_magic.language.tables import UNCHANGED, TableBinder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3conn_magic.language.source import Source

_PREVIEW_ROWS = 100


def bind(
    statements: Sequence[tree.Statement], source: Source, catalog: Catalog, inputs: Inputs, tables: Sequence[str] = ()
) -> list[plans.Plan]:
    """The plans of a cell, in order.

    Each statement is bound against the connections as the ones before it would leave them.

    Raises:
        BindError, ConnectionNotFoundError, ConnectionExistsError, ConnectionInUseError: with the place.
    """
    binding = Binding(source, inputs)
    bound = _Binder(binding, catalog, tables).bind_all(statements)
    if not binding.prompts:
        return bound
    binding.asking = True
    return _Binder(binding, catalog, tables).bind_all(statements)


class _Binder:
    def __init__(self, binding: Binding, catalog: Catalog, tables: Sequence[str]) -> None:
        self._binding = binding
        self._known = {one.name.casefold(): one for one in catalog.known()}
        self._tables = TableBinder(binding, tables, self._reader, self._known)
        self._default = catalog.default.casefold() if catalog.default else None

    def bind_all(self, statements: Sequence[tree.Statement]) -> list[plans.Plan]:
        return [*map(self._bind, statements)]

    @singledispatchmethod
    def _bind(self, statement: tree.Statement) -> plans.Plan:
        return self._tables.bind(statement)

    # Connections

    @_bind.register
    def _create(self, statement: tree.CreateConnection) -> plans.Plan:
        name = statement.name
        place = self._binding.beginning(statement)
        if statement.or_replace and statement.if_not_exists:
            raise self._binding.error(
                "OR REPLACE does not go with IF NOT EXISTS", name.span, hint="Give one of the two."
            )
        old = self._known.get(name.folded)
        if old and not statement.or_replace and not statement.if_not_exists:
            raise exists(old.name).at(self._binding.place(name.span))
        options = self._binding.options(statement.settings, used=not (old and statement.if_not_exists))
        self._check(options, statement.settings, name)
        if old and statement.if_not_exists:
            return plans.NoChange(place=place, message=f"{UNCHANGED}: the connection {old.name} exists already.")
        kept, validate = split(options)
        self._known[name.folded] = Known(name.text, kept, old.usages if old else ())
        return plans.Create(
            place=place,
            name=name.text,
            options=kept,
            replace=bool(old),
            validate=validate,
            or_replace=statement.or_replace,
        )

    @_bind.register
    def _alter(self, statement: tree.AlterConnection) -> plans.Plan:
        place = self._binding.beginning(statement)
        old = self._known.get(statement.name.folded)
        settings = self._binding.options(statement.settings, used=bool(old))
        for setting in statement.settings:
            mutable(self._binding, setting.name, may_be_transient=True)
        for name in statement.unset:
            mutable(self._binding, name, may_be_transient=False)
        removed = self._binding.removed(statement.unset)
        if old is None and statement.if_exists:
            return plans.NoChange(place=place, message=f"{UNCHANGED}: no connection {statement.name.text}.")
        old = self._existing(statement.name)
        if old is TO_BE_STARTED:
            raise self._binding.error(
                f"{old.name} has its options when START SANDBOX has run", statement.name.span, hint=_NEXT_CELL
            )
        if statement.rename_to:
            return self._rename(old, statement.rename_to, place)
        kept, validate = split(settings)
        options = {name: value for name, value in {**old.options, **kept}.items() if name not in removed}
        self._check(options, statement.settings, statement.unset[0] if statement.unset else statement.name)
        self._known[old.name.casefold()] = old._replace(options=options)
        changed = (*kept, *removed)
        return plans.Alter(place=place, name=old.name, options=options, changed=changed, validate=validate)

    def _rename(self, old: Known, new: tree.Name, place: plans.Where) -> plans.Plan:
        taken = self._known.get(new.folded)
        if taken and taken is not old:
            raise ConnectionExistsError(
                f"the connection {taken.name} exists already",
                hint="Choose another name, or drop that one first.",
                place=self._binding.place(new.span),
            )
        del self._known[old.name.casefold()]
        self._known[new.folded] = old._replace(name=new.text)
        if self._default == old.name.casefold():
            self._default = new.folded
        return plans.Rename(place=place, name=old.name, new_name=new.text)

    def _check(
        self, options: plans.BoundOptions, settings: tuple[tree.OptionSetting, ...], otherwise: tree.Name
    ) -> None:
        where = {option.name: one.span for one in settings if (option := find_option(one.name.text))}
        self._binding.check(options, where, otherwise.span)

    @_bind.register
    def _drop(self, statement: tree.DropConnection) -> plans.Plan:
        place = self._binding.beginning(statement)
        if statement.name.folded not in self._known and statement.if_exists:
            return plans.NoChange(place=place, message=f"{UNCHANGED}: no connection {statement.name.text}.")
        old = self._existing(statement.name)
        if old.usages and not statement.cascade:
            raise in_use(old).at(self._binding.place(statement.name.span))
        del self._known[old.name.casefold()]
        self._tables.forget(old.usages)
        if self._default == old.name.casefold():
            self._default = None
        return plans.Drop(place=place, name=old.name, cascade=statement.cascade)

    @_bind.register
    def _use(self, statement: tree.UseConnection) -> plans.Plan:
        found = self._existing(statement.name)
        self._default = found.name.casefold()
        return plans.Use(place=self._binding.beginning(statement), name=found.name)

    def _existing(self, name: tree.Name) -> Known:
        if found := self._known.get(name.folded):
            return found
        raise not_found(name.text, [one.name for one in self._known.values()]).at(self._binding.place(name.span))

    # Introspection

    @_bind.register
    def _show_connections(self, statement: tree.ShowConnections) -> plans.Plan:
        return plans.ShowConnections(place=self._binding.beginning(statement), like=statement.like)

    @_bind.register
    def _describe(self, statement: tree.DescribeConnection) -> plans.Plan:
        found = self._existing(statement.name)
        return plans.Describe(place=self._binding.beginning(statement), name=found.name)

    @_bind.register
    def _show_create(self, statement: tree.ShowCreate) -> plans.Plan:
        found = self._existing(statement.name)
        return plans.ShowCreate(place=self._binding.beginning(statement), name=found.name)

    @_bind.register
    def _test(self, statement: tree.TestConnection) -> plans.Plan:
        found = self._existing(statement.name)
        return plans.Test(
            place=self._binding.beginning(statement),
            name=found.name,
            location=self._binding.location(statement.location),
            with_write=statement.with_write,
        )

    @_bind.register
    def _help(self, statement: tree.Help) -> plans.Plan:
        return plans.Help(place=self._binding.beginning(statement), topic=statement.topic)

    # Buckets

    @_bind.register
    def _show_buckets(self, statement: tree.ShowBuckets) -> plans.Plan:
        name = self._reader(statement.using, statement)
        return plans.ShowBuckets(place=self._binding.beginning(statement), name=name, like=statement.like)

    @_bind.register
    def _list(self, statement: tree.ListObjects) -> plans.Plan:
        matching, matching_place = self._binding.matching(statement.matching)
        return plans.ListObjects(
            place=self._binding.beginning(statement),
            name=self._reader(statement.using, statement),
            location=self._binding.location(statement.location),
            recursive=statement.recursive,
            versions=statement.versions,
            matching=matching,
            matching_place=matching_place,
            limit=statement.limit,
        )

    @_bind.register
    def _list_inventory(self, statement: tree.ListInventory) -> plans.Plan:
        matching, matching_place = self._binding.matching(statement.matching)
        return plans.ListInventory(
            place=self._binding.beginning(statement),
            name=self._reader(statement.using, statement),
            location=self._binding.object_of(statement.location, "LIST FROM INVENTORY takes a manifest.json"),
            matching=matching,
            matching_place=matching_place,
            limit=statement.limit,
        )

    @_bind.register
    def _explore(self, statement: tree.Explore) -> plans.Plan:
        return plans.Explore(
            place=self._binding.beginning(statement),
            name=self._reader(statement.using, statement),
            location=self._binding.location(statement.location),
        )

    @_bind.register
    def _preview(self, statement: tree.Preview) -> plans.Plan:
        return plans.Preview(
            place=self._binding.beginning(statement),
            name=self._reader(statement.using, statement),
            location=self._binding.object_of(statement.location, "PREVIEW takes one object"),
            limit=_PREVIEW_ROWS if statement.limit is None else statement.limit,
        )

    @_bind.register
    def _analyze(self, statement: tree.Analyze) -> plans.Plan:
        return plans.Analyze(
            place=self._binding.beginning(statement),
            name=self._reader(statement.using, statement),
            location=self._binding.place_of(statement.location),
            by=statement.by,
            depth=depth_of(self._binding, statement),
        )

    @_bind.register
    def _explore_all(self, statement: tree.ExploreAll) -> plans.Plan:
        if not self._known:
            raise self._no_connection(statement)
        return plans.ExploreAll(place=self._binding.beginning(statement))

    def _no_connection(self, statement: tree.Statement) -> ConnectionNotFoundError:
        hint = "CREATE S3 CONNECTION name; makes one, START SANDBOX; one to try things with."
        place = self._binding.beginning(statement)()
        return ConnectionNotFoundError("there is no connection yet", hint=hint, place=place)

    def _reader(self, using: tree.Name | None, statement: tree.Statement) -> str:
        """The connection that a statement reads through."""
        if using:
            return self._existing(using).name
        if self._default in self._known:
            return self._known[self._default].name
        if len(self._known) == 1:
            return next(iter(self._known.values())).name
        if not self._known:
            raise self._no_connection(statement)
        names = [one.name for one in self._known.values()]
        place = self._binding.beginning(statement)()
        hint = f"Add USING name, or USE CONNECTION name. {there_are(names)}"
        raise ConnectionNotFoundError("several connections could be meant", hint=hint, place=place)

    @_bind.register
    def _job(self, statement: JobStatement) -> plans.Plan:
        return JobBinder(self._binding, self._known, self._existing, self._tables.made).bind(statement)

    # Session

    @_bind.register
    def _explain(self, statement: tree.Explain) -> plans.Plan:
        place = self._binding.beginning(statement)
        before = self._known, self._tables, self._default
        # What it would change is not changed for the statements that follow.
        self._known = dict(self._known)
        self._tables = self._tables.aside(self._known)
        try:
            with self._binding.asking_nobody():
                return plans.Explain(place=place, plan=self._bind(statement.statement))
        finally:
            self._known, self._tables, self._default = before

    @_bind.register
    def _save(self, statement: tree.SaveConnections) -> plans.Plan:
        path = path_of(self._binding, statement.path)
        return plans.SaveConnections(place=self._binding.beginning(statement), path=path, replace=statement.or_replace)

    @_bind.register
    def _set(self, statement: tree.SetSetting) -> plans.Plan:
        name, value = self._binding.setting(statement.name, statement.value)
        if name == "DEFAULT_CONNECTION":
            self._default = value.casefold()
        return plans.SetSetting(place=self._binding.beginning(statement), name=name, value=value)

    @_bind.register
    def _show_settings(self, statement: tree.ShowSettings) -> plans.Plan:
        return plans.ShowSettings(place=self._binding.beginning(statement))

    # Sandbox

    @_bind.register
    def _start(self, statement: tree.StartSandbox) -> plans.Plan:
        self._own(statement, f"{SANDBOX} is a connection of yours, not the one that START SANDBOX makes")
        self._known.setdefault(SANDBOX, TO_BE_STARTED)
        return plans.StartSandbox(place=self._binding.beginning(statement))

    @_bind.register
    def _stop(self, statement: tree.StopSandbox) -> plans.Plan:
        self._own(statement, f"{SANDBOX} is a connection of yours, not the one that STOP SANDBOX drops")
        found = self._known.pop(SANDBOX, None)
        if found and found.usages:
            raise in_use(found).at(self._binding.beginning(statement)())
        return plans.StopSandbox(place=self._binding.beginning(statement))

    def _own(self, statement: tree.Statement, message: str) -> None:
        """Refuse to touch a connection that somebody else made."""
        found = self._known.get(SANDBOX)
        if found and not is_sandbox(found):
            hint = f"ALTER S3 CONNECTION {SANDBOX} RENAME TO …; gives yours another name."
            raise ConnectionExistsError(message, hint=hint, place=self._binding.beginning(statement)())


_NEXT_CELL = "Alter it in the next cell."
