"""How long others kept the threads of this process from running: what a run's time owes to them, and not to the engine.

A thread that could run has waited while another one had the CPU, be it a program's or the system's own; the kernel counts that to the
nanosecond. And a virtual CPU may have been without a real one: the host then ran somebody else. The kernel leaves such time out of a
thread's CPU time where the host tells of it (steal time), but not out of perf's task clock, so their difference is what was stolen.
"""

import ctypes
import os
import platform
import struct
import time

PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
ATTRIBUTES = struct.pack("<IIQ", 1, 128, 1).ljust(128, b"\0")  # software, its size, task clock
CLOSE_ON_EXEC = 8


def task_clock(thread):
    """A file with the nanoseconds that a thread is on a virtual CPU; None where the system does not allow that."""
    if not PERF_EVENT_OPEN:
        return None
    file = ctypes.CDLL(None).syscall(PERF_EVENT_OPEN, ATTRIBUTES, thread, -1, -1, CLOSE_ON_EXEC)
    return None if file < 0 else file


def cpu_clock(thread):
    """The number of another thread's CPU clock."""
    return ~thread << 3 | 6


class Threads:
    """The threads of this process, as many as there are at the last update()."""

    def __init__(self):
        self.files = {}  # of a thread: where its waiting stands, and its task clock

    def update(self):
        alive = set(map(int, os.listdir("/proc/self/task")))
        for thread in self.files.keys() - alive:
            self._close(thread)
        for thread in alive - self.files.keys():
            try:
                self.files[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY), task_clock(thread)
            except OSError:
                pass  # it has just ended, or this kernel does not count

    def lost(self):
        """Nanoseconds that they waited for a CPU, or that were stolen from them, until now."""
        lost = 0
        for thread, (waits, clock) in self.files.items():
            try:
                lost += int(os.pread(waits, 64, 0).split()[1])
                if clock is not None:
                    lost += struct.unpack("q", os.read(clock, 8))[0] - time.clock_gettime_ns(cpu_clock(thread))
            except OSError:
                pass  # it has ended
        return lost

    def close(self):
        for thread in list(self.files):
            self._close(thread)

    def _close(self, thread):
        for file in self.files.pop(thread):
            if file is not None:
                os.close(file)
