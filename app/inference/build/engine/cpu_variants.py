"""Chooses which CPU variants of ggml are compiled, by editing its CMakeLists.txt.

    python3 cpu_variants.py host|all ggml/src/CMakeLists.txt

ggml has one backend library per generation of processors, and loads the best one at start. Each one
adds to the compile time. `host` keeps the baseline and the variant that ggml would load on this
machine, for an image that is only used here; `all` keeps one for each common set of features.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

# Of upstream's 14 variants for x86, those for the common combinations of SSE2, AVX2, AVX-512, VNNI,
# BF16 and AMX. On ARM without the variants that need SME, which the compiler of Debian 12 does not
# support.
ALL = frozenset(
    {"x64", "haswell", "skylakex", "icelake", "zen4", "alderlake", "sapphirerapids"}
    | {"armv8.0_1", "armv8.2_1", "armv8.2_2", "armv8.2_3", "armv8.6_1", "armv8.6_2"}
)
BASELINES = frozenset({"x64", "armv8.0_1"})
# The names in /proc/cpuinfo (`flags` on x86, `Features` on ARM) of the features of ggml's variants.
# AVX512 stands for the flags that ggml requires in ggml-cpu/arch/x86/cpu-feats.cpp.
CPUINFO_NAMES: Mapping[str, frozenset[str]] = {
    "SSE42": frozenset({"sse4_2"}),
    "AVX": frozenset({"avx"}),
    "F16C": frozenset({"f16c"}),
    "FMA": frozenset({"fma"}),
    "AVX2": frozenset({"avx2"}),
    "BMI2": frozenset({"bmi2"}),
    "AVX_VNNI": frozenset({"avx_vnni"}),
    "AVX512": frozenset({"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"}),
    "AVX512_VBMI": frozenset({"avx512vbmi"}),
    "AVX512_VNNI": frozenset({"avx512_vnni"}),
    "AVX512_BF16": frozenset({"avx512_bf16"}),
    "AMX_TILE": frozenset({"amx_tile"}),
    "AMX_INT8": frozenset({"amx_int8"}),
    "DOTPROD": frozenset({"asimddp"}),
    "FP16_VECTOR_ARITHMETIC": frozenset({"fphp", "asimdhp"}),
    "SVE": frozenset({"sve"}),
    "SVE2": frozenset({"sve2"}),
    "MATMUL_INT8": frozenset({"i8mm"}),
}
VARIANT = re.compile(r"^ *ggml_add_cpu_backend_variant\((\S+?)((?: +\w+)*)\)\n", re.MULTILINE)


def cpu_features(cpuinfo: str) -> frozenset[str]:
    """The features of the first processor in a /proc/cpuinfo."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def host_variants(cmake: str, features: frozenset[str]) -> frozenset[str]:
    """The baselines, and the variant of `ALL` with the most features that the processor has."""
    fitting = [
        (len(wanted), at, name)
        for at, (name, wanted) in enumerate(_variants(cmake))
        if name in ALL and _has(features, wanted)
    ]
    return BASELINES | {max(fitting)[2]} if fitting else BASELINES


def keep(cmake: str, variants: Iterable[str]) -> str:
    """The text of the CMakeLists.txt, with only these variants."""
    kept = set(variants)
    return VARIANT.sub(lambda line: line[0] if line[1] in kept else "", cmake)


def _variants(cmake: str) -> list[tuple[str, list[str]]]:
    return [(line[1], line[2].split()) for line in VARIANT.finditer(cmake)]


def _has(features: frozenset[str], wanted: Iterable[str]) -> bool:
    return all(name in CPUINFO_NAMES and CPUINFO_NAMES[name] <= features for name in wanted)


def main(choice: str, path: Path) -> None:
    """Edit the file; exits with 1 if it has no variant, for example after upstream renamed them."""
    cmake = path.read_text(encoding="utf-8")
    if not _variants(cmake):
        sys.exit(f"error: {path} has no CPU variant; adapt VARIANT in {__file__}")
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    kept = ALL if choice == "all" else host_variants(cmake, cpu_features(cpuinfo))
    path.write_text(keep(cmake, kept), encoding="utf-8")
    print(f"CPU variants ({choice}): {', '.join(sorted(kept))}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in {"host", "all"}:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
