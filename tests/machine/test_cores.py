"""A CPU quota counts as cores do, wherever the files of its cgroup lie."""

import os
from types import SimpleNamespace

import pytest

from ddp.machine import cores
from ddp.machine.cores import cpu_quota, num_cores

V2 = "30 23 0:26 {top} {place} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 25 0:29 {top} {place} rw,nosuid master:15 - cgroup cgroup rw,{controllers}"
OTHERS = (
    "21 28 0:20 / /proc rw - proc proc rw\n"
    "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "35 25 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)


def v2(top="/", place="/sys/fs/cgroup"):
    return V2.format(top=top, place=place)


def v1(top="/", place="/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct"):
    return V1.format(top=top, place=place, controllers=controllers)


@pytest.fixture
def system(tmp_path):
    """`system(cgroup, mounts, files)`: the quota of a system with these files."""

    def make(cgroup, mounts, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(cgroup)
        (tmp_path / "proc/self/mountinfo").write_text(OTHERS + "\n".join(mounts) + "\n")
        for name, content in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return cpu_quota(tmp_path)

    return make


def limits(folder, quota, period=100_000):
    """The files of version 1."""
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


CPU = "cpu,cpuacct"
DOCKER = "/docker/0123"
CASES = {
    "none": ("0::/\n", [v2()], {"cpu.max": "max 100000\n"}, None),
    "v2 at the top": ("0::/\n", [v2()], {"cpu.max": "150000 100000\n"}, 1.5),
    "v2 below one core": ("0::/a\n", [v2()], {"a/cpu.max": "5000 50000\n"}, 0.1),
    "v2 around it": ("0::/a/b\n", [v2()], {"a/cpu.max": "4 2", "a/b/cpu.max": "max 1"}, 2),
    "v2 the smallest": (
        "0::/a/b/c\n",
        [v2()],
        {"a/cpu.max": "200000 100000", "a/b/cpu.max": "40 80", "a/b/c/cpu.max": "300000 100000"},
        0.5,
    ),
    "v2 of a sister": ("0::/a\n", [v2()], {"a/cpu.max": "max 1", "b/cpu.max": "1 1"}, None),
    "v2 with a colon in its name": ("0::/a:b\n", [v2()], {"a:b/cpu.max": "3 1"}, 3),
    "v2 in a container": (f"0::{DOCKER}\n", [v2(DOCKER)], {"cpu.max": "3 2"}, 1.5),
    "v2 in a container, inside": (f"0::{DOCKER}/x\n", [v2(DOCKER)], {"x/cpu.max": "3 2"}, 1.5),
    "v2 of a path outside": (f"0::{DOCKER}\n", [v2("/")], {"cpu.max": "3 2"}, 1.5),
    "v2 above its namespace": ("0::/../..\n", [v2()], {"cpu.max": "3 2"}, 1.5),
    "v2 that is damaged": ("0::/\n", [v2()], {"cpu.max": "1 0"}, None),
    "v2 that is empty": ("0::/\n", [v2()], {"cpu.max": ""}, None),
    "v1 without": (f"4:{CPU}:/\n", [v1()], limits(CPU, -1), None),
    "v1": (f"4:{CPU}:/a\n", [v1()], limits(f"{CPU}/a", 50_000), 0.5),
    "v1 alone": ("4:cpu:/\n", [v1(place="/sys/fs/cgroup/cpu", controllers="cpu")],
                 limits("cpu", 400_000), 4),
    "v1 in a container": (f"4:{CPU}:{DOCKER}\n", [v1(DOCKER)], limits(CPU, 250_000), 2.5),
    "v1 of a path outside": (f"4:{CPU}:{DOCKER}\n", [v1()], limits(CPU, 250_000), 2.5),
    "v1 around it": (
        f"4:{CPU}:/a/b\n", [v1()], limits(f"{CPU}/a", 150_000) | limits(f"{CPU}/a/b", -1), 1.5,
    ),
    "v1 of another controller": ("4:cpuset:/a\n", [v1()], limits(f"{CPU}/a", 50_000), None),
    "v1 beside v2": (
        f"4:{CPU}:/a\n1:name=systemd:/b\n0::/b\n",
        [v1(), v2(place="/sys/fs/cgroup/unified")],
        limits(f"{CPU}/a", 300_000) | {"unified/b/cpu.max": "max 100000"},
        3,
    ),
    "two mounts": (
        "0::/a\n", [v2("/other", "/sys/fs/cgroup/x"), v2("/", "/sys/fs/cgroup/y")],
        {"x/cpu.max": "1 1", "y/a/cpu.max": "2 1"}, 2,
    ),
    "a place with a space": ("0::/\n", [v2(place=r"/sys/fs/cgroup/my\040own")],
                             {"my own/cpu.max": "2 1"}, 2),
    "no mount": ("0::/\n", [], {"cpu.max": "1 1"}, None),
    "no line": ("", [v2()], {"cpu.max": "1 1"}, None),
    "half a line": ("0:", [v2()], {"cpu.max": "1 1"}, None),
    "half a mount": ("0::/\n", ["30 23 - cgroup2"], {"cpu.max": "1 1"}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_quota_from_the_cgroup_up_counts(system, case):
    cgroup, mounts, files, quota = CASES[case]
    assert system(cgroup, mounts, files) == quota


def test_a_system_without_cgroups_has_none(tmp_path):
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"),
    [(8, None, 8), (8, 0.1, 1), (8, 1.0, 1), (8, 1.5, 2), (8, 2.0, 2), (8, 64.0, 8), (1, 1.5, 1)],
)
def test_a_part_of_a_core_counts_as_one(monkeypatch, affinity, quota, expected):
    system = SimpleNamespace(sched_getaffinity=lambda _: set(range(affinity)))
    monkeypatch.setattr(cores, "os", system)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert num_cores() == expected


def test_here_they_are_no_more_than_the_affinity():
    assert 1 <= num_cores() <= len(os.sched_getaffinity(0))
