"""Damages all files of a folder, each in another way: damage.py FOLDER"""

import pathlib
import sys

for number, path in enumerate(sorted(pathlib.Path(sys.argv[1]).glob("llvmcache-*"))):
    content = bytearray(path.read_bytes())
    if number % 3 == 0:
        content[len(content) // 2] ^= 1
    elif number % 3 == 1:
        content = content[: len(content) // 2]
    else:
        content = bytearray()
    path.write_bytes(content)
