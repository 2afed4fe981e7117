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


def cpu_time(thread):
    """Nanoseconds that another thread had a CPU, or none when it has ended."""
    try:
        return time.clock_gettime_ns(~thread << 3 | 6)
    except OSError:
        return 0


class Threads:
    """The threads of this process, as many as there are at the last update()."""

    def __init__(self):
        self.files = {}  # of a thread: its waits, and its task clock
        self.spent = {}  # CPU time of a thread
        self.active = []  # the waits of those that ran since the update() before

    def update(self):
        alive = set(map(int, os.listdir("/proc/self/task")))
        for thread in self.files.keys() - alive:
            self._close(thread)
        for thread in alive - self.files.keys():
            try:
                self.files[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY), task_clock(thread)
            except OSError:
                pass  # it has just ended, or this kernel does not count
        spent = {thread: cpu_time(thread) for thread in self.files}
        self.active = [self.files[thread][0] for thread in spent if spent[thread] != self.spent.get(thread)]
        self.spent = spent

    def waited(self):
        """Nanoseconds that active threads waited for a CPU until now. As quick as can be: it is read between runs."""
        try:
            return sum([int(os.pread(waits, 64, 0).split()[1]) for waits in self.active])
        except OSError:  # one has ended
            self.update()
            return self.waited()

    def stolen(self):
        """Nanoseconds that were stolen from all threads until now."""
        return sum(struct.unpack("q", os.read(clock, 8))[0] - cpu_time(thread)
                   for thread, (_, clock) in self.files.items() if clock is not None)

    def close(self):
        for thread in list(self.files):
            self._close(thread)

    def _close(self, thread):
        for file in self.files.pop(thread):
            if file is not None:
                os.close(file)
