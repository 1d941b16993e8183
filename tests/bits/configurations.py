"""The small configurations whose bits are compared, and the backends that run them."""

from dataclasses import dataclass

SMALL = (
    *("model=tiny", "workers=3", "rounds=3", "local_epochs=2", "account=false"),
    *("display=none", "tensorboard=false", "reference=false", "checkpoint_every=0"),
    "keep=last",
)
# Pinned, so that other defaults do not change the bits.
COMPILED = ("trainer.lr=0.02", "trainer.lr_decay=0.98", "trainer.reg_factors=0.1")
MADE_UP = (
    *("data=synthetic", "data.num_users=90", "data.num_items=70", "data.num_ratings=2500"),
    "data.popularity=0.4",
)
AVERAGED = ("split=iid", "trainer=fused", "aggregation=uniform")
STRATIFIED = ("split=stratified", "trainer=fused", "aggregation=none")
ADAM = ("trainer=autograd", "trainer.batch_size=128")
SGD = (*ADAM, "trainer.optimizer=sgd", "trainer.lr=0.1")
GIBBS = ("trainer=gibbs", "trainer.burn_in=2", "trainer.keep_samples=3", "local_epochs=3")
QUICK = ("serial", "thread", "thread polling", "process", "shm")
SLOW = ("process spawned",)  # takes seconds: few configurations run on it


@dataclass(frozen=True)
class Job:
    """One configuration.

    stop_after: the rounds after which the run ends, and is resumed; 0: it does not end early.
    files: the number of CSV files with its ratings; 0: they are made up.
    spawned: whether it also runs on the slow backend.
    """

    options: tuple[str, ...]
    stop_after: int = 0
    files: int = 0
    spawned: bool = False

    def pinned(self) -> tuple[str, ...]:
        """Settings of trainer=fused, which `options` may change."""
        trainers = [option for option in self.options if option.startswith("trainer=")]
        return COMPILED if trainers[-1:] == ["trainer=fused"] else ()

    def backends(self) -> list[str]:
        """The names of the backends that this job runs on."""
        return [*QUICK, *SLOW] if self.spawned else [*QUICK]


# The trainers do not take turns: the server that workers are forked from begins anew with each.
JOBS = {
    "uniform": Job((*AVERAGED,), spawned=True),
    "samples, dirichlet": Job((*AVERAGED, "split=dirichlet", "aggregation=samples")),
    "inverse_loss, select_on=test": Job((*AVERAGED, "aggregation=inverse_loss", "select_on=test")),
    "softmax_loss, select_on=last": Job(
        (*AVERAGED, "aggregation=softmax_loss", "select_on=last", "workers=2"),
    ),
    "rows, by user": Job((*AVERAGED, "aggregation=rows", "split=user", "workers=4")),
    "rows, by item": Job((*AVERAGED, "aggregation=rows", "aggregation.power=2", "split=item")),
    "copies": Job((*AVERAGED, "split=copies", "trainer.lr_decay=0.9")),
    "momentum, holdout by user": Job(
        (*AVERAGED, "aggregation.outer=momentum", "split.holdout=user", "rounds=4"),
    ),
    "nesterov": Job((*AVERAGED, "aggregation=rows", "aggregation.outer=nesterov", "rounds=4")),
    "outer adam": Job(
        (*AVERAGED, "aggregation.outer=adam", "aggregation.outer_lr=0.02", "rounds=4"),
    ),
    "9 local epochs, select_on=valid": Job((*AVERAGED, "local_epochs=9", "select_on=valid")),
    "9 local epochs, select_on=last": Job((*AVERAGED, "local_epochs=9", "select_on=last")),
    "checkpoints, account, seed 7": Job(
        (*AVERAGED, "checkpoint_every=1", "account=true", "seed=7", "trainer.lr_decay=0.9"),
    ),
    "one worker, no biases": Job((*AVERAGED, "workers=1", "model.biases=false", "model.dim=5")),
    "ensemble": Job((*AVERAGED, "split=copies", "aggregation=ensemble")),
    "resumed, nesterov": Job(
        (*AVERAGED, "aggregation.outer=nesterov", "trainer.lr_decay=0.9", "rounds=5"),
        stop_after=2,
    ),
    "a file per worker": Job((*AVERAGED, "split=files", "select_on=valid"), files=3),
    "by time, from files": Job((*AVERAGED, "split=time", "split.holdout=time"), files=2),
    "stratified": Job((*STRATIFIED,)),
    "stratified, 5 workers, 6 epochs": Job(
        (*STRATIFIED, "workers=5", "local_epochs=6", "checkpoint_every=2", "account=true"),
    ),
    "stratified, resumed": Job((*STRATIFIED, "trainer.lr_decay=0.9", "rounds=5"), stop_after=3),
    "autograd adam": Job((*AVERAGED, *ADAM, "aggregation=rows"), spawned=True),
    "autograd adam, the seed's choices": Job(
        (*AVERAGED, *ADAM, "aggregation=inverse_loss", "select_on=test", "split.valid_fraction=0"),
    ),
    "autograd sgd": Job((*AVERAGED, *SGD, "aggregation=samples", "local_epochs=5")),
    "autograd ensemble": Job((*ADAM, "split=copies", "aggregation=ensemble")),
    "autograd stratified adam": Job((*STRATIFIED, *ADAM)),
    "autograd stratified sgd": Job((*STRATIFIED, *SGD, "workers=2")),
    "autograd resumed, outer adam": Job(
        (*AVERAGED, *ADAM, "aggregation.outer=adam", "aggregation.outer_lr=0.02", "rounds=4"),
        stop_after=2,
    ),
    "gibbs": Job((*GIBBS,), spawned=True),
    "gibbs, ids alone, 5 workers": Job(
        (*GIBBS, "trainer.implicit=none", "trainer.noise=common", "workers=5", "model.dim=5"),
    ),
    "gibbs, resumed": Job((*GIBBS, "trainer.implicit=item", "rounds=5"), stop_after=3),
    "als": Job(("trainer=als", "trainer.reg=0.1")),
}
