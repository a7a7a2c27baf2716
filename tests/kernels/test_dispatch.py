"""Dispatch: which library is chosen on a processor that is pretended, and the reason that is given."""

import pytest

from mindclf.kernels import dispatch, variants

ALL = set().union(*map(variants.features, variants.VARIANTS))


@pytest.fixture
def choose(monkeypatch):
    """The function (wanted, features, problems of libraries, kind of processor) -> (variant, reason), of a Linux machine."""
    def chosen(wanted, features, problems=(), machine="x86_64"):
        monkeypatch.setattr(variants.platform, "machine", lambda: machine)
        monkeypatch.setattr(dispatch.platform, "system", lambda: "Linux")
        monkeypatch.setattr(dispatch, "library", lambda variant: f"_{variant}.so")
        monkeypatch.setattr(dispatch, "processor_features", lambda: features)
        monkeypatch.setattr(dispatch, "_problem_of", dict(problems).get)
        return dispatch._choose.__wrapped__(wanted)

    return chosen


@pytest.mark.parametrize("wanted", ["", "1"])
@pytest.mark.parametrize(("features", "variant"), [
    (ALL, "avx512"), (variants.features("avx512"), "avx512"), (variants.features("avx512") - {"avx512vl"}, "avx2"),
    ({"avx2", "fma"}, "avx2"), ({"avx2"}, "portable"), (set(), "portable"),
], ids=["all", "AVX-512", "AVX-512 without VL", "AVX2", "AVX2 without FMA", "none"])
def test_the_fastest_variant_in_float32_that_the_processor_runs_is_chosen(choose, wanted, features, variant):
    chosen, reason = choose(wanted, features)
    assert chosen == variant and reason.startswith("the fastest that fits")


@pytest.mark.parametrize(("machine", "features", "variant"), [
    ("aarch64", {"fp", "asimd"}, "neon"), ("arm64", {"asimd"}, "neon"), ("riscv64", set(), "portable"),
])
def test_other_processors_have_their_own_and_hear_nothing_of_those_of_x86(choose, machine, features, variant):
    assert choose("", features, machine=machine) == (variant, "the fastest that fits")
    assert choose("bf16", features, machine=machine)[0] == ""


@pytest.mark.parametrize("wanted", variants.VARIANTS)
def test_a_variant_that_is_asked_for_is_chosen_or_none(choose, wanted):
    assert choose(wanted, ALL) == (wanted, "asked for by MINDCLF_KERNELS")
    if variants.features(wanted):
        assert choose(wanted, set()) == ("", f"{wanted}: this processor lacks {', '.join(sorted(variants.features(wanted)))}")


def test_a_library_that_does_not_work_is_passed_over_and_said(choose):
    assert choose("", ALL, {"avx512": "not compiled"}) == ("avx2", "the fastest that fits; avx512: not compiled")
    assert choose("amx", ALL, {"amx": "the system does not let"}) == ("", "amx: the system does not let")


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
@pytest.mark.parametrize("wanted", ["", "1", "portable", "bf16"])
def test_systems_without_kernels_say_so_whatever_is_asked_for(choose, monkeypatch, system, wanted):
    choose("0", ALL)  # sets up a machine with every feature and library, of Linux
    monkeypatch.setattr(dispatch.platform, "system", lambda: system)
    assert dispatch._choose.__wrapped__(wanted) == ("", "MindSpore has operators of one's own on Linux only")


def test_off_asks_for_none_and_other_words_are_refused(choose):
    assert choose("0", ALL) == ("", "turned off by MINDCLF_KERNELS=0")
    words = "0, 1, bf16, amx, avx512_bf16, avx512, avx2, neon, portable"
    with pytest.raises(ValueError, match=f"MINDCLF_KERNELS='sse' is not known; expected one of {words}"):
        choose("sse", ALL)


def test_variants_are_listed_from_the_fastest_and_each_runs_where_the_one_before_runs(monkeypatch):
    monkeypatch.setattr(variants.platform, "machine", lambda: "x86_64")
    needed = [variants.features(variant) for variant in variants.compilable()]
    assert all(less < more for more, less in zip(needed, needed[1:])) and needed[-1] == set()
    assert {*variants.BFLOAT16, *variants.FLOAT32} == set(variants.VARIANTS) and "avx512_bf16" not in variants.FLOAT32


@pytest.mark.parametrize(("features", "variant"), [
    (ALL, "amx"), (ALL - {"amx_bf16"}, "avx512_bf16"), (variants.features("avx512"), ""),
], ids=["Intel with AMX", "AMD Zen 4", "AVX-512 alone"])
def test_bf16_asks_for_the_fastest_variant_in_bfloat16(choose, features, variant):
    assert choose("bf16", features)[0] == variant


@pytest.mark.parametrize(("machine", "cpuinfo", "found"), [
    ("x86_64", "flags\t\t: fpu avx2 fma\nflags\t\t: fpu", {"fpu", "avx2", "fma"}), ("x86_64", "model name: x", set()),
    ("aarch64", "BogoMIPS : 100\nFeatures\t: fp asimd fphp\nFeatures : fp", {"fp", "asimd", "fphp"}),
    ("aarch64", "flags : avx2", set()),
    ("riscv64", "isa : rv64\nflags : avx2", set()),
], ids=["x86-64", "no flags", "Arm", "Arm without", "another"])
def test_features_are_read_from_the_first_processor(tmp_path, monkeypatch, machine, cpuinfo, found):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(variants.platform, "machine", lambda: machine)
    assert variants.processor_features(tmp_path / "cpuinfo") == found
    of_x86 = [variant for variant in variants.VARIANTS if variant != "neon"]
    assert variants.compilable() == {"x86_64": of_x86, "aarch64": ["neon"]}.get(machine, ["portable"])
