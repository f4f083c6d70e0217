"""A real ipykernel, driven as a notebook drives it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 60.0
Message = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Everything a kernel sent for one cell: `messages` of iopub in order, and the shell's `reply`."""

    reply: Message
    messages: list[Message] = field(default_factory=list)

    def contents(self, kind: str) -> list[dict[str, Any]]:
        """Contents of the iopub messages of one type, such as `comm_open`."""
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    def _stream(self, name: str) -> str:
        return "".join(content["text"] for content in self.contents("stream") if content["name"] == name)

    @property
    def status(self) -> str:
        """`ok`, `error` or `aborted`."""
        return self.reply["content"]["status"]

    @property
    def stdout(self) -> str:
        """What the cell printed."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error, warnings among it."""
        return self._stream("stderr")

    @property
    def displays(self) -> list[dict[str, Any]]:
        """MIME bundles of `display_data`, in order; updates of a display are among them."""
        kinds = {"display_data", "update_display_data"}
        return [message["content"]["data"] for message in self.messages if message["msg_type"] in kinds]

    @property
    def result(self) -> dict[str, Any] | None:
        """MIME bundle of the cell's value."""
        results = self.contents("execute_result")
        return results[-1]["data"] if results else None

    @property
    def error(self) -> dict[str, Any] | None:
        """`ename`, `evalue` and `traceback` (lines) as the notebook would save them."""
        errors = self.contents("error")
        return errors[-1] if errors else None

    @property
    def everything(self) -> str:
        """All that was sent, but for the echo of the cell itself: where a secret must not be found."""
        echo = {"execute_input"}
        return repr([message["content"] for message in self.messages if message["msg_type"] not in echo] + [self.reply])


@dataclass(frozen=True)
class Completed:
    """What a kernel offers: texts in order, what they stand in place of, and the type of each."""

    matches: tuple[str, ...]
    replaced: str
    types: dict[str, str]
    outcome: Outcome


class Kernel:
    """One kernel process with this repository on its path; `client` is its BlockingKernelClient.

    `streams` are the process's own `stdout` and `stderr`, as for Popen.
    """

    def __init__(self, folder: Path, **streams: Any) -> None:
        self._manager = KernelManager(kernel_name="python3")
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self._manager.start_kernel(env={**os.environ, "PYTHONPATH": path}, cwd=str(folder), **streams)
        self.client = self._manager.blocking_client()
        try:
            self.client.start_channels()
            self.client.wait_for_ready(timeout=_START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def run(
        self,
        cell: str,
        *,
        timeout: float = 60.0,
        on_message: Callable[[Message], object] = lambda _: None,
        answers: Iterable[str] = (),
    ) -> Outcome:
        """Run one cell and wait for its end.

        Args:
            cell: the cell's text.
            timeout: seconds until TimeoutError.
            on_message: called with each iopub message as it comes, for instance to `interrupt` at the right moment.
            answers: what the user types at `input()` and `getpass()`, in order.
        """
        messages: list[Message] = []
        typed = iter(answers)

        def keep(message: Message) -> None:
            messages.append(message)
            on_message(message)

        reply = self.client.execute_interactive(
            cell,
            timeout=timeout,
            output_hook=keep,
            allow_stdin=True,
            stdin_hook=lambda _: self.client.input(next(typed)),
        )
        return Outcome(reply, messages)

    def listener(self) -> Any:
        """Another client, which hears every message of iopub from here on; stop its channels."""
        client = self._manager.blocking_client()
        client.start_channels(shell=False, iopub=True, stdin=False, hb=False, control=False)
        return client

    def complete(self, marked: str) -> Completed:
        """What the kernel offers in a cell at `|`, the cursor."""
        cell, at = marked.replace("|", "", 1), marked.index("|")
        outcome = self._ask(self.client.complete(cell, at))
        content = outcome.reply["content"]
        types = {one["text"]: one["type"] for one in content["metadata"].get("_jupyter_types_experimental", ())}
        replaced = cell[content["cursor_start"] : content["cursor_end"]]
        return Completed(tuple(content["matches"]), replaced, types, outcome)

    def inspect(self, marked: str) -> dict[str, Any]:
        """What it says of what stands in a cell at `|`, as a MIME bundle; empty for nothing."""
        outcome = self._ask(self.client.inspect(marked.replace("|", "", 1), marked.index("|")))
        found: dict[str, Any] = outcome.reply["content"]["data"]
        return found

    def _ask(self, sent: str, timeout: float = 60.0) -> Outcome:
        """The reply to a message, and what the kernel sent until it was done with it."""
        messages: list[Message] = []
        while not messages or messages[-1]["content"].get("execution_state") != "idle":
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") == sent:
                messages.append(message)
        reply = self.client.get_shell_msg(timeout=timeout)
        while reply["parent_header"].get("msg_id") != sent:
            reply = self.client.get_shell_msg(timeout=timeout)
        return Outcome(reply, messages)

    def interrupt(self) -> None:
        """What the notebook's stop button does."""
        self._manager.interrupt_kernel()

    @property
    def pid(self) -> int:
        """Process id of the kernel."""
        return self._manager.provisioner.pid

    def reset(self) -> None:
        """Forget every variable and this package, as if the kernel were new to both."""
        outcome = self.run(_RESET)
        assert outcome.status == "ok", outcome.error

    def kill(self) -> None:
        """End it without a chance to clean up, as a crash does."""
        self._manager.shutdown_kernel(now=True)

    def stop(self) -> None:
        """End the kernel and close its sockets."""
        self.client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()


_RESET = """\
import sys as _sys
_shell = get_ipython()
_shell.extension_manager.loaded.discard("s3conn_magic")
_shell.magics_manager.registry.pop("UpsqlMagics", None)
for _kind in _shell.magics_manager.magics.values():
    _kind.pop("upsql", None)
for _name in [name for name in _sys.modules if name.partition(".")[0] == "s3conn_magic"]:
    del _sys.modules[_name]
get_ipython().run_line_magic("reset", "-f")
"""


@contextmanager
def started(folder: Path, **streams: Any) -> Iterator[Kernel]:
    """A kernel for the length of a block."""
    kernel = Kernel(folder, **streams)
    try:
        yield kernel
    finally:
        kernel.stop()
