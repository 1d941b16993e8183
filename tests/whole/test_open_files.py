"""A low `ulimit -n` is raised where it may be; else a run with processes is refused."""

import pytest
from commands import SMALL, read_json
from jobs import BACKENDS, QUICK, STRATIFIED
from programs import TRAIN, own_environment

from ddp.backends.process_files import needed_files

LIMITED = """
import pathlib, resource, runpy, sys
_, soft, hard, sys.argv[0], *sys.argv[1:] = sys.argv
sys.path[0] = str(pathlib.Path(sys.argv[0]).parent)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(soft), int(hard)))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def limited(programs, tmp_path):
    """`limited(soft, hard, *arguments)`: `train.py` under these limits, to its end."""
    (tmp_path / "limited.py").write_text(LIMITED)

    def run(soft, hard, *arguments):
        return programs.run(
            tmp_path / "limited.py", soft, hard, TRAIN, *SMALL, "hydra.run.dir=run", *arguments,
            cwd=tmp_path, environment=own_environment(tmp_path),
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "name",
    [name if name == "shm" else pytest.param(name, marks=pytest.mark.slow) for name in QUICK],
)
def test_a_low_limit_that_may_rise_rises(limited, tmp_path, name):
    ended = limited(16, 4096, *BACKENDS[name], "workers=5")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert read_json(tmp_path / "run")["status"] == "ok"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "workers"), [("shm", 3), ("process", 3), ("process", 8)])
@pytest.mark.parametrize("split", [(), STRATIFIED], ids=["iid", "stratified"])
def test_a_run_needs_no_more_than_it_says(limited, make_config, name, workers, split):
    trainer = ("trainer=fused",) if split else ()
    arguments = (*BACKENDS[name], *split, *trainer, f"workers={workers}", "tensorboard=true")
    needed = needed_files(make_config(*arguments))
    ended = limited(needed, needed, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "limit", "workers"), [("shm", 32, 5), ("process", 48, 5), ("process", 64, 20)]
)
def test_one_message_says_how_many_it_needs(limited, make_config, tmp_path, name, limit, workers):
    needed = needed_files(make_config(*BACKENDS[name], f"workers={workers}"))
    ended = limited(limit, limit, *BACKENDS[name], f"workers={workers}")
    assert (ended.returncode, ended.stdout) == (2, "")
    (message,) = ended.stderr.splitlines()
    assert message.startswith(
        f"error: workers={workers}: so many processes need about {needed} open files, and the"
        f" system allows {limit}; raise `ulimit -n`, "
    )
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("name", ["serial", "thread"])
def test_workers_in_one_process_need_few(limited, name):
    assert limited(16, 16, *BACKENDS[name], "workers=20").returncode == 0
