"""The closed set of options of each group.

conf/<group>/<option>.yaml holds the values of an option, and says what each means.
ddp/config/<group>.py holds their names, types and rules.
"""

from ddp.config.aggregation import (
    Aggregation,
    Averaging,
    LossAggregation,
    RowsAggregation,
    SoftmaxAggregation,
)
from ddp.config.backend import ProcessBackend, SerialBackend, ShmBackend, ThreadBackend
from ddp.config.data import CsvData, MovieLensData, SyntheticData
from ddp.config.model import Model
from ddp.config.split import DirichletSplit, Split
from ddp.config.trainer import AlsTrainer, AutogradTrainer, FusedTrainer, GibbsTrainer

# group -> option -> the dataclass of its settings
OPTIONS: dict[str, dict[str, type]] = {
    "backend": {
        "serial": SerialBackend,
        "thread": ThreadBackend,
        "process": ProcessBackend,
        "shm": ShmBackend,
    },
    "data": {
        **dict.fromkeys(("ml100k", "ml1m", "ml_latest_small", "ml25m", "ml32m"), MovieLensData),
        "csv": CsvData,
        "synthetic": SyntheticData,
    },
    "split": {
        **dict.fromkeys(
            ("auto", "iid", "user", "item", "time", "files", "stratified", "both", "copies"), Split
        ),
        "dirichlet": DirichletSplit,
    },
    "model": dict.fromkeys(("tiny", "narrow", "small", "medium", "large"), Model),
    "trainer": {
        "autograd": AutogradTrainer,
        "fused": FusedTrainer,
        "gibbs": GibbsTrainer,
        "als": AlsTrainer,
    },
    "aggregation": {
        "none": Aggregation,
        "uniform": Averaging,
        "samples": Averaging,
        "inverse_loss": LossAggregation,
        "ensemble": Averaging,
        "softmax_loss": SoftmaxAggregation,
        "rows": RowsAggregation,
    },
}
