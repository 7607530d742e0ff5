"""Which CPU variants of ggml are compiled: those of this machine, or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.inference.build.engine.cpu_variants import ALL, cpu_features, host_variants, keep, main

# As in ggml/src/CMakeLists.txt of the pinned source.
CMAKE = """\
if (GGML_CPU_ALL_VARIANTS)
    if (GGML_SYSTEM_ARCH STREQUAL "x86")
        ggml_add_cpu_backend_variant(x64)
        ggml_add_cpu_backend_variant(sse42              SSE42)
        ggml_add_cpu_backend_variant(sandybridge        SSE42 AVX)
        if (NOT MSVC)
            ggml_add_cpu_backend_variant(ivybridge      SSE42 AVX F16C)
        endif()
        ggml_add_cpu_backend_variant(haswell            SSE42 AVX F16C FMA AVX2 BMI2)
        ggml_add_cpu_backend_variant(skylakex           SSE42 AVX F16C FMA AVX2 BMI2 AVX512)
        ggml_add_cpu_backend_variant(icelake            SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VBMI AVX512_VNNI)
        ggml_add_cpu_backend_variant(zen4           SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16)
        ggml_add_cpu_backend_variant(alderlake          SSE42 AVX F16C FMA AVX2 BMI2 AVX_VNNI)
        ggml_add_cpu_backend_variant(sapphirerapids SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 AMX_TILE AMX_INT8)
    elseif(GGML_SYSTEM_ARCH STREQUAL "ARM")
        ggml_add_cpu_backend_variant(armv8.0_1)
        ggml_add_cpu_backend_variant(armv8.2_1    DOTPROD)
        ggml_add_cpu_backend_variant(armv8.2_2    DOTPROD FP16_VECTOR_ARITHMETIC)
        ggml_add_cpu_backend_variant(armv9.2_1    DOTPROD FP16_VECTOR_ARITHMETIC SVE MATMUL_INT8 SME)
    endif()
endif()
"""
HASWELL = "fpu sse4_2 avx f16c fma avx2 bmi2"
SKYLAKE = f"{HASWELL} avx512f avx512cd avx512vl avx512dq avx512bw"
ZEN5 = f"{SKYLAKE} avx512vbmi avx512_vnni avx512_bf16 avx_vnni"
SAPPHIRE_RAPIDS = f"{ZEN5} amx_tile amx_int8"


@pytest.mark.parametrize(
    ("features", "variant"),
    [
        ("fpu sse2", "x64"),
        (f"{HASWELL} unheard_of", "haswell"),
        (f"{HASWELL} avx_vnni", "alderlake"),
        (f"{HASWELL} avx512f", "haswell"),
        (SKYLAKE, "skylakex"),
        (ZEN5, "zen4"),
        (SAPPHIRE_RAPIDS, "sapphirerapids"),
        ("asimd asimddp", "armv8.2_1"),
        ("asimd asimddp fphp asimdhp", "armv8.2_2"),
        ("asimd asimddp fphp asimdhp sve i8mm sme", "armv8.2_2"),
    ],
)
def test_an_image_for_this_machine_gets_the_baselines_and_the_best_variant(
    features: str, variant: str
) -> None:
    chosen = host_variants(CMAKE, frozenset(features.split()))
    assert chosen == {"x64", "armv8.0_1", variant}


def test_the_features_are_those_of_the_first_processor() -> None:
    assert cpu_features("processor: 0\nflags\t\t: fpu avx2\n\nflags : none\n") == {"fpu", "avx2"}
    assert cpu_features("Features\t: asimd asimddp\n") == {"asimd", "asimddp"}
    assert cpu_features("") == frozenset()


def test_only_other_variants_are_removed_from_the_file() -> None:
    text = keep(CMAKE, ALL)
    named = {
        line.split("(")[1].split()[0].rstrip(")") for line in text.splitlines() if "backend" in line
    }
    assert named == ALL & {*CMAKE.replace("(", " ").replace(")", " ").split()}
    left_out = set(CMAKE.splitlines()) - set(text.splitlines())
    assert all("ggml_add_cpu_backend_variant" in line for line in left_out)


def test_the_file_is_edited_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "CMakeLists.txt"
    file.write_text(CMAKE)
    main("all", file)
    assert file.read_text() == keep(CMAKE, ALL)
    assert "sapphirerapids" in capsys.readouterr().out


def test_a_source_without_variants_ends_the_build(tmp_path: Path) -> None:
    file = tmp_path / "CMakeLists.txt"
    file.write_text("add_library(ggml)\n")
    with pytest.raises(SystemExit, match="has no CPU variant"):
        main("host", file)
