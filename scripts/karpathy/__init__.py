"""Parts of benchmark_karpathy.py and compare_losses.py: karpathy/nanochat and this package on the same work."""
