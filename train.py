"""Trains collaborative filtering with N workers: `python train.py backend=process workers=5`.

Everything is below the guard because a spawned worker imports this file, and must not pay for
Hydra.
"""

if __name__ == "__main__":
    import sys
    from typing import Any

    from ddp.launch.command import launch

    def train(composed: Any) -> float:
        """One job: from the composed config to its score, an RMSE."""
        from ddp.launch.one_run import run_job  # late: --help needs no Hydra

        return run_job(composed)

    sys.exit(launch(train))
