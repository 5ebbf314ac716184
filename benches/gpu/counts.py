#!/usr/bin/env python3
"""The table of what compilers for real GPUs make of the shaders, beside the least that the formulas need.

counts.py DIR [NAME...]: DIR is what `benches/gpu/check` exports, NAME the variants wanted (all that have a minimum).
WGMM_GPU_ISA and WGMM_NVIDIA_ISA are the compilers, as in `benches/gpu/check`; one that is not set is left out.
Exits with 1 where a kernel spills or uses scratch memory.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

AMD_CHIPS = "vega10,vega20,navi10,navi21,gfx1100,renoir"
NVIDIA_CHIPS = ["sm_80", "sm_90"]
# Instruction classes that occupy a vector unit, a memory unit or workgroup memory, as the two programs name them.
AMD_VECTOR = {"fma", "addmul", "trans", "f64", "minmax", "mov", "int", "lane", "lds", "vload", "vstore"}
NVIDIA_SCALAR = {"branch", "bar", "const", "nop"}


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def amd(program, file, variant):
    """Rows of (chip, registers, waves, spills and scratch, workgroup bytes, counts of the hot part)."""
    constants = [x for name, value in variant["constants"].items() for x in ("--const", f"{name}={value}")]
    text = output(program + [str(file), "--entry", variant["entry"], "--chips", AMD_CHIPS, "--checks", "wgpu",
                             "--no-zero-init", "--loops", "40", *constants])
    rows, classes, chip = [], [], None
    for line in text.splitlines():
        if line.startswith("  part"):
            classes = line.split()[4:]
        elif m := re.match(r"(\S.*?)\s+(32|64)\s+(\d+)\s+\d+\s+(\d+)\s+(\d+)v (\d+)s\s+(\d+)\s+(\S+)", line):
            # Scalar registers that spill go to vector registers, not to memory.
            chip = [f"{m[1]} (wave{m[2]})", int(m[3]), m[8], int(m[5]) + int(m[7]), int(m[4])]
            wanted = variant["hot"]
        elif chip and (m := re.match(r"  (\S.*?)\s+(\d+)\s+[\d.]+\s+\d+%(.*)", line)):
            # Loops come the longest first.
            if m[1].startswith({"loop": ("loop", "inner"), "inner": "inner", "whole": "whole"}[wanted]):
                counts = dict(zip(classes, (0 if x == "." else int(x) for x in m[3].split())))
                rows.append((*chip, {c: n for c, n in counts.items() if c in AMD_VECTOR}, counts["fma"]))
                chip = None
    return rows


def nvidia(program, file, variant):
    """The same from NVIDIA's assembler; a loop's row there leaves out the loops inside it."""
    constants = [x for name, value in variant["constants"].items() for x in ("--set", f"{name}={value}")]
    text = output(program + [str(file), "--entry", variant["entry"], "--checked", "--arch", *NVIDIA_CHIPS, *constants])
    rows, chip, best = [], None, None
    for line in text.splitlines() + ["sm_end"]:
        if line.startswith("sm_"):
            if chip and best:
                rows.append((*chip, best, best.get("ffma", 0)))
            best = None
            if m := re.match(r"(\w+) .*: (\d+) registers, (\d+) B stack, (\d+)\+(\d+) B spilled, (\d+) B workgroup.*, (\S+) warps", line):
                chip = [m[1], int(m[2]), m[7], int(m[3]) + int(m[4]), int(m[6])]
        elif m := re.match(r"\s+(loop|whole).*?\s{2,}(\d+)\s+(.*)", line):
            counts = {c: int(n) for c, n in (x.split(":") for x in m[3].split())}
            counts = {c: n for c, n in counts.items() if c not in NVIDIA_SCALAR}
            if (m[1] == "whole") == (variant["hot"] == "whole") and counts.get("ffma", 0) >= (best or {}).get("ffma", 0):
                best = counts
    return rows


def main():
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    variants = [v for v in json.loads((folder / "variants.json").read_text()) if v["minimum"]]
    routes = [(amd, "WGMM_GPU_ISA"), (nvidia, "WGMM_NVIDIA_ISA")]
    routes = [(route, shlex.split(os.environ[name])) for route, name in routes if os.environ.get(name)]
    print("| kernel | chip | registers | waves | spilled, scratch | workgroup bytes | vector instructions | of them fma | minimum | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    spilled = False
    for variant in variants:
        if names and variant["name"] not in names:
            continue
        for route, program in routes:
            for chip, registers, waves, spills, memory, counts, fma in route(program, folder / f"{variant['name']}.wgsl", variant):
                total = sum(counts.values())
                spilled |= spills > 0
                print(f"| {variant['name']} | {chip} | {registers} | {waves} | {spills} | {memory} | {total} | {fma} "
                      f"| {variant['minimum']} | {total / variant['minimum']:.2f} |", flush=True)
    sys.exit(1 if spilled else 0)


if __name__ == "__main__":
    main()
