"""Trains collaborative filtering with N workers: `python train.py backend=process workers=5`.

Everything is below the guard because a spawned worker imports this file, and must not pay for
Hydra.
"""

if __name__ == "__main__":
    import sys

    import hydra
    from omegaconf import DictConfig

    from ddp.launch.command import launch
    from ddp.launch.one_run import run_job

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def train(composed: DictConfig) -> float:
        """One job: from the composed config to its score, an RMSE."""
        return run_job(composed)

    sys.exit(launch(train))
