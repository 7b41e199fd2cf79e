"""The Gaussian mixture with a linear rule per cluster, and many models of it trained as one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional

from latent.estimators import Estimator
from trainer.experiments.adam import RunwiseAdam


@dataclass(frozen=True)
class Split:
    """Points x (N, D), labels y (N,) of -1 and 1, and the clusters they are from (N,)."""

    x: Tensor
    y: Tensor
    cluster: Tensor


@dataclass(frozen=True)
class Mixture:
    """The three splits of one draw."""

    clusters: int
    train: Split
    validation: Split
    test: Split


def draw_mixture(
    clusters: int,
    seed: int,
    sizes: tuple[int, int, int] = (5000, 1000, 1000),
    features: int = 100,
    sigma: float = 0.1,
) -> Mixture:
    r"""$z$ uniform, $x \sim N(m_z, \sigma^2 I)$, $y = \mathrm{sign}(w_z \cdot x - b_z)$ $m, w \sim N(0, I)$.

    $b_z$ is the mean of $w_z \cdot x$ over the cluster, so that the labels are balanced in it.
    Source: Mihaylova et al. 2020, section 7.1.
    """
    generator = torch.Generator().manual_seed(seed)
    centers, rules = torch.randn(2, clusters, features, generator=generator)
    count = sum(sizes)
    z = torch.randint(clusters, (count,), generator=generator)
    x = centers[z] + sigma * torch.randn(count, features, generator=generator)
    score = (rules[z] * x).sum(1)
    offset = torch.zeros(clusters).index_add_(0, z, score) / torch.bincount(z, minlength=clusters)
    y = torch.where(score > offset[z], 1.0, -1.0)
    parts = [Split(*tensors) for tensors in zip(*(t.split(sizes) for t in (x, y, z)), strict=True)]
    return Mixture(clusters, *parts)


@dataclass(frozen=True)
class Run:
    """One run: its seed, its learning rate, and a name for the estimator's hyperparameters."""

    seed: int
    rate: float
    point: str

    @property
    def key(self) -> str:
        """A name of its own."""
        return f"{self.point} rate={self.rate:g} seed={self.seed}"


class Models:
    """Many models of one data set: an encoder s = W_f x + b_f and a decoder y = z · W_g x + b_g for each run.

    Every parameter has the run in front, and one matrix product gives the scores of all runs. What belongs to
    points lies in memory as (K, runs, N), the long dimension last. An estimator sees it as (runs·N, K): all
    runs that share its hyperparameters, or one run if it has a state of its own.
    """

    def __init__(self, runs: list[Run], clusters: int, features: int) -> None:
        self.runs, self.clusters = runs, clusters
        drawn = [_linear_layers(run.seed, clusters, features) for run in runs]
        self.parameters = [torch.stack(tensors).requires_grad_() for tensors in zip(*drawn, strict=True)]
        self.optimizer = RunwiseAdam(self.parameters, torch.tensor([run.rate for run in runs]))

    def scores(self, x: Tensor) -> Tensor:
        """(K, runs, N): the encoder."""
        encoder, bias, _, _ = self.parameters
        return _linear(encoder, x) + bias.T[:, :, None]

    def rules(self, x: Tensor) -> Tensor:
        """(K, runs, N): what each cluster's linear rule says, before z selects."""
        return _linear(self.parameters[2], x)

    def gold(self, data: Split, runs: int) -> Tensor:
        """(K, runs, N): the true clusters, for the baseline that is told them."""
        z = functional.one_hot(data.cluster, self.clusters).to(data.x.dtype)
        return z.T[:, None].expand(-1, runs, -1)

    def keep(self, runs: Tensor) -> None:
        """Go on with some of the runs only."""
        self.runs = [self.runs[r] for r in runs.tolist()]
        self.optimizer.keep(runs)

    def step(self, data: Split, estimators: dict[str, Estimator], generator: torch.Generator) -> None:
        """One step of Adam on the mean loss of each run over all points.

        `estimators` are keyed by grid point, or by run if they have a state.
        """
        scores, rules = self.scores(data.x), self.rules(data.x)
        total = torch.zeros(())
        groups = self.groups(estimators)
        counts = [count for _, count in groups]
        parts = zip(
            torch.split(scores, counts, 1),
            torch.split(rules, counts, 1),
            torch.split(self.parameters[3], counts),
            strict=True,
        )
        for (estimator, _), part in zip(groups, parts, strict=True):
            total = total + self.losses(estimator, *part, data, generator).sum() / len(data.y)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def groups(self, estimators: dict[str, Estimator]) -> list[tuple[Estimator, int]]:
        """The estimators with how many neighbouring runs each serves."""
        keys = [run.point if run.point in estimators else run.key for run in self.runs]
        return [(estimators[key], len(list(runs))) for key, runs in groupby(keys)]

    def losses(
        self,
        estimator: Estimator,
        scores: Tensor,
        rules: Tensor,
        bias: Tensor,
        data: Split,
        generator: torch.Generator,
    ) -> Tensor:
        """(runs·N,): the logistic losses, with the estimator's gradient."""

        def downstream(z: Tensor | None) -> Tensor:
            chosen = self.gold(data, len(bias))[:, None] if z is None else split_rows(z, rules.shape)
            logits = (rules[:, None] * chosen).sum(0) + bias[:, None]
            return functional.softplus(-data.y * logits).flatten()

        return estimator.loss(as_rows(scores), None, downstream, generator)


def as_rows(scores: Tensor) -> Tensor:
    """(runs·N, K) of (K, runs, N), as structures and estimators take it; nothing is moved in memory."""
    return scores.flatten(1).mT


def split_rows(z: Tensor, shape: torch.Size) -> Tensor:
    """(K, copies, runs, N) of (copies·runs·N, K), where `shape` is (K, runs, N)."""
    return z.mT.reshape(shape[0], -1, *shape[1:])


def _linear(weights: Tensor, x: Tensor) -> Tensor:
    """(K, runs, N): weights (runs, K, D) times points (N, D), one matrix product."""
    products = weights.transpose(0, 1).flatten(0, 1) @ x.mT
    return products.reshape(weights.shape[1], -1, len(x))


def _linear_layers(seed: int, clusters: int, features: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Encoder and decoder, weights and biases, drawn as `torch.nn.Linear` draws them."""
    generator = torch.Generator().manual_seed(seed)
    bound = features**-0.5

    def uniform(*shape: int) -> Tensor:
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    return uniform(clusters, features), uniform(clusters), uniform(clusters, features), uniform(1)[0]
