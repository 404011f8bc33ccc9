"""Percentiles, as the programs here tell them."""

from collections.abc import Collection, Sequence
from statistics import fmean

MS = 1000.0


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in rising order; 0.0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def spread_ms(seconds: Collection[float]) -> dict[str, float]:
    """Median, 99th percentile, maximum and mean, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50": round(percentile(ordered, 0.5) * MS, 3),
        "p99": round(percentile(ordered, 0.99) * MS, 3),
        "max": round(percentile(ordered, 1.0) * MS, 3),
        "mean": round(fmean(ordered) * MS, 3) if ordered else 0.0,
    }
