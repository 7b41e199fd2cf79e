"""Trials of a sweep on Ray Tune: on this machine, or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.errors import UserError
from trainer.fit import fit
from trainer.run_folder import Diverged
from trainer.sweep import Ledger, Outcome, Trial

SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Trials stay in the current folder; nothing is reported to Ray's makers; no tables between our lines."""
OBJECT_STORE = 100 << 20
"""Bytes of Ray's shared memory on this machine; trials read their data themselves and share nothing."""


MACHINE_TIMEOUT = 120
"""Seconds that a machine of a cluster may take to start a process and import this package."""


@dataclass(frozen=True)
class Resources:
    """Where trials run, and what each may use."""

    address: str | None
    """Of a Ray cluster; None for this machine alone."""
    cpus: float
    gpus: float


class OnRay:
    """Run trials with Ray Tune, as many at once as the resources allow; enter each as soon as it ends.

    Ray is started, or reached, by the first call, and left by ``close``. On a cluster the ledger's folder and
    the data must be on a file system that all its machines share.

    Args:
        resources: where trials run, and what each may use.
        console: where to print a line for each.
    """

    def __init__(self, resources: Resources, console: Console) -> None:
        self.resources, self.console = resources, console
        self._ray: Any = None

    def __call__(self, trials: Sequence[Trial], ledger: Ledger) -> None:
        """Run trials.

        Raises:
            UserError: if Ray is not installed, cannot be reached, or a trial failed.
        """
        os.environ.update(SETTINGS)
        ray, tune = _import_ray()
        if self._ray is None:
            _connect(ray, self.resources)
            self._ray = ray
            if self.resources.address:
                _check_machines(ray, ledger.folder)
        threads = max(1, int(self.resources.cpus))
        train = tune.with_parameters(_train, trials=list(trials), ledger=ledger, threads=threads)
        results = tune.Tuner(
            tune.with_resources(train, {"cpu": self.resources.cpus, "gpu": self.resources.gpus}),
            param_space={"number": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=str(ledger.folder / "ray"),
                callbacks=[_entering(tune.Callback)(trials, ledger, self.console)],
                verbose=0,
            ),
        ).fit()
        errors = [str(error).strip().splitlines()[-1] for error in results.errors]
        if errors:
            raise UserError(f"sweep: {len(errors)} of {len(trials)} trials failed: {errors[0]}")

    def close(self) -> None:
        """Leave Ray."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None


def _import_ray() -> tuple[Any, Any]:
    try:
        import ray
        from ray import tune
    except ImportError as error:
        raise UserError(
            f"sweep needs Ray Tune, which is not installed ({error}): pip install 'understory[sweep]'"
        ) from error
    return ray, tune


def _connect(ray: Any, resources: Resources) -> None:
    local = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    if (resources.address or "").startswith("ray://"):
        raise UserError(
            f"sweep: {resources.address} is for a client outside the cluster, which cannot keep the ledger; "
            f"start the sweep on a machine of the cluster, with --address auto"
        )
    try:
        ray.init(
            address=resources.address or "local",
            log_to_driver=False,
            logging_level="error",
            **({} if resources.address else local),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = resources.address or "this machine"
        raise UserError(f"sweep: no Ray cluster lets us in at {where}: {error}") from error
    wanted = {"CPU": resources.cpus, "GPU": resources.gpus}
    there = ray.cluster_resources()
    short = [name for name, amount in wanted.items() if there.get(name, 0.0) < amount]
    if short:
        name = short[0]
        ray.shutdown()
        raise UserError(f"sweep: a trial wants {wanted[name]:g} {name}s; Ray has {there.get(name, 0.0):g}")


def _check_machines(ray: Any, folder: Path) -> None:
    """Let every machine of a cluster import this package, and see a file that was just written here.

    Raises:
        UserError: naming the first machine that cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-from-all-machines-{os.getpid()}"
    mark.touch()
    try:
        looks = {}
        for machine in (node for node in ray.nodes() if node["Alive"]):
            there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                machine["NodeID"], soft=False
            )
            look = ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(_sees)
            looks[look.remote(mark)] = machine["NodeManagerAddress"]
        for answer, name in looks.items():
            if not _answer(ray, answer, name):
                raise UserError(
                    f"sweep: {name} does not see {folder}; --work must be on a file system that all machines "
                    f"of the cluster share"
                )
    finally:
        mark.unlink()


def _answer(ray: Any, answer: Any, machine: str) -> bool:
    try:
        return bool(ray.get(answer, timeout=MACHINE_TIMEOUT))
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"sweep: {machine} cannot run trials: {reason}; every machine of the cluster needs the same "
            f"Python with the same understory in it"
        ) from error


def _sees(path: Path) -> bool:
    """Tell whether this machine, which could import this module, sees a file."""
    return path.is_file()


def _train(config: dict[str, int], *, trials: list[Trial], ledger: Ledger, threads: int) -> None:
    """Train one trial, in a process of Ray's; a run that was cut short goes on."""
    from ray import tune

    trial = trials[config["number"]]
    folder = ledger.run_folder(trial)
    options = trial.options(ledger.common)
    options = replace(
        options,
        training=replace(options.training, threads=options.training.threads or threads),
        run=replace(options.run, out=folder, resume=(folder / "state.ckpt").is_file(), quiet=True),
    )
    try:
        metrics = fit(ledger.task, options, Console(quiet=True)).metrics
    except Diverged as error:
        metrics = {"dev_accuracy": None, "failed": str(error)}
    tune.report({"outcome": metrics})


def _entering(callback: Any) -> Any:
    """Return a callback of Tune's that enters trials in the ledger; Ray is imported only by who sweeps."""

    class Entering(callback):  # type: ignore[misc]
        def __init__(self, trials: Sequence[Trial], ledger: Ledger, console: Console) -> None:
            self.trials, self.ledger, self.console, self.done = trials, ledger, console, 0

        def __getstate__(self) -> dict[str, Any]:
            return {}  # Tune writes its callbacks down so as to restore a sweep; the ledger does that here

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            mine, metrics = self.trials[trial.config["number"]], trial.last_result["outcome"]
            self.ledger.enter(Outcome(mine, metrics["dev_accuracy"], metrics))
            self.done += 1
            accuracy = metrics["dev_accuracy"]
            found = "failed" if accuracy is None else f"dev accuracy {accuracy:.2%}"
            self.console.print(f"{self.done}/{len(self.trials)}  {mine}: {found}", highlight=False)

    return Entering
