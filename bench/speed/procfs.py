"""What Linux tells of processes and of the machine: CPU time, memory, who else is at work."""

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_PARENT_AT = 1
"""Of /proc/PID/stat, behind the name in brackets."""
_SCHEDULER_CLOCK = 2


class Memory(NamedTuple):
    """In KiB. `private` is what would be freed if the process ended (USS)."""

    resident: int
    proportional: int
    private: int


class MachineTimes(NamedTuple):
    """Seconds of all cores together, since the machine was started."""

    busy: float
    idle: float
    steal: float


def cpu_seconds(process_ids: Iterable[int]) -> float:
    """User and system time of these processes so far; those that are gone have none."""
    return sum(_cpu_seconds(process_id) for process_id in process_ids)


def _cpu_seconds(process_id: int) -> float:
    """By its CPU clock, which is exact; /proc/PID/stat has ticks of 10 ms, a tenth of some steps."""
    try:
        # clock_getcpuclockid(3), which Python lacks, makes just this number.
        return time.clock_gettime(~process_id << 3 | _SCHEDULER_CLOCK)
    except OSError:
        return 0.0


def family(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[_PARENT_AT]), []).append(int(entry.name))
    found = [process_id]
    for each in found:
        found += parents.get(each, [])
    return found


def _stat(process_id: int) -> list[str]:
    try:
        return (_PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def memory(process_ids: Iterable[int]) -> Memory:
    """Of these processes together."""
    each = [_memory(process_id) for process_id in process_ids]
    return Memory(*(sum(column) for column in zip(*each, strict=True)))


def _memory(process_id: int) -> Memory:
    lines = (_PROC / str(process_id) / "smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])


def machine_times() -> MachineTimes:
    """Of the whole machine."""
    values = (_PROC / "stat").read_text().splitlines()[0].split()[1 : 1 + len(_CPU_FIELDS)]
    times = {name: int(value) / TICKS for name, value in zip(_CPU_FIELDS, values, strict=True)}
    idle, steal = times["idle"] + times["iowait"], times["steal"]
    return MachineTimes(sum(times.values()) - idle - steal, idle, steal)


def overflows() -> int:
    """Datagrams so far that found the buffer of their socket full, whosever it is."""
    names, values = (line.split() for line in _lines("net/snmp") if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def describe_machine() -> dict[str, Any]:
    """Facts for a table's head."""
    models = [line.partition(":")[2].strip() for line in _lines("cpuinfo") if line.startswith("model name")]
    total = next(line for line in _lines("meminfo") if line.startswith("MemTotal"))
    return {
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.machine(),
        "memory_mib": int(total.split()[1]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": list(os.getloadavg()),
    }


def _lines(name: str) -> list[str]:
    return (_PROC / name).read_text().splitlines()
