"""How many requests each operation answered, with which status, and how long that took."""

from __future__ import annotations

from collections import Counter

from engine.counting import Histogram

REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class OperationCounts:
    """The requests for one operation. `route` is its path, with the variables in braces."""

    def __init__(self, method: str, route: str) -> None:
        self.method = method
        self.route = route
        self.by_status: Counter[int] = Counter()
        self.seconds = Histogram(REQUEST_SECONDS)

    def note(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.by_status[status] += 1
        self.seconds.note(seconds)


class CallCounts:
    """The requests for all operations; `unmatched` are those for paths that do not exist, by status."""

    def __init__(self) -> None:
        self._operations: dict[tuple[str, str], OperationCounts] = {}
        self.unmatched: Counter[int] = Counter()

    def of(self, method: str, route: str) -> OperationCounts:
        """The counts of an operation."""
        return self._operations.setdefault((method, route), OperationCounts(method, route))

    def asked(self) -> list[OperationCounts]:
        """The counts of the operations that were called."""
        return [each for each in self._operations.values() if each.by_status]
