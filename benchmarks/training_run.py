"""One real `python -m trainer fit`, watched: when its first step begins, how long its steps wait for data.

    python benchmarks/training_run.py MAX_STEPS fit sst --estimator none …

`benchmarks/training.py` starts this; it prints one line of JSON and ends after so many steps, or one epoch.
"""

from __future__ import annotations

import json
import os
import sys
import time

STARTED = float(os.environ.get("STARTED", "nan"))
"""What `time.time` said when this process was asked for."""


def main() -> None:
    limit, arguments = int(sys.argv[1]), sys.argv[2:]
    from lightning.pytorch.callbacks import Callback

    from trainer import fit
    from trainer.__main__ import main as trainer
    from trainer.data import Loader

    waited = {"clock": 0.0, "processor": 0.0}
    iterate = Loader.__iter__

    def watched(self):
        batches = iterate(self)
        while True:
            clock, processor = time.perf_counter(), time.process_time()
            batch = next(batches, None)
            waited["clock"] += time.perf_counter() - clock
            waited["processor"] += time.process_time() - processor
            if batch is None:
                return
            yield batch

    class Watch(Callback):
        def on_train_epoch_start(self, *_):
            waited.update(clock=0.0, processor=0.0)
            self.start = time.perf_counter(), time.process_time()

        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 0:
                self.first = {"clock": time.time() - STARTED, "processor": time.process_time()}

        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == limit or trainer.global_step == trainer.num_training_batches:
                clock, processor = (now() - then for now, then in zip(CLOCKS, self.start, strict=True))
                whole = {"clock": clock, "processor": processor}
                busy = {name: 1 - waited[name] / whole[name] for name in whole}
                print(json.dumps({"first step, seconds": self.first, "busy": busy}), flush=True)
                os._exit(0)

    made = fit._trainer

    def with_watch(*given):
        trainer = made(*given)
        trainer.callbacks.append(Watch())
        return trainer

    Loader.__iter__, fit._trainer = watched, with_watch
    sys.exit(trainer(arguments))


CLOCKS = time.perf_counter, time.process_time

if __name__ == "__main__":
    main()
