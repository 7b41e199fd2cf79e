"""One classifier in training: its loss, its optimiser and its dev accuracy, as Lightning wants them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from latent.nn.checkpoint import Classifier
from trainer.data import BatchSampler, LabelledBatch
from trainer.options import TrainingOptions

_STEPS_A_SEED = 1_000_003  # so that no two seeds share the random numbers of their steps


class Learner(pl.LightningModule):
    """Train a classifier by its estimator's gradient.

    Each step seeds torch's generator from the run's seed and the number of the step, so that a resumed run
    draws the same dropout masks and the same samples as one that was never interrupted.

    Args:
        classifier: trained in place.
        options: of the run.
        sampler: of the training data; told where to start when a run is resumed.
        weights: of an example's loss by its label; None weighs all alike.
    """

    def __init__(
        self,
        classifier: Classifier,
        options: TrainingOptions,
        sampler: BatchSampler,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.options = options
        self.sampler = sampler
        self.register_buffer("weights", weights, persistent=False)
        self._counts: dict[str, list[Tensor]] = {}

    weights: Tensor | None

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Copy a batch to the device, to a GPU from memory that it can read without the host's waiting."""
        if device.type == "cuda":
            batch = apply_to_collection(batch, Tensor, Tensor.pin_memory)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def training_step(self, batch: LabelledBatch, index: int) -> Tensor:
        """Return this process's part of the batch's mean loss."""
        torch.manual_seed(self.options.seed * _STEPS_A_SEED + self.global_step)
        losses = self.classifier.loss(batch.batch, batch.labels)
        if self.weights is not None:
            losses = losses * weights_of(batch.labels, self.weights)
        # Processes average their gradients, and their shares of a batch may differ by one example.
        loss = losses.sum() * (self.trainer.world_size / batch.total)
        # Not for the progress bar: Lightning would fetch it from the device in every step. `Bar` shows it.
        self.log("loss", loss.detach(), on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: LabelledBatch, index: int) -> None:
        """Count the right answers under the trained structure, and under the best tree."""
        model: Any = self.classifier  # of sentences or of pairs, as the batch is
        encoding = model.encode(batch.batch)
        trained = model.forward_structure
        names = {"accuracy": trained}
        if trained not in (None, "map"):
            names["map_accuracy"] = "map"
        for name, structure in names.items():
            logits = model.decode(encoding, model.infer(encoding, structure))
            right = (logits.argmax(-1) == batch.labels).sum()
            self._counts.setdefault(name, []).append(torch.stack([right, right.new_tensor(len(logits))]))

    def on_validation_epoch_end(self) -> None:
        """Log the shares of right answers, over all processes."""
        for name, counts in self._counts.items():
            right, total = self.trainer.strategy.reduce(torch.stack(counts).sum(0), reduce_op="sum").tolist()
            self.log(f"dev_{name}", right / total, prog_bar=True, sync_dist=True)
        self._counts = {}

    def configure_optimizers(self) -> Any:
        """AdamW, without decay on embeddings and with a rate of its own for the parser, and the schedule."""
        groups: dict[str, list[Tensor]] = {"others": [], "parser": [], "embeddings": []}
        for name, parameter in self.classifier.named_parameters():
            kind = "embeddings" if "embedding" in name else "others"
            if name.startswith("arc_scorer"):
                kind = "parser"
            if parameter.requires_grad:
                groups[kind].append(parameter)
        settings: dict[str, dict[str, Any]] = {
            "others": {},
            "parser": {"lr": self.options.learning_rate * self.options.parser_rate},
            "embeddings": {"weight_decay": 0.0},
        }
        optimizer = torch.optim.AdamW(
            [{"params": groups[name], **setting} for name, setting in settings.items() if groups[name]],
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
            fused="mixed" not in self.options.precision,  # Lightning cannot clip what such a step unscales
        )
        factor = learning_rate_factor(self.options, self.options.epochs * len(self.sampler))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the data go on where the interrupted run was."""
        self.sampler.skip_to(checkpoint["global_step"])


def label_weights(targets: Tensor, classes: int) -> Tensor:
    r"""Return a weight for each label under which all labels count alike, and an example counts 1 on average.

    .. math:: w_y = N / (K N_y)

    for N examples, N_y of them with label y (or that share of all distributions), of K labels.

    Args:
        targets: ``(N,)`` labels, or ``(N, K)`` distributions.
        classes: K.
    """
    counts = torch.bincount(targets, minlength=classes) if targets.dim() == 1 else targets.sum(0)
    return len(targets) / (classes * torch.where(counts > 0, counts, 1))


def weights_of(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each example by its label, or the mean weight under its distribution."""
    return weights[targets] if targets.dim() == 1 else targets @ weights


def learning_rate_factor(options: TrainingOptions, steps: int) -> Callable[[int], float]:
    """Return what the peak learning rate is multiplied by at each step: warm-up, then the schedule."""
    rise = options.warmup * steps

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        left = max(0.0, 1.0 - (step - rise) / max(1.0, steps - rise))
        match options.schedule:
            case "constant":
                return 1.0
            case "linear":
                return left
            case "cosine":
                return 0.5 - 0.5 * math.cos(math.pi * left)

    return factor
