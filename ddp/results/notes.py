"""Notes about a run: sentences about things that worked against it."""

from collections.abc import Sequence

from ddp.config.aggregation import Aggregation
from ddp.config.trainer import GibbsTrainer, SteppingTrainer, TrainerOptions
from ddp.counting import counted
from ddp.timing.gil import turned_on_by
from ddp.tracking.sampled import LEAST_SAMPLES, Sampled

# A learning rate below this share of the first one has no effect: with a factor per epoch all
# later steps together are as small as this share of the steps before.
NO_EFFECT = 1e-3


def about_the_gil() -> tuple[str, ...]:
    """A package turned it on."""
    if (module := turned_on_by()) is None:
        return ()
    return (f"the import of {module} turned the GIL on; PYTHON_GIL=0 keeps it off",)


def about_the_weights(aggregation: Aggregation, sizes: Sequence[int]) -> tuple[str, ...]:
    """aggregation=samples has no effect. `sizes`: the number of training ratings of each shard."""
    if aggregation.name != "samples" or len(sizes) < 2 or len({*sizes}) > 1:
        return ()
    return (
        f"each shard has {counted(sizes[0], 'training rating')}, so aggregation=samples"
        " gives the weights of aggregation=uniform",
    )


def about_the_learning_rate(
    trainer: TrainerOptions, rounds: int, local_epochs: int
) -> tuple[str, ...]:
    """It fell so low that the last of these rounds changed nothing."""
    if not isinstance(trainer, SteppingTrainer):
        return ()
    rates = [trainer.learning_rate(done * local_epochs) for done in range(rounds)]
    without = sum(rate < NO_EFFECT * trainer.lr for rate in rates)
    if not without:
        return ()
    first = len(rates) - without + 1
    return (
        f"from round {first} on the learning rate was below {NO_EFFECT:g} x trainer.lr and had"
        " no effect any more: use fewer rounds or a larger trainer.lr_decay",
    )


def about_the_chain(trainer: TrainerOptions, sampled: Sampled | None) -> tuple[str, ...]:
    """It has not settled, so more samples would predict better."""
    if not isinstance(trainer, GibbsTrainer) or sampled is None or sampled.settled:
        return ()
    if sampled.count == 0:
        return (
            f"there is no sample, because the first {counted(trainer.burn_in, 'local epoch')} do"
            " not count: use more rounds or a smaller trainer.burn_in",
        )
    if sampled.drift is None or sampled.count < LEAST_SAMPLES:
        return (
            f"{counted(sampled.count, 'sample')} cannot show that the chain has settled, which"
            f" takes {LEAST_SAMPLES}: use more rounds",
        )
    return (
        "the chain has not settled: from the first half of the samples to the second the precision"
        f" of the noise changed by {sampled.drift:+.1f} standard errors: use more rounds or a"
        " larger trainer.burn_in",
    )
