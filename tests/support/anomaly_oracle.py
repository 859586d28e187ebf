"""The detector of kernels/anomalies as its docstring says it: one series, one point, plain Python, all history kept."""

import math
import statistics

DAY = 86_400_000
SLOTS = 32


class Distances:
    """Every distance so far; a rank counts those in the same relative bin, an eighth of a doubling, as equal."""

    def __init__(self) -> None:
        self.bins: list[int] = []
        self.greatest = 0.0

    @staticmethod
    def bin(distance: float) -> int:
        if distance == 0:
            return 0
        doubling = math.floor(math.log2(distance))
        if distance < 2.0**doubling:
            doubling -= 1
        if distance >= 2.0 ** (doubling + 1):
            doubling += 1
        return min(max((doubling + 21) * 8 + math.floor((distance / 2.0**doubling - 1) * 8), 0), 511)

    def add(self, distance):
        self.bins.append(self.bin(distance))
        self.greatest = max(self.greatest, distance)

    def at_least(self, distance):
        if distance == 0:
            return 0.0
        total = len(self.bins) + 1
        if self.greatest > 0 and distance > self.greatest:
            return math.log10(total) + 4 * math.log10(distance / self.greatest)
        return math.log10(total / (1 + sum(1 for one in self.bins if one >= self.bin(distance))))

    def at_most(self, distance):
        return math.log10((len(self.bins) + 1) / (1 + sum(1 for one in self.bins if one <= self.bin(distance))))


class Slot:
    """A part of the day."""

    def __init__(self) -> None:
        self.low, self.high, self.mean, self.error, self.days = math.inf, -math.inf, 0.0, 0.0, 0


class OneSeries:
    """A series; `observe` gives the score of a point and whether it is news."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.first = None
        self.day = [Slot() for _ in range(SLOTS)]
        self.slot, self.now, self.misses = None, [], []
        self.usual = self.smoothed = self.drift = 0.0
        self.deviation, self.shift, self.outside, self.spread = (Distances() for _ in range(4))
        self.above, self.below = Distances(), Distances()
        self.scores: list[float] = []

    def observe(self, time, value):
        level = statistics.median(self.values[-300:]) if self.values else value
        self.values.append(value)
        last = self.values[-12:]
        mean = sum(last) / len(last)
        spread = math.sqrt(sum((one - mean) ** 2 for one in last) / len(last))
        slot = time % DAY * SLOTS // DAY
        if slot != self.slot:
            self.close()
            self.slot = slot
        near = [self.day[(slot + step) % SLOTS] for step in (-1, 0, 1)]
        low, high = min(one.low for one in near), max(one.high for one in near)
        outside = max(value - high, low - value, 0.0) if low <= high else 0.0
        score = self.shift.at_least(abs(mean - level)) + self.outside.at_least(outside)
        score += 0.25 * self.spread.at_most(spread) + 0.1 * self.deviation.at_least(abs(value - level))
        score += 1.5 * self.new_ground(value)
        foreseen = self.foresee(time, slot, value)
        far = self.smoothed if abs(self.smoothed) >= 1e-6 else 0.0
        above, below = max(far, 0.0), max(-far, 0.0)
        if foreseen:
            score = max(score, 1.2 * self.above.at_least(above), 1.2 * self.below.at_least(below))
        self.deviation.add(abs(value - level))
        self.shift.add(abs(mean - level))
        self.outside.add(outside)
        self.spread.add(spread)
        if foreseen:
            self.above.add(above)
            self.below.add(below)
        self.first = time if self.first is None else self.first
        rest = int(75 + 0.04 * len(self.scores))
        news = score > max(self.scores[-rest:], default=-math.inf) + 0.4
        self.scores.append(score)
        return score, news

    def new_ground(self, value):
        past = self.values[:-1]
        if not past:
            return False
        span = max(*past, value) - min(*past, value)
        return max(value - max(past), min(past) - value) > max(0.05 * span, 0)

    def foresee(self, time, slot, value):
        """Whether there was a forecast; smooths the residual, less what those of the last 72 points were."""
        here = self.day[slot]
        foreseen = here.days > 0 and self.first is not None and time - self.first >= DAY
        unit = here.error + 0.25 * self.usual
        miss = value - here.mean
        apart = miss / unit if foreseen and unit > 0 else 0.0
        self.smoothed += ((apart - self.drift if foreseen else 0.0) - self.smoothed) / 3
        self.now.append(value)
        self.misses.append(abs(miss - self.drift * unit))
        if foreseen:
            self.drift += (min(max(apart, -3), 3) - self.drift) / 72
        return foreseen

    def close(self):
        """The slot under way becomes part of the past days'."""
        if self.slot is None:
            return
        here, today = self.day[self.slot], self.now
        low, high = min(today), max(today)
        mean, miss = sum(today) / len(today), sum(self.misses) / len(today)
        bound = 3 * (here.error + 0.25 * self.usual)
        if here.days:
            weight = max(0.2, 1 / (here.days + 1))
            here.low, here.high = (
                min(low, here.low + 0.005 * (low - here.low)),
                max(high, here.high + 0.005 * (high - here.high)),
            )
            here.mean += weight * min(max(mean - here.mean, -bound), bound)
            here.error += weight * (min(miss, bound) - here.error)
        else:
            miss = (high - low) / 4
            here.low, here.high, here.mean, here.error = low, high, mean, miss
        here.days += 1
        share = max(0.01, 1 / sum(one.days for one in self.day))
        self.usual += share * (miss - self.usual)
        self.now, self.misses = [], []
