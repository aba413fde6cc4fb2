"""Progress of training: the trainer's bar in a terminal, plain lines with rate and time left in a log."""

import sys
import time

from transformers import TrainerCallback

from dualenc.runtime.progress import SECONDS_BETWEEN_LINES


class ProgressLines(TrainerCallback):
    """Print ``step 40/200, loss 1.234, 8.1 steps/s, 20 s left`` every few seconds where stderr is not a terminal.

    When processes train together, the first one does it.
    """

    def on_train_begin(self, args, state, control, **kwargs):
        """Start the clock; a resumed run starts at its step."""
        self.start, self.first, self.last = time.monotonic(), state.global_step, time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        """Print a line when it is time for one, and at the end."""
        now = time.monotonic()
        if now - self.last < SECONDS_BETWEEN_LINES and state.global_step < state.max_steps:
            return
        if sys.stderr.isatty() or not state.is_world_process_zero:
            return
        self.last = now
        rate = (state.global_step - self.first) / max(now - self.start, 1e-9)
        left = (state.max_steps - state.global_step) / rate
        losses = [f"loss {entry['loss']:.4f}, " for entry in state.log_history if "loss" in entry]
        print(
            f"step {state.global_step}/{state.max_steps}, {''.join(losses[-1:])}{rate:.1f} steps/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        """Print the probes."""
        if not sys.stderr.isatty() and state.is_world_process_zero:
            shown = ", ".join(
                f"{key.removeprefix('eval_')} {value:.4f}"
                for key, value in sorted(metrics.items())
                if not key.endswith(("_runtime", "_per_second", "epoch"))
            )
            print(f"step {state.global_step}: {shown}", file=sys.stderr, flush=True)
