"""get_file from a local web server; archives that are not safe; files that replace others."""

import contextlib
import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from gpunn.utils import get_file
from gpunn.utils.files import replacing

DATA = b"0123456789" * 20_000


def tar_of(**members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return out.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A web server for files; notes what was asked for, and cuts /short off."""
    root, asked = tmp_path_factory.mktemp("served"), []
    (root / "data.bin").write_bytes(DATA)
    (root / "good.tar.gz").write_bytes(tar_of(a__b=b"inside"))
    (root / "good.zip").write_bytes(zip_of(a__b=b"inside"))
    (root / "evil.tar.gz").write_bytes(tar_of(**{"..__..__evil": b"outside"}))
    (root / "evil.zip").write_bytes(zip_of(**{"..__evil": b"outside"}))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/short":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"too short")
                return
            super().do_GET()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=root)
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", asked
    found.shutdown()
    thread.join()
    found.server_close()


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_file_is_fetched_once(server, tmp_path, capsys):
    root, asked = server
    asked.clear()
    path = get_file(origin=f"{root}/data.bin", cache_dir=tmp_path)
    assert path == str(tmp_path / "datasets" / "data.bin")
    assert Path(path).read_bytes() == DATA
    assert capsys.readouterr().out.startswith(f"Downloading data from {root}/data.bin\n200000/")
    assert get_file(origin=f"{root}/data.bin", cache_dir=tmp_path) == path
    assert asked == ["/data.bin"] and capsys.readouterr().out == ""
    get_file(origin=f"{root}/data.bin", cache_dir=tmp_path, force_download=True)
    assert len(asked) == 2


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_hashes(server, tmp_path, kind):
    root, _ = server
    good = hashlib.new(kind, DATA).hexdigest()
    options = {"origin": f"{root}/data.bin", "fname": "x", "cache_dir": tmp_path}
    path = get_file(file_hash=good.upper(), **options)
    os.truncate(path, 10)
    get_file(file_hash=good, **options)  # it has another hash, and is fetched again
    assert os.path.getsize(path) == len(DATA)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    with pytest.raises(ValueError, match=f"the {kind} hash of .* is {good}, not {wrong}"):
        get_file(file_hash=wrong, force_download=True, **options)
    assert files_below(tmp_path) == ["datasets/x"]
    with pytest.raises(ValueError, match="hash_algorithm must be"):
        get_file(file_hash=good, hash_algorithm="sha1", **options)


def test_a_download_that_fails_leaves_nothing(server, tmp_path):
    root, _ = server
    with pytest.raises(OSError, match="cannot be fetched: HTTP Error 404"):
        get_file(origin=f"{root}/nothing", cache_dir=tmp_path)
    with pytest.raises(OSError, match="ended after 9 of 1000 bytes|IncompleteRead"):
        get_file(origin=f"{root}/short", cache_dir=tmp_path)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", ["good.tar.gz", "good.zip"])
@pytest.mark.parametrize("fname", [None, "mine", "mine.arc"])
def test_archives(server, tmp_path, name, fname):
    root, _ = server
    for _ in range(2):
        folder = get_file(fname, f"{root}/{name}", extract=True, cache_dir=tmp_path)
    assert folder == str(tmp_path / "datasets" / {None: name, "mine": "mine"}.get(
        fname, "mine_extracted"))  # fmt: skip
    assert Path(folder, "a", "b").read_bytes() == b"inside"
    assert len(os.listdir(tmp_path / "datasets")) == 2  # the archive and the folder


@pytest.mark.parametrize("name", ["evil.tar.gz", "evil.zip"])
def test_archives_that_lead_out_are_refused(server, tmp_path, name):
    root, _ = server
    with pytest.raises(ValueError, match="is not safe to extract"):
        get_file(origin=f"{root}/{name}", extract=True, cache_dir=tmp_path / "c")
    assert files_below(tmp_path) == [f"c/datasets/{name}_archive"]


def test_what_is_no_archive(server, tmp_path):
    root, _ = server
    with pytest.raises(ValueError, match="is no archive of the format tar or zip"):
        get_file(origin=f"{root}/data.bin", extract=True, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="is no archive of the format tar"):
        get_file(origin=f"{root}/good.zip", untar=True, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="archive_format knows 'tar' and 'zip'"):
        get_file(origin=f"{root}/good.zip", extract=True, archive_format="rar", cache_dir=tmp_path)


@pytest.mark.parametrize("fname", ["../x", "a/b", "..", "/etc/passwd"])
def test_names_with_folders_are_refused(tmp_path, fname):
    with pytest.raises(ValueError, match="name of a file without folders"):
        get_file(fname, "http://127.0.0.1:1/x", cache_dir=tmp_path)


def test_a_missing_origin_and_name(tmp_path):
    with pytest.raises(ValueError, match="origin, the URL of the file, is missing"):
        get_file("x")
    with pytest.raises(ValueError, match="has no file name"):
        get_file(origin="http://127.0.0.1:1/", cache_dir=tmp_path)


def test_keras_home(server, tmp_path, monkeypatch):
    root, _ = server
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = get_file(origin=f"{root}/data.bin", cache_subdir="mine")
    assert path == str(tmp_path / "mine" / "data.bin")


def test_replacing_is_all_or_nothing(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with contextlib.suppress(RuntimeError), replacing(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x"]
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["x"]
