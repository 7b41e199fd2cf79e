"""The command line: ``python -m trainer COMMAND …``; each command is loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from trainer.errors import UserError

COMMANDS = {
    "data": "fetch or import a data set, checksummed; a local copy is accepted",
    "fit": "one run: progress bar, early stop, resumable, safetensors out",
    "evaluate": "accuracy under the MAP, marginal and SparseMAP structure; tree statistics",
    "sweep": "search learning rate and step size by dev accuracy, on Ray: this machine or a cluster",
    "table": "the paper's table beside ours: mean ± sd, seeds, run time; or a controlled experiment",
    "bundle": "train and evaluate the models that come with the service",
}
"""Each command and what it does; ``trainer/commands`` has a module of the same name with a ``main``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(overview())
        return 0
    name, rest = given[0], given[1:]
    if name not in COMMANDS:
        print(f"trainer: no command is called {name!r}\n\n{overview()}", file=sys.stderr)
        return 2
    try:
        importlib.import_module(f"trainer.commands.{name}").main(rest)
    except UserError as error:
        print(f"trainer {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno is None:  # nothing that the system said
            raise
        print(f"trainer {name}: {error.strerror}: {error.filename or 'no file is named'}", file=sys.stderr)
        return 1
    return 0


def overview() -> str:
    """Return the list of commands."""
    lines = [f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        ["usage: python -m trainer COMMAND …", "", *lines, "", "python -m trainer COMMAND --help says more."]
    )


if __name__ == "__main__":
    sys.exit(main())
