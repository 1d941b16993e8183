"""Values of a wrong type and unknown names, with fragments of the message that refuses them."""

from ddp.config.options import OPTIONS

CSV = ("data=csv", "data.path=a.csv")

WRONG_TYPES_AND_NAMES = [
    # types
    (("workers=two",), "workers=two:", "expected int"),
    (("workers=2.5",), "workers=2.5:", "expected int"),
    (("rounds=[1]",), "rounds=[1]:", "expected int"),
    (("rounds=1e3",), "rounds=1000.0:", "expected int; write rounds=1000"),
    (("workers=2.0",), "workers=2.0:", "expected int; write workers=2"),
    (("seed=1e6",), "seed=1000000.0:", "expected int; write seed=1000000"),
    (("split.seed=-3.",), "split.seed=-3.0:", "expected int | None; write split.seed=-3"),
    (("model.dim=64.0",), "model.dim=64.0:", "expected int; write model.dim=64"),
    ((*CSV, "data.user=1.0"), "data.user=1.0:", "expected int | str; write data.user=1"),
    (("seed=1e300",), "seed=1e+300:", "expected int"),
    (("rounds=inf",), "rounds=inf:", "expected int"),
    (("data=csv", "data.path=[a]"), "data.path=['a']:", "\"data.path='[1]'\""),
    (("data.root={a:b}",), "data.root={'a': 'b'}:", "\"data.root='[1]'\""),
    (("seed=null",), "seed=null:", "expected int"),
    (("agg_timeout=soon",), "agg_timeout=soon:", "expected float"),
    (("tensorboard=maybe",), "tensorboard=maybe:", "expected bool"),
    (("trainer.lr=fast",), "trainer.lr=fast:", "expected float"),
    (("trainer=autograd", "trainer.batch_size=1.5"), "trainer.batch_size=1.5:", "expected int"),
    (("model.biases=some",), "model.biases=some:", "expected bool"),
    (("backend.poll_interval_s=often",), "backend.poll_interval_s=often:", "expected float | None"),
    (("data=csv", "data.paths=a.csv"), "data.paths=a.csv:", "write data.paths=[a.csv]"),
    ((*CSV, "data.user=null"), "data.user=null:", "expected int | str"),
    (("display=null",), "display=null:", "expected str"),
    (("~workers",), "workers:", "is not set", "int"),
    (("~model.dim",), "model.dim:", "is not set", "int"),
    # names that nothing reads
    (("+worker=3",), "worker=3:", "no such setting", "did you mean workers"),
    (("+backend.num_worker=3",), "backend.num_worker=3:", "no such setting", "--help"),
    (("+model.dims=3",), "model.dims=3:", "no such setting", "model.dim"),
    (
        ("backend=serial", "+backend.poll_interval_s=1"),
        "backend.poll_interval_s=1:",
        "no such setting",
    ),
    (("+split.alpha=1",), "split.alpha=1:", "no such setting"),
    (("+qqqqqqq=1",), "qqqqqqq=1:", "known here: workers, rounds", "groups backend, data"),
    # what OmegaConf cannot resolve
    (("workers=${nothing}",), "workers: cannot be resolved:", "'nothing' not found"),
    (("data.root=${oc.env:DDP_NOTHING}",), "data.root: cannot be resolved:", "DDP_NOTHING"),
    ((*CSV, r"data.encoding='a\${b}'"), "data.encoding: cannot be resolved:", "'b' not found"),
    (("+more=${b}",), "more: cannot be resolved:", "'b' not found"),
    # numbers that no float can hold
    ((f"agg_timeout=1{'0' * 400}",), "agg_timeout=1000", "expected float"),
    # groups
    (("backend.name=foo",), "backend=foo:", ", ".join(OPTIONS["backend"])),
    (("trainer.name=foo",), "trainer=foo:", f"choose one of {', '.join(OPTIONS['trainer'])}"),
    (("~backend",), "backend=null:", ", ".join(OPTIONS["backend"])),
    (("~aggregation",), "aggregation=null:", ", ".join(OPTIONS["aggregation"])),
    (("~split.name",), "split=null:", ", ".join(OPTIONS["split"])),
]
