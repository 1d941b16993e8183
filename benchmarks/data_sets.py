"""The data sets of benchmarks.kernel, benchmarks.scaling and benchmarks.time_to_accuracy."""

DATA = {
    "ml100k": ("data=ml100k",),
    "synthetic": (
        "data=synthetic",
        "data.num_users=50000",
        "data.num_items=20000",
        "data.num_ratings=5000000",
    ),
}

# the shape of MovieLens 1M
MILLION = (
    "data=synthetic",
    "data.num_users=6040",
    "data.num_items=3706",
    "data.num_ratings=1000209",
    "data.noise_std=0.85",
)
