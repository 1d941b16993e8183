"""Small jobs, and every backend for them: overrides as a person gives them to `python train.py`."""

import multiprocessing

DATA = (
    *("data=synthetic", "data.num_users=60", "data.num_items=40"),
    *("data.num_ratings=1200", "data.popularity=0.3"),
)
SMALL = (
    *DATA,
    *("split=iid", "aggregation=inverse_loss", "model=tiny", "workers=3", "rounds=2"),
    *("local_epochs=2", "display=none", "tensorboard=false", "reference=false"),
    *("agg_timeout=100", "round_timeout=100", "checkpoint_every=0"),
)
# The same job with few overrides, as a person types them.
TYPED = (
    *("aggregation=rows", "model=tiny", "workers=3", "rounds=2", "local_epochs=2"),
    *("tensorboard=false", "reference=false"),
)
STRATIFIED = ("split=stratified", "aggregation=none")
FUSED = ("trainer=fused", "trainer.lr_decay=0.9")
# trainers that make rows anew; trainer=gibbs draws all that it can draw from its sixth epoch on
SWEEPS = ("model.dim=5", "rounds=4", "local_epochs=2")
SWEEPING = {
    "gibbs": ("trainer=gibbs", "trainer.burn_in=3", *SWEEPS),
    "als": ("trainer=als", *SWEEPS),
}
# With 4 local epochs their lowest validation RMSE comes in round 1, counted from 0.
BY_HEART = (
    *("trainer=fused", "trainer.lr_decay=0.99", "trainer.reg_factors=0.001"),
    *("model.init_std=0.1", "select_on=valid", "keep=best"),
)
OVERFITS = {
    "averaged": (*BY_HEART, "trainer.lr=0.2"),
    "stratified": (*BY_HEART, *STRATIFIED, "trainer.lr=0.05", "model.dim=32"),
    "als": ("trainer=als", "trainer.reg=0.001", "model.init_std=0.1"),
}
SMALL_TRAINER = ("trainer=autograd", "trainer.batch_size=64")

POLLING = "backend.poll_interval_s=0.001"
FORKSERVER, SPAWN = "backend.start_method=forkserver", "backend.start_method=spawn"
BACKENDS = {
    "serial": ("backend=serial",),
    "thread": ("backend=thread",),
    "thread polling": ("backend=thread", POLLING),
    "process": ("backend=process", FORKSERVER),
    "process polling": ("backend=process", FORKSERVER, POLLING),
    "process spawned": ("backend=process", SPAWN),
    "shm": ("backend=shm", FORKSERVER),
    "shm spawned": ("backend=shm", SPAWN),
}
USUAL = ("serial", "thread", "process", "shm")  # one of each kind, and each as fast as it can start
IN_PROCESS = ("serial", "thread", "thread polling")
QUICK = tuple(name for name in BACKENDS if "spawned" not in name)  # a spawned worker takes seconds

DEADLINE_S = 60.0  # a test waits no longer for anything


def prepare(config):
    """The ratings of the config, dealt to its workers."""
    from ddp.ratings.load import load_ratings
    from ddp.workers import prepare

    return prepare.prepare(config, load_ratings(config.data, config.data_seed))


def backend_of(config, listen=lambda message: None):
    """The backend of the config, with its jobs, not started yet."""
    from ddp.backends.make import make_backend

    prepared = prepare(config)
    return make_backend(prepared, prepared.make_jobs(), listen)


def in_a_child(target, *arguments, timeout_s=DEADLINE_S):
    """The exit code of a main process that calls `target`; None if it ran for `timeout_s`."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    try:
        process.join(timeout_s)
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def make_trainer(options, parameters, train):
    """The trainer that the options name; it only trains."""
    from ddp.trainers.trainer import trainer_for

    return trainer_for(options)(options, parameters, train)
