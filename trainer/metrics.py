"""What a table of probabilities and labels says about a classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

Z95 = 1.959963984540054
"""Half the width, in standard deviations, of an interval that holds 95 % of a normal distribution."""


def accuracy_interval(right: int, total: int, z: float = Z95) -> tuple[float, float]:
    r"""Return Wilson's confidence interval for a share of right answers.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Source: Wilson 1927; unlike the normal interval it never leaves [0, 1].
    """
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return float((centre - spread) / scale), float((centre + spread) / scale)


def calibration_error(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    r"""Return the expected calibration error of the most probable labels.

    .. math:: \sum_b \frac{n_b}{n} \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right|

    over bins of equal width of the confidence. Source: Guo et al. 2017, Eq. 3.

    Args:
        probabilities: ``(examples, labels)``.
        labels: ``(examples,)``.
        bins: how many.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def confusion_matrix(predicted: Ints, labels: Ints, classes: int) -> list[list[int]]:
    """Count examples by true label (rows) and predicted label (columns)."""
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    table: list[list[int]] = counts.reshape(classes, classes).tolist()
    return table
