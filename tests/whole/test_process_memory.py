"""The memory that processes need: a run that has not enough of it is refused."""

import psutil
import pytest
from limits import WITHOUT_VALIDATION, Watch

import ddp.backends.worker_processes
import ddp.experiment
from ddp.backends.process_memory import FORKED_BYTES, SPAWNED_BYTES, check_memory
from ddp.errors import ConfigError
from ddp.experiment import run
from ddp.machine.memory import available_bytes


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)


def test_what_is_free_is_what_the_machine_and_the_container_have(tmp_path):
    meminfo, nothing = tmp_path / "meminfo", tmp_path / "nothing"
    meminfo.write_text(
        "MemTotal:       16000 kB\nMemFree:          500 kB\nMemAvailable:    8000 kB\n"
    )
    assert available_bytes(nothing, nothing) is None
    assert available_bytes(meminfo, nothing) == 8000 * 1024
    write(tmp_path, memory_max="max\n", memory_current="1000\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024
    write(tmp_path, memory_max="5000000\n", memory_current="3000000\n")
    assert available_bytes(meminfo, tmp_path) == 2_000_000
    write(
        tmp_path,
        memory_stat="anon 1000000\nfile 2000000\ninactive_file 300000\nactive_file 40000\nshmem"
        " 5\n",
    )
    assert available_bytes(meminfo, tmp_path) == 2_340_000
    assert available_bytes(nothing, tmp_path) == 2_340_000
    write(tmp_path, memory_max="900000000\n")
    assert available_bytes(meminfo, tmp_path) == 8000 * 1024


def test_so_many_processes_as_do_not_fit_into_memory_are_refused(
    make_config, monkeypatch, tmp_path
):
    config = make_config("backend=shm", "workers=24", *WITHOUT_VALIDATION, "aggregation=uniform")
    monkeypatch.setattr(ddp.backends.worker_processes, "available_bytes", lambda: 2**29)
    children = psutil.Process().children(recursive=True)
    told = (
        r"^workers=24: so many processes need about 0.8 GiB, and 0.5 GiB are free;"
        " use fewer workers, or backend=thread, "
    )
    with pytest.raises(ConfigError, match=told):
        run(config, tmp_path / "run", [])
    assert psutil.Process().children(recursive=True) == children


def test_workers_that_are_forked_share_what_spawned_ones_have_each(make_config):
    config = make_config("workers=10")
    check_memory(config, "spawn", None)
    check_memory(config, "forkserver", 2**29)
    with pytest.raises(ConfigError, match=r"about 2\.2 GiB"):
        check_memory(config, "spawn", 2**29)
    check_memory(config, "spawn", 10 * SPAWNED_BYTES[False])


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["autograd", "fused"])
def test_a_worker_takes_as_much_memory_as_is_claimed(make_config, tmp_path, trainer):
    """The memory of the process alone, without shared pages.

    Of a spawned worker that is all but a few MB.
    """
    others = set(psutil.Process().children(recursive=True))  # servers of the suite
    for start_method, claimed in (("spawn", SPAWNED_BYTES), ("forkserver", FORKED_BYTES)):

        def look():
            workers = [
                child
                for child in psutil.Process().children(recursive=True)
                if len(child.children()) == 0 and child not in others
            ]
            return [child.memory_full_info().uss for child in workers]

        watch = Watch(look, 3)
        options = (
            f"trainer={trainer}",
            "backend=shm",
            f"backend.start_method={start_method}",
            "workers=3",
            "rounds=30",
        )
        run(make_config(*options), tmp_path / start_method, [watch])
        own = (
            sorted(watch.seen[0])[-2]
            if start_method == "spawn"
            else max(sorted(watch.seen[0])[:-1])
        )
        assert claimed[trainer == "fused"] / 4 < own < claimed[trainer == "fused"]
