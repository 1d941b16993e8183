"""The check of an installation: every backend gives the bits of serial."""

import tempfile
from pathlib import Path

from tests.bits.configurations import MADE_UP
from tests.bits.runs import Digests, digests, options_known, rounds, train

SMOKE = {
    "averaged": ("split=iid", "aggregation=uniform", "workers=2"),
    "stratified": ("split=stratified", "aggregation=none", "workers=2"),
}
SWEEPING = {"both": ("workers=2",)}  # for the trainers that make rows anew
ADVICE = (
    "Install anew with `make clean smoke`. If it stays so, report these lines with the versions "
    "that `.venv/bin/pip freeze` prints and the processor that /proc/cpuinfo names."
)


def smoke() -> int:
    """One small run per split, trainer and backend as conf/ has them. Returns the exit code."""
    from ddp.config.options import OPTIONS

    pairs = [
        (trainer, split, options)
        for trainer, schema in OPTIONS["trainer"].items()
        for split, options in (SWEEPING if schema.sweeps else SMOKE).items()
    ]

    print("checks this installation; the first time it compiles kernels, which may take a minute")
    failed = []
    with options_known():
        for trainer, split, chosen in pairs:
            expected = None
            for backend in ("serial", *(name for name in OPTIONS["backend"] if name != "serial")):
                options = (*chosen, f"trainer={trainer}", f"backend={backend}")
                with tempfile.TemporaryDirectory(prefix="ddp-smoke-") as folder:
                    told, found = try_out(options, Path(folder) / "run")
                if backend == "serial":
                    expected = found
                elif found is not None and expected is not None:
                    same = found == expected
                    told += ", bits as on serial" if same else ", OTHER BITS than on serial"
                well = found is not None and found == expected
                failed += [] if well else [backend]
                print(f"{trainer:8}  {split:10}  {backend:7}  {told}", flush=True)
    if failed:
        print(f"{len(failed)} runs went wrong, on {', '.join(dict.fromkeys(failed))}. {ADVICE}")
        return 1
    print("all runs went well: training may begin")
    return 0


def try_out(options: tuple[str, ...], directory: Path) -> tuple[str, Digests | None]:
    """A text about a run, and its digests; None if it has failed."""
    try:
        train((*MADE_UP, *options), directory)
        return f"test RMSE {float(rounds(directory)[-1]['test_rmse']):.4f}", digests(directory)
    except Exception as error:
        first_line = str(error).partition("\n")[0]  # a traceback may follow
        return f"FAILED with {type(error).__name__}: {first_line}", None
