"""The aggregator's loop, and the weights, means and outer optimizers that it uses."""
