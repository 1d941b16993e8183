"""Ways to compute a local epoch: autograd (torch) and fused (compiled)."""
