"""Numbers of understanding-spigot (Mihaylova et al. 2020) to set beside ours: its Tables 3 and 4."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One row: accuracies in percent as (mean, standard deviation) over three runs."""

    dev: tuple[float, float]
    test: tuple[float, float]
    minutes: str
    """Minutes an epoch on one GPU, as printed."""


TABLES: dict[str, dict[str, Published]] = {
    "sst": {
        "none": Published((83.79, 0.17), (83.99, 0.32), "< 1"),
        "marginals": Published((84.43, 0.27), (83.45, 0.56), "3"),
        "sparsemap": Published((83.94, 0.41), (83.61, 0.33), "3"),
        "perturb-and-map": Published((84.06, 0.59), (82.92, 0.61), "5"),
        "ste-marginals": Published((83.25, 0.83), (83.32, 0.88), "4"),
        "ste-identity": Published((83.44, 0.70), (83.17, 0.11), "2"),
        "spigot": Published((84.51, 0.80), (84.80, 1.10), "3"),
        "spigot-ce": Published((82.22, 0.61), (83.01, 0.55), "4"),
        "spigot-eg": Published((82.94, 1.06), (82.88, 0.90), "5"),
    },
    "snli": {
        "none": Published((85.54, 0.14), (85.09, 0.21), "1"),
        "marginals": Published((85.60, 0.11), (85.01, 0.11), "4"),
        "sparsemap": Published((85.54, 0.10), (85.35, 0.06), "25"),
        "perturb-and-map": Published((84.62, 0.14), (83.80, 0.06), "7"),
        "ste-marginals": Published((82.07, 0.50), (81.10, 0.65), "6"),
        "ste-identity": Published((81.39, 0.63), (81.00, 0.32), "5"),
        "spigot": Published((84.03, 0.28), (83.52, 0.24), "15"),
        "spigot-ce": Published((80.22, 1.02), (79.20, 0.68), "30"),
        "spigot-eg": Published((85.36, 0.16), (84.84, 0.16), "7"),
    },
}
"""The paper's rows by task and estimator."""
GRIDS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "sst": ((1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2e-3), (0.1, 1.0, 10.0)),
    "snli": ((1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (0.001, 0.01, 0.1, 1.0, 10.0)),
}
"""What the paper tried (Table 4): learning rates with η = 1, then step sizes η at the best learning rate."""
SOURCE = "understanding-spigot, Tables 3 and 4: full data, sentences only, full GloVe"
