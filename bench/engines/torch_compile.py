"""PyTorch through torch.compile with frozen weights: what torch.py runs, as inductor compiles it."""

import shutil

from engines import torch

NAME = "torch.compile"
PRECISIONS = torch.PRECISIONS


def missing():
    if not any(map(shutil.which, ("g++", "clang++", "c++"))):
        return "torch.compile needs a C++ compiler"
    return torch.missing()


class Engine(torch.Engine):
    compiled = True
