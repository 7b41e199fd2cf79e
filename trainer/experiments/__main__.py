"""`python -m trainer.experiments NAME …` runs one experiment; NAME --help lists its settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from trainer.experiments import EXPERIMENTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment that the first argument names; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in EXPERIMENTS:
        lines = [f"  {name:<12}{experiment.purpose}" for name, experiment in EXPERIMENTS.items()]
        asked_for_help = bool(given) and given[0] in ("-h", "--help")
        print("\n".join(["usage: python -m trainer.experiments NAME …", "", *lines]))
        return 0 if asked_for_help else 2
    tyro.cli(EXPERIMENTS[given[0]].run, args=given[1:], prog=f"python -m trainer.experiments {given[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
