"""The families of one scrape, each with the name, kind and labels that the catalogue gives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

from engine.counting import Histogram
from engine.schema.metrics import METRICS, MetricKind

LabelsT = TypeVar("LabelsT", bound=tuple[str, ...])

_TOTAL = "_total"


class Families:
    """Samples are added by the metric's name, with the values of its labels in the catalogue's order."""

    def __init__(self) -> None:
        self._made: dict[str, Metric] = {}

    def collect(self) -> Iterable[Metric]:
        """All families that were added, in the form that encoders of `prometheus_client` expect."""
        return list(self._made.values())

    def add(self, name: str, samples: Mapping[LabelsT, float] | Mapping[LabelsT, int] | float) -> None:
        """One family: a number for each combination of its labels' values, or one number."""
        metric = METRICS[name]
        family = self._family(name)
        if not isinstance(samples, Mapping):
            family.add_sample(name, {}, samples)
            return
        for values, number in samples.items():
            family.add_sample(name, dict(zip(metric.labels, values, strict=True)), number)

    def histogram(self, name: str, samples: Iterable[tuple[tuple[str, ...], Histogram]]) -> None:
        """One family of histograms: one for each combination of its labels' values."""
        labels, family = METRICS[name].labels, self._family(name)
        for values, histogram in samples:
            given = dict(zip(labels, values, strict=True))
            counts = histogram.at_most()
            for bound, count in zip((*_shown(histogram.bounds), "+Inf"), counts, strict=True):
                family.add_sample(f"{name}_bucket", {**given, "le": bound}, count)
            family.add_sample(f"{name}_count", given, counts[-1])
            family.add_sample(f"{name}_sum", given, histogram.total)

    def _family(self, name: str) -> Metric:
        metric = METRICS[name]
        # The library adds the suffix of a counter itself.
        plain = name.removesuffix(_TOTAL) if metric.kind is MetricKind.COUNTER else name
        made = self._made[name] = Metric(plain, metric.meaning, metric.kind.value)
        return made


def _shown(bounds: Sequence[float]) -> Iterator[str]:
    return map(floatToGoString, bounds)
