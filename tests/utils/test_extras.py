"""Optional packages: one that is not installed is asked for, one that is broken is called so, with its own reason."""

import sys

import pytest

from mindclf.convert import convert
from mindclf.demo import server as demo
from mindclf.inference import onnx
from mindclf.train.tensorboard import check_tensorboard
from mindclf.utils.extras import require

REASONS = {  # what a broken package does when it is imported: the reason that the message ends with
    "raise ImportError('GLIBCXX_3.4.32 not found\\nmore')": "GLIBCXX_3.4.32 not found",
    "import a_package_that_it_needs": "No module named 'a_package_that_it_needs'",
    "from os import a_name_of_another_version": "cannot import name 'a_name_of_another_version' from 'os'",
    "raise OSError('libcudnn.so.9: cannot open shared object file')": "libcudnn.so.9: cannot open shared object file",
    "raise ValueError('numpy.dtype size changed')": "numpy.dtype size changed",
    "raise RuntimeError": "RuntimeError",
}
USES = {  # package: what needs it, and the beginning of its message
    "onnx": (lambda folder: onnx.require("onnx"), "ONNX files need onnx"),
    "onnxruntime": (lambda folder: onnx.open_session(folder / "net.onnx"), "ONNX files need onnxruntime"),
    "torch": (lambda folder: convert(folder / "net.pth", net="resnet18"), "{folder}/net.pth: .pth files are read with PyTorch"),
    "h5py": (lambda folder: convert(folder / "net.h5", net="resnet50"), "{folder}/net.h5: .h5 files are read with h5py"),
    "tensorboard": (lambda folder: check_tensorboard(), "tensorboard=true needs TensorBoard"),
    "gradio": (lambda folder: demo.serve("net.ckpt"), "the page is made with Gradio"),
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(package, code): what Python then imports under that name."""
    for name in (*demo.OFFLINE, *demo.CERTIFICATES, "GRADIO_TEMP_DIR"):  # which serve sets
        monkeypatch.setenv(name, "")

    def make(package, code):
        for module in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        (tmp_path / "site" / package).mkdir(parents=True)
        (tmp_path / "site" / package / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path / "site")
    return make


@pytest.mark.parametrize("package", USES)
def test_a_package_that_is_broken_is_not_called_missing(tmp_path, install, package):
    use, purpose = USES[package]
    install(package, "raise ImportError('its own reason')")
    with pytest.raises(ValueError) as raised:
        use(tmp_path)
    assert str(raised.value) == (f"{purpose.format(folder=tmp_path)}, and {package} is installed but cannot be imported: "
                                 f"its own reason")


@pytest.mark.parametrize("code", REASONS)
def test_the_reason_of_a_broken_package_is_its_own(install, code):
    install("a_broken_package", code)
    with pytest.raises(ValueError) as raised:
        require("a_broken_package.part", "This needs it", "pip install it")
    beginning = "This needs it, and a_broken_package is installed but cannot be imported: "
    assert str(raised.value).startswith(beginning + REASONS[code]) and "\n" not in str(raised.value)


def test_a_package_that_is_missing_is_asked_for():
    for module in ("no_such_package", "no_such_package.part"):
        with pytest.raises(ValueError, match=r"^This needs it: pip install it$"):
            require(module, "This needs it", "pip install it")


def test_a_package_without_the_module_is_not_called_missing(install):
    install("an_old_package", "")
    with pytest.raises(ValueError, match="is installed but cannot be imported: No module named 'an_old_package.part'"):
        require("an_old_package.part", "This needs it", "pip install it")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "http", "nonsense"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
def test_a_proxy_does_not_matter_to_the_page(monkeypatch, scheme, variable):
    """Gradio makes such clients when it is imported, and later; without NO_PROXY some of these addresses are errors."""
    httpx = pytest.importorskip("httpx", reason="needs httpx, which comes with Gradio")
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:9")
    for name in (*demo.OFFLINE, *demo.CERTIFICATES):  # which are set and removed here, and put back at the end
        monkeypatch.setenv(name, "")
    demo.stay_offline()
    with httpx.Client() as client:
        assert not any(client._mounts.values())


@pytest.mark.parametrize("variable", demo.CERTIFICATES)
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_do_not_matter_to_the_page(monkeypatch, tmp_path, variable, content):
    httpx = pytest.importorskip("httpx", reason="needs httpx, which comes with Gradio")
    if content is not None:
        (tmp_path / "file.pem").write_bytes(content)
    for name in demo.OFFLINE:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(variable, str(tmp_path / "file.pem"))
    if variable == "SSL_CERT_FILE":
        with pytest.raises(OSError):
            httpx.Client()
    demo.stay_offline()
    httpx.Client().close()
