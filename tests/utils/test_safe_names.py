"""Names that every system takes: what Windows refuses or reserves (Microsoft, "Naming Files, Paths, and Namespaces")."""

import doctest
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mindclf.utils import safe_names
from mindclf.utils.safe_names import LONGEST, distinct_names, numbered_name, safe_name

DEVICES = ("CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)))


@pytest.mark.parametrize("name", ["IMG_0001.JPG", "Dirty Cloth", "猫.png", "a.b.c", "no suffix", "Äpfel", "console", "null.txt"])
def test_a_name_that_every_system_takes_stays(name):
    assert safe_name(name) == name


@pytest.mark.parametrize("device", DEVICES)
def test_names_of_devices_are_changed_with_any_suffix_and_in_any_case(device):
    for name in (device, device.lower(), f"{device}.txt", f"{device}.tar.gz", f"{device} .jpg"):
        assert safe_name(name).split(".")[0].rstrip().upper() not in DEVICES
    assert safe_name(f"{device}.txt") == f"{device}_.txt"


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=20))
def test_whatever_the_name_is_every_system_takes_what_becomes_of_it(name):
    safe = safe_name(name)
    assert 0 < len(safe) <= LONGEST
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', safe) and safe[-1] not in ". " and safe[0] not in ". "
    assert safe.split(".")[0].rstrip().upper() not in DEVICES
    assert safe_name(safe) == safe and len(safe.splitlines()) == 1
    safe.encode()


def test_bytes_that_are_no_utf_8_are_changed():
    assert safe_name(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == "caf_.jpg"


def test_a_number_comes_before_the_suffix():
    assert [numbered_name("cat.jpg", number) for number in (1, 2, 10)] == ["cat.jpg", "cat-2.jpg", "cat-10.jpg"]
    assert numbered_name("no suffix", 2) == "no suffix-2" and numbered_name("v1.0 of it", 2) == "v1.0 of it-2"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=4), unique=True), st.lists(st.text(max_size=3)))
def test_names_differ_also_where_case_makes_no_difference(names, taken):
    found = distinct_names(names, taken)
    folded = [name.casefold() for name in found.values()]
    assert list(found) == names and len(set(folded)) == len(names)
    assert not set(folded) & {name.casefold() for name in taken}


def test_the_examples_of_the_documentation():
    assert doctest.testmod(safe_names).failed == 0
