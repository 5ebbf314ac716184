#!/usr/bin/env python3
"""What compilers for real GPUs make of the shaders, the least that the formulas need, and the times that follow.

counts.py DIR [--all] [--list] [--jobs N] [--readme FILE] [NAME...]

DIR is what `benches/gpu/check` exports: texts, `variants.json`, `problems.json`. The variants of the tables, those that take EM steps and of each
other stage the first and the last by name (or those named, or all) are compiled; --list tells which, with their constants. One that spills or uses scratch memory makes the exit code 1. The tables show the typical ones and go to
standard output, or between the marks in FILE. WGMM_GPU_ISA and WGMM_NVIDIA_ISA are the compilers, as in
`benches/gpu/check`; one that is not set is left out.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
AMD_CHIPS = "vega10,vega20,navi10,navi21,gfx1100,renoir,rembrandt"
NVIDIA_CHIPS = ["sm_80", "sm_90"]
# Classes of instructions, as the two programs name them.
CLASSES = {
    "fma": ("fma", "ffma"),
    "add, mul": ("addmul", "fadd/mul"),
    "exp, log, rcp": ("trans", "ex2", "lg2", "mufu"),
    "compare": ("minmax", "fcmp"),
    "move, integer": ("mov", "int", "lane", "shfl", "other"),
    "constants": ("const",),
    "load, store": ("vload", "vstore", "ldg", "ldg2", "ldg4", "stg", "stg2", "stg4", "local", "atom"),
    "workgroup": ("lds", "lds2", "lds4", "sts", "sts2", "sts4"),
}
AMD_VECTOR = {"fma", "addmul", "trans", "f64", "minmax", "mov", "int", "lane", "lds", "vload", "vstore"}
# What stands in the names of kernels for chips without scalar reads alone.
ONLY_NVIDIA = ("-owned", "-ahead", "-large", "score_panels")
NVIDIA_SCALAR = {"branch", "bar", "nop"}
# Numbers that a load or store has for each lane, if not one.
WIDTHS = {f"{op}{n}": n for op in ("ldg", "stg", "lds", "sts") for n in (2, 4)}


@dataclass
class Loop:
    """Instructions by class, whether it is innermost, and how many loops deep it is: 1 in no other."""
    own: Counter
    is_leaf: bool
    depth: int

    @property
    def fma(self):
        return of(self.own, "fma")

    @property
    def total(self):
        return sum(self.own.values())


@dataclass
class Compiled:
    """One kernel on one chip, instructions by class: `mix` of one round of the hot part, `once` outside all loops, `around`
    of one round of the loops around others that are in none, `others` of one round of each other loop that is not hot, and
    where there is something around the hot one, `apart` of one round of each loop beside that."""
    chip: str
    wave: int
    registers: int
    waves: str
    spills: int
    memory: int
    mix: Counter = field(default_factory=Counter)
    once: Counter = field(default_factory=Counter)
    around: Counter = field(default_factory=Counter)
    others: Counter = field(default_factory=Counter)
    apart: Counter = field(default_factory=Counter)

    def settle(self, loops, whole, variant, nested):
        """From the loops and the whole kernel's count. Where loops are `nested`, instructions of one are also those of the loops
        around it. Copies of the hot loop, for what is left of its rounds, are as hot. Where invocations own components, scores
        and moments have a loop each, and a round is one of both. Where a loop stands for components near the origin and one for
        others, it is the former, the shorter."""
        if not loops:
            return
        owned, near = "-owned" in variant["name"], variant["hot"] == "near"
        leaves = [loop for loop in loops if loop.is_leaf]
        # Where no loop multiplies and adds, the longest.
        size = lambda loop: loop.fma if any(leaf.fma for leaf in leaves) else loop.total
        most = max(map(size, leaves))
        hot = [loop for loop in leaves if size(loop) >= (0.5 if owned else 0.9) * most]
        total = lambda loops: sum((loop.own for loop in loops), Counter())
        if near:
            self.mix = min(hot, key=lambda loop: loop.total).own
        if owned and len(hot) == 2:
            self.mix = total(hot)
        tops = [loop for loop in loops if loop.depth == 1]
        inside = total(tops if nested else loops)
        if not any(loop.depth == 1 for loop in hot):
            self.apart = total(loop for loop in tops if loop.is_leaf)
        self.around = total(loop for loop in tops if not loop.is_leaf)
        # The difference of counters has nothing below zero.
        if nested:
            self.around -= total(loop for loop in loops if loop.depth == 2)
        self.once = whole - inside
        self.others = inside - self.apart - self.around - total(hot)

    def of(self, *names):
        return of(self.mix, *names)

    @property
    def total(self):
        return sum(self.mix.values())


def of(mix, *names):
    return sum(mix[n] for name in names for n in CLASSES[name])


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def amd(program, file, variant):
    if any(word in variant["name"] for word in ONLY_NVIDIA):
        return []
    constants = [x for name, value in variant["constants"].items() for x in ("--const", f"{name}={value}")]
    text = output(program + [str(file), "--entry", variant["entry"], "--chips", AMD_CHIPS, "--checks", "wgpu",
                             "--no-zero-init", "--loops", "40", *constants])
    found, classes, open_, loops, whole = [], [], False, [], Counter()
    for line in text.splitlines() + ["end   64 0 0 0 0v 0s 0 0"]:
        if line.startswith("  part"):
            classes = line.split()[4:]
        elif m := re.match(r"(\S.*?)\s+(32|64)\s+(\d+)\s+\d+\s+(\d+)\s+(\d+)v (\d+)s\s+(\d+)\s+(\S+)", line):
            if found:
                found[-1].settle(loops, whole, variant, True)
            loops = []
            if m[1] == "end":
                break
            # Scalar registers that spill go to vector registers, not to memory.
            found.append(Compiled(m[1], int(m[2]), int(m[3]), m[8], int(m[5]) + int(m[7]), int(m[4])))
            open_ = True
        elif m := re.match(r"  (\S.*?)\s+(\d+)\s+[\d.]+\s+\d+%(.*)", line):
            counts = dict(zip(classes, (0 if x == "." else int(x) for x in m[3].split())))
            vector = Counter({c: n for c, n in counts.items() if c in AMD_VECTOR})
            if m[1] == "whole":
                whole = vector
            else:
                # A loop's row has the loops inside it.
                depth = int(m[1].rsplit(" d", 1)[1])
                loops.append(Loop(vector, m[1].startswith("inner"), depth))
            # Loops come the longest first.
            if open_ and m[1].startswith({"loop": ("loop", "inner"), "inner": "inner", "near": "inner", "whole": "whole"}[variant["hot"]]):
                found[-1].mix, open_ = vector, False
    return found


def nvidia(program, file, variant):
    """A loop's row leaves out the loops inside it."""
    constants = [x for name, value in variant["constants"].items() for x in ("--set", f"{name}={value}")]
    scripts = [at for at, word in enumerate(program) if word.endswith("nvidia_isa.py")]
    if scripts:
        program = [sys.executable, str(HERE / "nvidia.py"), *program[scripts[0]:]]
    text = output(program + [str(file), "--entry", variant["entry"], "--checked", "--arch", *NVIDIA_CHIPS, *constants])
    found, loops, whole = [], [], Counter()
    for line in text.splitlines() + ["sm_end"]:
        if line.startswith("sm_"):
            if found:
                found[-1].settle(loops, whole, variant, False)
            loops, depth, best = [], 0, (0, 0, 0)
        if m := re.match(r"(sm_\d+) .*: (\d+) registers, (\d+) B stack, (\d+)\+(\d+) B spilled, (\d+) B workgroup.*, (\S+) warps", line):
            found.append(Compiled(m[1], 32, int(m[2]), m[7], int(m[3]) + int(m[4]), int(m[6])))
        elif m := re.match(r"\s+(loop|whole).*?\s{2,}(\d+)\s+(.*)", line):
            counts = {c: int(n) for c, n in (x.split(":") for x in m[3].split())}
            counts = Counter({c: n for c, n in counts.items() if c not in NVIDIA_SCALAR})
            if m[1] == "whole":
                whole = counts
            else:
                depth = len(line) - len(line.lstrip())
                # The loop before is not innermost where this one is deeper.
                if loops and (depth - 2) // 2 > loops[-1].depth:
                    loops[-1].is_leaf = False
                loops.append(Loop(counts, True, (depth - 2) // 2))
            rank = (depth if variant["hot"] in ("inner", "near") else 0, counts.get("ffma", 0), sum(counts.values()))
            if (m[1] == "whole") == (variant["hot"] == "whole") and rank >= best:
                found[-1].mix, best = counts, rank
    return found


@dataclass
class Chip:
    """Public figures; `simds` are the units that issue one instruction of a wave at a time."""
    title: str
    counts: str
    simds: int
    clock: float
    bandwidth: float
    # Lanes of single precision, of moves and comparisons, of exp and the like, and bytes of workgroup memory and
    # of loads, each a cycle and SIMD.
    lanes: int
    other_lanes: int
    special_lanes: int
    local_bytes: int
    # Whether moves and comparisons take a place of their own beside arithmetic. Such chips' programs count what is read in
    # workgroup memory by its width, and pairs of neighbours that read the same place share it.
    beside: bool
    # Bytes that a load of one number takes in the path to the caches, all lanes together, a cycle and SIMD.
    load_bytes: int
    # Which of the plans: cards' blocks may have parts, and NVIDIA's have no scalar reads.
    plan: str = "card"

    def peak(self):
        """Multiply-adds a second."""
        return self.simds * self.lanes * self.clock

    def cycles(self, mix, wave, paired):
        """Cycles that instructions of a wave occupy each unit of a SIMD, where so much of what is read in workgroup memory
        pairs of neighbours have in common."""
        arithmetic = of(mix, "fma", "add, mul") * wave / self.lanes
        other = of(mix, "compare", "move, integer") * wave / self.other_lanes
        special = of(mix, "exp, log, rcp") * wave / self.special_lanes
        numbers = lambda *ops: sum(mix[n] * WIDTHS.get(n, 1 if self.beside else 4) for op in ops for n in (op, f"{op}2", f"{op}4"))
        shared = (1 - paired / 2 if self.beside else 1) * numbers("lds") + numbers("sts")
        memories = {
            "workgroup memory": shared * wave * 4 / self.local_bytes,
            "loads": sum(mix[n] * WIDTHS.get(n, 1) for n in CLASSES["load, store"]) * wave * 4 / self.load_bytes,
        }
        if self.beside:
            return {"arithmetic": arithmetic, "other": other, "special": special, "issue": sum(mix.values()), **memories}
        return {"vector unit": arithmetic + other + special, **memories}

    def busy(self, kernel, step):
        """Seconds of the unit that is busy longest, all SIMDs sharing a step evenly, and its name."""
        parts = [(step["rounds"], kernel.mix), (step["invocations"], kernel.once),
                 (step["invocations"] * step["turns"], kernel.around), (step["invocations"] * step["trips"], kernel.others),
                 (step["invocations"] * step["apart"], kernel.apart)]
        units = Counter()
        for times, mix in parts:
            for unit, cycles in self.cycles(mix, kernel.wave, step["paired"]).items():
                units[unit] += times * cycles / kernel.wave
        unit = max(units, key=units.get)
        return units[unit] / (self.simds * self.clock), unit


# NVIDIA's H100 SXM and A100 whitepapers; AMD's pages of the RX 7900 XTX and the Ryzen 6800U (680M, LPDDR5-6400).
# Without RDNA3's dual issue, of which this compiler makes no use.
CHIPS = [
    Chip("H100", "sm_90", 132 * 4, 1.98e9, 3.35e12, 32, 16, 4, 32, True, 32, "NVIDIA"),
    Chip("RX 7900 XTX", "GFX1100", 96 * 2, 2.5e9, 0.96e12, 32, 32, 8, 64, False, 64),
    Chip("Radeon 680M", "REMBRANDT", 12 * 2, 2.4e9, 0.1024e12, 32, 32, 8, 64, False, 64, "integrated"),
    Chip("A100", "sm_80", 108 * 4, 1.41e9, 1.555e12, 16, 16, 4, 32, True, 32, "NVIDIA"),
]


def counts_table(variants, kernels):
    yield "| kernel | chips | registers | waves | spilled | workgroup bytes | " + " | ".join(CLASSES) + " | all | minimum | ratio |"
    yield "|---|---|" + "---|" * (len(CLASSES) + 7)
    for variant in variants:
        if not variant["typical"]:
            continue
        rows = {}
        for k in kernels.get(variant["name"], []):
            row = [k.registers, k.waves, k.spills, k.memory, *(k.of(c) for c in CLASSES), k.total, variant["minimum"],
                   f"{k.total / variant['minimum']:.2f}"]
            rows.setdefault(" | ".join(map(str, row)), []).append(k.chip)
        for row, chips in rows.items():
            yield f"| {variant['name']} | {', '.join(chips)} | {row} |"


def predictions(problems, kernels):
    yield "| problem | GPU | kernels, ms | roofline, ms | share | what limits the longest kernel | bytes read, of one read of X |"
    yield "|---|---|---|---|---|---|---|"
    for problem in problems:
        for chip in CHIPS:
            total, longest = 0.0, (0.0, "")
            steps = problem["steps"][chip.plan]
            for step in steps:
                kernel = next((k for k in kernels.get(step["variant"], []) if k.chip.startswith(chip.counts)), None)
                if kernel is None:
                    break
                busy, unit = chip.busy(kernel, step)
                moved = step["bytes"] / chip.bandwidth
                time = max(busy, moved)
                longest = max(longest, (time, f"{step['variant']}: {unit if busy > moved else 'memory'}"))
                total += time
            else:
                x_bytes = 4.0 * problem["n"] * problem["d"]
                floor = max(x_bytes / chip.bandwidth, problem["n"] * problem["minimum"] / chip.peak())
                moved = sum(step["bytes"] for step in steps)
                yield (f"| {problem['name']} | {chip.title} | {1e3 * total:.3g} | {1e3 * floor:.3g} | {100 * floor / total:.0f} % "
                       f"| {longest[1]} | {moved / x_bytes:.2f} |")


# What takes EM steps beside the passes: every variant of these is looked at.
STEPS = {"m_step_triangles", "m_step_diagonals", "pool_moments", "conclude_step", "commit_step", "sum_blocks"}


def chosen(variants, steps):
    """What is typical, all that takes EM steps, and of each other stage the first and the last by name: the fewest and
    the most of something."""
    ends = {}
    for variant in variants:
        if not variant["branch"]:
            ends.setdefault(variant["entry"], []).append(variant["name"])
    names = {name for of in ends.values() for name in (min(of), max(of))} | steps
    return [v for v in variants if v["typical"] or v["entry"] in STEPS or v["name"] in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--readme", type=pathlib.Path)
    args = parser.parse_args()
    read = lambda name: json.loads((args.folder / name).read_text())
    problems = read("problems.json")
    steps = {step["variant"] for problem in problems for plan in problem["steps"].values() for step in plan}
    variants = read("variants.json")
    if args.names:
        variants = [v for v in variants if v["name"] in args.names]
    elif not args.all:
        variants = chosen(variants, steps)
    if args.list:
        for v in variants:
            if v["branch"]:
                continue
            print(v["name"], v["entry"], *(f"{name}={value}" for name, value in v["constants"].items()))
        return
    routes = [(amd, "WGMM_GPU_ISA"), (nvidia, "WGMM_NVIDIA_ISA")]
    routes = [(route, shlex.split(os.environ[name])) for route, name in routes if os.environ.get(name)]
    jobs = []
    for variant in variants:
        for route, program in routes:
            # The route to NVIDIA knows no subgroups.
            if route is nvidia and variant["name"].endswith("-subgroups"):
                print(f"{variant['name']}: not compiled for NVIDIA, no subgroups on that route", flush=True)
                continue
            jobs.append((route, program, variant))
    kernels, spilled = {}, False
    compiled = lambda job: job[0](job[1], args.folder / f"{job[2]['name']}.wgsl", job[2])
    with ThreadPoolExecutor(args.jobs) as pool:
        for (_, _, variant), found in zip(jobs, pool.map(compiled, jobs)):
            for kernel in found:
                kernels.setdefault(variant["name"], []).append(kernel)
                print(f"{variant['name']} {kernel.chip}: {kernel.registers} registers, waves {kernel.waves}, "
                      f"{kernel.spills} spilled", flush=True)
                spilled |= kernel.spills > 0
    tables = {"counts": counts_table(variants, kernels), "predictions": predictions(problems, kernels)}
    text = args.readme.read_text() if args.readme else ""
    for name, lines in tables.items():
        table = "\n".join(lines)
        if args.readme:
            mark = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
            text = re.sub(mark, lambda m: f"{m[1]}\n{table}\n\n{m[2]}", text, flags=re.S)
        else:
            print(table, end="\n\n")
    if args.readme:
        args.readme.write_text(text)
    sys.exit(1 if spilled else 0)


if __name__ == "__main__":
    main()
