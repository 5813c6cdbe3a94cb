"""What docs/performance.md quotes: ``python -m benchmarks``. Not a part of the pump."""
