"""Processes as /proc shows them (proc(5)): who descends from whom, what time and memory they took."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")  # of the clock in which the kernel counts processor time, a second
_PROC = Path("/proc")


class _Stat(NamedTuple):
    parent: int
    seconds: float  # of processor time, the process's own and that of its children it has waited for


def descendants(root: int) -> list[int]:
    """Return ``root`` and every living process below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(stat.parent, []).append(int(entry.name))
    found = [root] if (_PROC / str(root)).exists() else []
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time, user and system, of processes and of their children that have ended."""
    return sum(stat.seconds for pid in pids if (stat := _stat(pid)) is not None)


def peak_rss_mb(pid: int) -> float:
    """Return the most memory a process has held, in MiB; 0 when it is gone."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def name(pid: int) -> str:
    """Return a process's name, "" when it is gone."""
    return _read(pid, "comm").strip()


def parent(pid: int) -> int | None:
    """Return the process that started this one; None when it is gone."""
    stat = _stat(pid)
    return stat.parent if stat else None


def _stat(pid: int) -> _Stat | None:
    fields = _read(pid, "stat").rpartition(")")[2].split()  # the name before may hold spaces and brackets
    if not fields:
        return None
    return _Stat(int(fields[1]), sum(map(int, fields[11:15])) / _TICK)  # utime, stime, cutime, cstime


def _read(pid: int, file: str) -> str:
    try:
        return (_PROC / str(pid) / file).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
