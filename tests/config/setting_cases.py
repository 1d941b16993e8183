"""Settings that are refused, with fragments of the message, and settings that are accepted."""

from type_cases import CSV, WRONG_TYPES_AND_NAMES

from ddp.config.data import DUPLICATES

SYNTHETIC = ("data=synthetic",)
WHOLE = "whole number of at least"
FINITE = "finite number"

REFUSED = [
    # scalars
    (("workers=0",), "workers=0:", f"{WHOLE} 1"),
    (("workers=-2",), "workers=-2:", f"{WHOLE} 1"),
    (("rounds=0",), "rounds=0:", f"{WHOLE} 1"),
    (("local_epochs=0",), "local_epochs=0:", f"{WHOLE} 1"),
    (("torch_threads=0",), "torch_threads=0:", f"{WHOLE} 1"),
    (("seed=-1",), "seed=-1:", f"{WHOLE} 0"),
    (("select_on=best",), "select_on=best:", "valid, test, last"),
    (("display=loud",), "display=loud:", "auto, bars, lines, none"),
    (("torch_threads=100000",), "torch_threads=100000:", "at most 1024"),
    (("agg_timeout=0",), "agg_timeout=0:", f"{FINITE} above 0 and below 2e+06"),
    (("agg_timeout=inf",), "agg_timeout=inf:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=-1",), "round_timeout=-1:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=3e6",), "round_timeout=3e+06:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=nan",), "round_timeout=nan:", f"{FINITE} above 0 and below 2e+06"),
    # backend
    (
        ("backend=thread", "backend.poll_interval_s=0"),
        "backend.poll_interval_s=0:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.poll_interval_s=-1"),
        "backend.poll_interval_s=-1:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.poll_interval_s=inf"),
        "backend.poll_interval_s=inf:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.start_method=fork"),
        "backend.start_method=fork:",
        "may hang",
        "choose one of spawn, forkserver",
    ),
    (
        ("backend=process", "backend.start_method=null"),
        "backend.start_method=null:",
        "expected str",
    ),
    (
        ("backend=shm", "backend.start_method=fork"),
        "backend.start_method=fork:",
        "may hang",
        "choose one of spawn, forkserver",
    ),
    (
        ("backend=shm", "backend.start_method=foo"),
        "backend.start_method=foo:",
        "choose one of spawn, forkserver",
    ),
    # data
    (("data=ml1m", "data.connect_timeout_s=0"), "data.connect_timeout_s=0:", f"{FINITE} above 0"),
    ((*CSV, "data.item_features=a"), "data.item_features=a:", "only trainer=gibbs"),
    (("data=csv",), "data.path=null:", "data.path=FILE", "data.paths=[FILE,...]"),
    ((*CSV, "data.paths=[b.csv]"), "data.path=a.csv:", "either", "data.paths=[FILE,...]"),
    (("data=csv", "data.paths=[]"), "data.paths=[]:", "at least one file"),
    ((*CSV, "data.separator=ab"), "data.separator='ab':", "one character", "'::'"),
    ((*CSV, "data.separator=''"), "data.separator='':", "one character"),
    ((*CSV, "data.duplicates=first"), "data.duplicates=first:", "error, last, mean"),
    ((*CSV, "data.header=false", "data.user=who"), "data.user=who:", "data.header=true"),
    (
        (*CSV, "data.header=false", "data.user=0", "data.item=1", "data.rating=stars"),
        "data.rating=stars:",
        "data.header=true",
    ),
    ((*CSV, "data.header=perhaps"), "data.header=perhaps:", "auto, true, false"),
    ((*CSV, "data.quote=ab"), "data.quote='ab':", "one character"),
    ((*CSV, "data.quote=';'", "data.separator=';'"), "data.quote=';':", "separator"),
    ((*CSV, "data.decimal=x"), "data.decimal=x:", "auto, comma, point"),
    ((*CSV, "data.skip_lines=-1"), "data.skip_lines=-1:", "at least 0"),
    ((*CSV, "data.comment=''"), "data.comment='':", "beginning of a line"),
    ((*CSV, "data.ids=number"), "data.ids=number:", "auto, text"),
    ((*CSV, "data.not_rated=[inf]"), "data.not_rated=inf:", "finite"),
    ((*CSV, "data.not_rated=[x]"), "data.not_rated=['x']:", "expected list[float]"),
    ((*CSV, "data.separator='\udcff'"), "data.separator='\\udcff':", "one character"),
    ((*CSV, "data.separator='\"'"), "data.separator='\"':", "one character"),
    ((*CSV, "data.timestamp=-1"), "data.timestamp=-1:", "count from 0"),
    (
        (*CSV, "data.user=userId", "data.item=userId"),
        "data.user=userId:",
        "different columns",
        "['userId', 'userId']",
    ),
    ((*CSV, "data.rating=3", "data.timestamp=3"), "data.user=auto:", "different columns"),
    ((*CSV, "data.rating_min=nan"), "data.rating_min=nan:", FINITE),
    ((*CSV, "data.rating_max=inf"), "data.rating_max=inf:", FINITE),
    (
        (*CSV, "data.rating_min=5", "data.rating_max=5"),
        "data.rating_min=5:",
        "below data.rating_max=5",
    ),
    ((*SYNTHETIC, "data.num_users=0"), "data.num_users=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.num_items=0"), "data.num_items=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.num_ratings=0"), "data.num_ratings=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.rank=0"), "data.rank=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.noise_std=-0.1"), "data.noise_std=-0.1:", f"{FINITE} of at least 0"),
    ((*SYNTHETIC, "data.popularity=-1"), "data.popularity=-1:", f"{FINITE} of at least 0"),
    (
        (*SYNTHETIC, "data.num_users=60", "data.num_items=40", "data.num_ratings=1201"),
        "data.num_ratings=1201:",
        "half",
        "2,400",
    ),
    # split
    (("split.holdout=some",), "split.holdout=some:", "random, user, time, files, canonical"),
    (("split.test_fraction=0",), "split.test_fraction=0:", "above 0 and below 1"),
    (("split.test_fraction=1",), "split.test_fraction=1:", "above 0 and below 1"),
    (("split.valid_fraction=-0.1",), "split.valid_fraction=-0.1:", "of at least 0 and below 1"),
    (("split.valid_fraction=1",), "split.valid_fraction=1:", "of at least 0 and below 1"),
    (
        ("split.holdout=files",),
        "split.test_file=null:",
        "split.holdout=files",
        "split.test_file=FILE",
    ),
    (
        ("split.holdout=canonical",),
        "split.fold=null:",
        "split.holdout=canonical",
        "split.fold=1..5",
    ),
    (("split.fold=0",), "split.fold=0:", f"{WHOLE} 1"),
    (("split.fold=6",), "split.fold=6:", "at most 5"),
    (("split.fold=2", "split.holdout=time"), "split.fold=2:", "split.holdout=canonical"),
    (("split.fold=2", "split.test_file=t.csv"), "split.fold=2:", "split.holdout=canonical"),
    (("split.seed=-1",), "split.seed=-1:", f"{WHOLE} 0"),
    (("split.seed=0.5",), "split.seed=0.5:", "expected int | None"),
    (
        ("split.test_file=t.csv", "split.holdout=time"),
        "split.test_file=t.csv:",
        "split.holdout=files",
    ),
    (("split=dirichlet", "split.alpha=0"), "split.alpha=0:", f"{FINITE} above 0"),
    (("split=dirichlet", "split.test_fraction=2"), "split.test_fraction=2:", "below 1"),
    # model, trainer, aggregation
    (("model.dim=0",), "model.dim=0:", f"{WHOLE} 1"),
    (("model.init_std=0",), "model.init_std=0:", f"{FINITE} above 0"),
    (("trainer=autograd", "trainer.optimizer=rmsprop"), "trainer.optimizer=rmsprop:", "adam, sgd"),
    (("trainer.lr=0",), "trainer.lr=0:", f"{FINITE} above 0"),
    (("trainer.lr=nan",), "trainer.lr=nan:", f"{FINITE} above 0"),
    (
        ("trainer=autograd", "trainer.weight_decay=-1e-9"),
        "trainer.weight_decay=-1e-09:",
        f"{FINITE} of at least 0",
    ),
    (("trainer=autograd", "trainer.batch_size=0"), "trainer.batch_size=0:", f"{WHOLE} 1"),
    (("trainer.lr_decay=0",), "trainer.lr_decay=0:", f"{FINITE} above 0"),
    (("trainer.reg_factors=-1",), "trainer.reg_factors=-1:", f"{FINITE} of at least 0"),
    (("trainer.reg_biases=inf",), "trainer.reg_biases=inf:", f"{FINITE} of at least 0"),
    (
        ("aggregation=uniform", "aggregation.outer=sgd"),
        "aggregation.outer=sgd:",
        "none, momentum, nesterov, adam",
    ),
    (
        ("aggregation=uniform", "aggregation.outer_lr=0"),
        "aggregation.outer_lr=0:",
        f"{FINITE} above 0",
    ),
    (("aggregation=uniform", "aggregation.outer_beta1=1"), "aggregation.outer_beta1=1:", "below 1"),
    (
        ("aggregation=uniform", "aggregation.outer_beta2=-1"),
        "aggregation.outer_beta2=-1:",
        "of at least 0",
    ),
    (
        ("aggregation=uniform", "aggregation.outer_tau=0"),
        "aggregation.outer_tau=0:",
        f"{FINITE} above 0",
    ),
    (("aggregation=rows", "aggregation.power=-1"), "aggregation.power=-1:", "at least 0"),
    (("reference=maybe",), "reference=maybe:", "auto, true, false"),
    (
        ("aggregation=softmax_loss", "aggregation.temperature=0"),
        "aggregation.temperature=0:",
        f"{FINITE} above 0",
    ),
    # two settings that do not go together
    (("split=files",), "split=files:", "data=csv", "workers=5", "files: none"),
    ((*CSV, "split=files", "workers=1"), "split=files:", "data.paths", "files: none"),
    (
        ("data=csv", "data.paths=[a,b]", "split=files", "workers=3"),
        "split=files:",
        "workers=3",
        "files: 2",
    ),
    ((*SYNTHETIC, "split=time"), "data=synthetic:", "no timestamps", "split=time"),
    ((*SYNTHETIC, "split.holdout=time"), "data=synthetic:", "no timestamps", "split.holdout=time"),
    ((*CSV, "data.timestamp=null", "split=time"), "data=csv:", "no timestamps", "data.timestamp"),
    *(
        ((*data, "split.fold=1"), "split.holdout=canonical:", "data=ml100k", "another")
        for data in (CSV, SYNTHETIC, ("data=ml1m",))
    ),
    (
        ("aggregation=rows", "split.valid_fraction=0"),
        "split.valid_fraction=0:",
        "select_on=valid",
        "above 0",
    ),
    (
        ("split=iid", "split.valid_fraction=0", "select_on=last", "aggregation=inverse_loss"),
        "split.valid_fraction=0:",
        "aggregation=inverse_loss",
        "above 0",
    ),
    (
        ("split=iid", "split.valid_fraction=0", "select_on=last", "aggregation=softmax_loss"),
        "split.valid_fraction=0:",
        "aggregation=softmax_loss",
    ),
    *WRONG_TYPES_AND_NAMES,
]


ACCEPTED = [
    ("workers=1", "rounds=1", "local_epochs=1", "torch_threads=1", "seed=0"),
    ("backend.poll_interval_s=1e-6",),
    ("backend=process", "backend.poll_interval_s=null"),
    ("backend=process", "backend.start_method=forkserver"),
    *(
        ("backend=shm", f"backend.start_method={method}")
        for method in ("spawn", "forkserver", "null")
    ),
    ("backend=shm", "backend.directory=somewhere"),
    ("split.valid_fraction=0",),  # split=stratified selects nothing
    ("split=iid", "split.valid_fraction=0", "select_on=test", "aggregation=rows"),
    ("split.valid_fraction=0", "select_on=test", "aggregation=softmax_loss"),
    ("split.valid_fraction=0", "select_on=last", "aggregation=uniform"),
    ("split.valid_fraction=0", "select_on=last", "aggregation=samples"),
    ("split.holdout=files", "split.test_file=test.csv"),
    ("split.holdout=canonical", "split.fold=1"),
    ("split.fold=5", "aggregation=rows"),
    # exactly half
    ("data=synthetic", "data.num_users=60", "data.num_items=40", "data.num_ratings=1200"),
    # half of nine, rounded down
    ("data=synthetic", "data.num_users=3", "data.num_items=3", "data.num_ratings=4"),
    ("data=synthetic", "data.noise_std=0", "data.popularity=0", "data.rank=1"),
    ("trainer.lr_decay=2", "trainer.reg_factors=0", "trainer.reg_biases=0"),
    ("trainer=autograd", "trainer.optimizer=sgd", "trainer.weight_decay=0", "trainer.batch_size=1"),
    (*CSV, "data.timestamp=time", "split=time", "aggregation=rows", "split.holdout=time"),
    (*CSV, "data.header=false", "data.user=0", "data.item=1", "data.rating=2", "data.timestamp=3"),
    (*CSV, "data.user=0", "data.item=2"),  # positions are allowed with a header too
    (*CSV, "data.separator='::'", "data.cache=null", "data.rating_min=-10", "data.rating_max=10"),
    *((*CSV, f"data.duplicates={name}") for name in DUPLICATES),
    ("data=ml1m", "split=time", "aggregation=rows", "split.holdout=time"),
]
