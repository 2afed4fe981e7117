"""Compiles a model four times at once with one cache: concurrent.py MODEL FOLDER"""

import subprocess
import sys

model, folder = sys.argv[1:]
compilers = [
    subprocess.Popen(["fulgurc", model, "-o", f"{folder}/{i}.o", "--prefix", "m", f"--cache-dir={folder}/cache"]) for i in range(4)
]
sys.exit(any([compiler.wait() for compiler in compilers]))
