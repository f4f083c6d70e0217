"""Catalogs to bind against, and the plans of a text bound against one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offline import Inputs

from s3conn_magic.language import plans
from s3conn_magic.language.binder import Known, bind
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.options import BoundOptions, BoundValue
from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s3conn_magic.language.plans import Plan, Usage


@dataclass
class Connections:
    """Connections as the binder sees them, without any that could send something."""

    there: list[Known] = field(default_factory=list)
    default: str | None = None

    def fallback(self) -> str | None:
        """None is made of itself."""

    def endpoints(self) -> Mapping[str, str | None]:
        """None but those of the options."""
        return {}

    def taken(self, choice: plans.Meant) -> str:
        """The name, and nobody to tell."""
        return choice.name

    def known(self) -> Iterable[Known]:
        """All of them."""
        return self.there


def having(*names: str, default: str | None = None) -> Connections:
    """Connections of these names, without options."""
    return Connections([Known(name, {}) for name in names], default)


def used(name: str, *usages: Usage) -> Connections:
    """One connection that something depends on."""
    return Connections([Known(name, {}, usages)])


def plans_of(text: str, catalog: Connections | None = None, inputs: Inputs | None = None) -> list[Plan]:
    """The plans of a text."""
    source = Source(text)
    return bind(parse(source), source, catalog or Connections(), inputs or Inputs())


def options_of(written: str, inputs: Inputs | None = None) -> BoundOptions:
    """The options that a new connection would have."""
    (plan,) = plans_of(f"CREATE S3 CONNECTION x {written}", inputs=inputs)
    assert isinstance(plan, plans.Create)
    return plan.options


def with_options(name: str, **options: object) -> Connections:
    """One connection with these options."""
    return Connections([Known(name, {key: BoundValue(value) for key, value in options.items()})])
