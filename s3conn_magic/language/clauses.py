"""Clauses whose values depend on another part of the statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3conn_magic.language import plans
    from s3conn_magic.language import statements as tree
    from s3conn_magic.language.binding import Binding
    from s3conn_magic.language.options import Option


def mutable(binding: Binding, name: tree.Name, *, may_be_transient: bool) -> Option:
    """The option of an ALTER.

    Raises:
        BindError: it is unknown, cannot be altered, or is not kept and so cannot be unset.
    """
    option = binding.option(name)
    if not option.mutable:
        raise binding.error(
            f"{option.name} cannot be altered: it is a promise that the connection was made with",
            name.span,
            hint=f"Make another connection, or CREATE OR REPLACE S3 CONNECTION … {option.name} = ….",
        )
    if not option.stored and not may_be_transient:
        raise binding.error(f"{option.name} is not kept, so it cannot be unset", name.span)
    return option


def depth_of(binding: Binding, statement: tree.Analyze) -> int:
    """The folders that make a group of ANALYZE.

    Raises:
        BindError: the groups are no folders, or the number is none.
    """
    depth = statement.depth
    if depth is None:
        return 1
    if statement.by != "PREFIX":
        hint = "Leave it out, or group BY PREFIX."
        raise binding.error(f"DEPTH does not go with BY {statement.by}", depth.span, hint=hint)
    if depth.value < 1:
        raise binding.error("DEPTH takes a whole number that is at least 1", depth.span)
    return depth.value


def path_of(binding: Binding, value: tree.LocationValue) -> str:
    """The path of a file.

    Raises:
        BindError: it is empty, or no path.
    """
    path = binding.text(value)
    if not path.strip() or not path.isprintable():
        raise binding.error("this is not the path of a file", value.span)
    return path


def split(options: dict[str, plans.BoundValue]) -> tuple[plans.BoundOptions, bool]:
    """The options to keep, and whether to probe."""
    validate = options.pop("VALIDATE", None)
    return options, validate is None or bool(validate.value)
