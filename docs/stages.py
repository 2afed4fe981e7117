"""Writes the section of architecture.md that shows one model after each stage: stages.py FULGURC"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "architecture.md"
STAGES = {  # what to say, and the line to begin at
    "import": ("As the model says it:", "module"),
    "graph": ("What belongs together elementwise is one loop:", "module"),
    "kernel": ("What becomes one native function, and how:", "module"),
    "memory": ("Tensors are memory at known places, the kernel is loops, its parallel loop an `scf.forall`:", "func.func private @main"),
    "llvm": ("The entry point, and the task that is one iteration of the parallel loop:", "llvm.func @hello__run"),
}
LINES, WIDTH = 60, 250


def stage(compiler, model, name, begin):
    command = [compiler, model, f"--compile-to={name}", "--prefix=hello", "-o", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = re.sub(r"\{-#.*?#-\}\n?", "", text, flags=re.DOTALL)  # the bytes of resources
    text = text[re.search(rf"^ *{re.escape(begin)}", text, re.MULTILINE).start() :]
    lines = [line if len(line) <= WIDTH else line[: WIDTH - 4] + " ..." for line in text.rstrip().splitlines()]
    return lines if len(lines) <= LINES else [*lines[:LINES], f"... {len(lines) - LINES} more lines"]


def main(compiler):
    with tempfile.TemporaryDirectory() as scratch:
        model = f"{scratch}/hello.onnx"
        subprocess.run([sys.executable, DOCS.parent / "examples" / "hello" / "make_model.py", model], check=True)
        parts = []
        for name, (title, begin) in STAGES.items():
            parts += [f"### {name}", "", title, "", "```mlir", *stage(compiler, model, name, begin), "```", ""]
    begin, end = "<!-- stages: begin -->\n", "<!-- stages: end -->"
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(begin)[0], page.split(end)[1]
    PAGE.write_text(before + begin + "\n" + "\n".join(parts) + "\n" + end + after, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
