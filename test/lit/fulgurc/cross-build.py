"""Links FOLDER/m.o with the runtime and cross.c for AArch64: cross-build.py FOLDER"""

import pathlib
import subprocess
import sys

here, folder = pathlib.Path(__file__).parent, sys.argv[1]
runtime = here.parents[2] / "runtime"
sys.exit(
    subprocess.call(
        ["aarch64-linux-gnu-gcc", "-std=c11", "-O1", "-static", f"-I{folder}", f"-I{runtime}", here / "cross.c", f"{folder}/m.o"]
        + sorted(runtime.glob("*.c"))
        + ["-pthread", "-lm", "-o", f"{folder}/run"]
    )
)
