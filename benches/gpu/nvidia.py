#!/usr/bin/env python3
"""nvidia.py NVIDIA_ISA.py ARGUMENT...: that script with vectors read and written whole, workgroup memory left as it is, and the
parameters of a lone model as constants.

Slang makes loads of single numbers of naga's `Load4`, at addresses that may wrap around in 32 bits, so that nvcc cannot join them
again, and stores likewise. WGSL's vectors are aligned, and NVIDIA's own driver loads them at once: the CUDA C++ in between is mended. wgmm's
pipelines ask for no zeros in workgroup memory (src/backend/gpu/stage.rs), so the HLSL has none. Uniform buffers are constant banks
for NVIDIA's driver, and what stands at a place that compilers know there is an operand; Slang reads them like any memory.
"""
import importlib.util
import pathlib
import re
import sys


def loads(width):
    """Loads of so many numbers that become one vector."""
    first = r"uint (?P<v0>\w+) = (?P<buffer>\([^;]*?\))\.Load<uint >\((?P<at>[^;]*)\);\s*"
    more = "".join(rf"uint (?P<v{n}>\w+) = \([^;]*?\)\.Load<uint >\((?P=at) \+ {4 * n}U\);\s*" for n in range(1, width))
    names = ", ".join(f"(?P=v{n})" for n in range(width))
    between = r"(?P<between>(?:(?!uint \w+ = \()[^;]*;\s*){0,2}?)"
    return re.compile(first + more + between + rf"(?P<to>[^;\n]*?)asfloat_\d+\(make_uint{width} \({names}\)\)")


LOADS = {width: loads(width) for width in (4, 2)}
# Likewise stores of vectors.
STORES = re.compile(
    r"(?P<buffer>[\w>-]+)\.Store\((?P<at>\w+),(?P<value>\w+)\.x\);\s*"
    + r"\s*".join(rf"\w+\.Store\((?P=at) \+ {4 * n}U,(?P=value)\.{part}\);" for n, part in ((1, "y"), (2, "z"), (3, "w")))
)


def whole(text):
    for width, pattern in LOADS.items():
        text = pattern.sub(rf"\g<between>\g<to>(*(const float{width}*)((const char*)(\g<buffer>.data) + (\g<at>)))", text)
    return STORES.sub(r"*(uint4*)((char*)(\g<buffer>.data) + \g<at>) = \g<value>;", text)


UNIFORM = re.compile(r"__ldg\(&globalParams_0->components_\d+->(components_\d+)\[int\(0\)\]\[int\((\d+)\)\]\)")
GROUP = re.compile(r"struct (SLANG_ParameterGroup_components_\d+)\s*\{.*?\};", re.S)


def constants(text):
    """With the parameters of a lone model in constant memory."""
    group = GROUP.search(text)
    if not group or not UNIFORM.search(text):
        return text
    text = UNIFORM.sub(r"constant_components.\1[int(0)][int(\2)]", text)
    return text.replace(group[0], f"{group[0]}\n__constant__ {group[1]} constant_components;\n", 1)


def main():
    script = pathlib.Path(sys.argv[1]).resolve()
    spec = importlib.util.spec_from_file_location("nvidia_isa", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = module.sh

    def sh(*command):
        if pathlib.Path(command[0]).name == "emit":
            command = (*command, "--no-zero")
        printed = run(*command)
        if "cuda" in command and "-o" in command:
            file = pathlib.Path(command[command.index("-o") + 1])
            file.write_text(constants(whole(file.read_text())))
        return printed

    module.sh = sh
    # What is read and written by its width.
    widths = ((4, r"\.128"), (2, r"\.64\b"))
    module.CLASSES[:0] = [(f"{op}{n}", rf"{op.upper()}\S*{bits}") for op in ("ldg", "stg", "lds", "sts") for n, bits in widths]
    sys.argv = [str(script), *sys.argv[2:]]
    module.main()


if __name__ == "__main__":
    main()
