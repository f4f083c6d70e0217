"""How a session executes the plans that tell of its connections and of the language."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from s3conn_magic.language import plans
from s3conn_magic.language.reference import find_statement
from s3conn_magic.patterns import like
from s3conn_magic.results.cards import Message

if TYPE_CHECKING:
    from s3conn_magic.connections.registry import Registry


@singledispatch
def told(plan: plans.Plan, connections: Registry) -> Any:
    """The result of a plan: a frame, a message, or the reference."""
    raise NotImplementedError(type(plan).__name__, connections)


@told.register(plans.ShowConnections)
def _(plan: plans.ShowConnections, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import connections_frame

    return connections_frame([one for one in connections if like(plan.like, one.name)])


@told.register(plans.Describe)
def _(plan: plans.Describe, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import options_frame

    return options_frame(connections.get(plan.name))


@told.register(plans.ShowCreate)
def _(plan: plans.ShowCreate, connections: Registry) -> Message:
    from s3conn_magic.language.help import create_statement

    connection = connections.get(plan.name)
    return Message(create_statement(connection.name, connection.options))


@told.register(plans.Test)
def _(plan: plans.Test, connections: Registry) -> Any:
    from s3conn_magic.connections.checks import run_checks
    from s3conn_magic.results.frames import frame_of

    checks = run_checks(connections.get(plan.name), plan.location, with_write=plan.with_write)
    reference = find_statement("TEST CONNECTION")
    return frame_of(reference.columns if reference else (), checks)


@told.register(plans.Help)
def _(plan: plans.Help, connections: Registry) -> Any:
    from s3conn_magic.results.introspection import help_on

    del connections
    return help_on(plan.topic)
