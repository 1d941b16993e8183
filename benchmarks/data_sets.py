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
