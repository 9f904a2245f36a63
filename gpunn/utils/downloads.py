"""get_file: a file of the net, kept in a folder of the user's."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from typing import Any

from gpunn.utils.files import replacing
from gpunn.utils.messages import tell
from gpunn.utils.progbar import Progbar

_CHUNK = 1 << 16


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of the file at the URL `origin`, downloaded if it is not there yet.

    It lies in `cache_dir` (``$KERAS_HOME``, else ``~/.keras``) / `cache_subdir` / `fname`. It is
    complete or not there, and has the given hash, sha256 (64 digits) or md5, or an error is raised.
    `extract`: unpack the archive, "tar" or "zip", and return the folder; archives with paths that
    lead out of it are refused.

    >>> gpunn.utils.get_file(origin="https://example.org/data.csv", file_hash="9f86d081...")
    """
    if origin is None:
        raise ValueError("get_file: origin, the URL of the file, is missing.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    hasher = _hasher(hash_algorithm, file_hash)
    name = _file_name(fname, origin)
    home = cache_dir or os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    folder = os.path.join(os.path.expanduser(home), cache_subdir)
    os.makedirs(folder, exist_ok=True)
    unpacks = extract or untar
    stem = name.split(".", 1)[0]
    if unpacks and fname and stem != name:
        target, unpacked = os.path.join(folder, name), os.path.join(folder, f"{stem}_extracted")
    else:
        unpacked = os.path.join(folder, name)
        target = f"{unpacked}_archive" if unpacks else unpacked
    if force_download or not _is_there(target, hasher, file_hash):
        _download(origin, target, hasher, file_hash)
    if not unpacks:
        return target
    _extract(target, unpacked, "tar" if untar else archive_format)
    return unpacked


def _file_name(fname: Any, origin: str) -> str:
    from urllib.parse import urlsplit

    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name:
        raise ValueError(f"get_file: {origin} has no file name. Give fname.")
    if os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(
            f"get_file: fname must be the name of a file without folders, received {name!r}. Give "
            f"the folder as cache_dir."
        )
    return name


# --- hashes ---


def _hasher(algorithm: str, file_hash: str | None) -> str:
    if algorithm not in ("auto", "md5", "sha256"):
        raise ValueError(
            f"get_file: hash_algorithm must be 'auto', 'md5' or 'sha256', received {algorithm!r}."
        )
    if algorithm != "auto":
        return algorithm
    return "sha256" if file_hash is None or len(file_hash) == 64 else "md5"


def _digest(path: str, hasher: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, hasher).hexdigest()


def _is_there(path: str, hasher: str, file_hash: str | None) -> bool:
    if not os.path.exists(path):
        return False
    if file_hash is None or _digest(path, hasher) == file_hash.lower():
        return True
    tell(f"{path} is there, but has another {hasher} hash: it is downloaded again.")
    return False


# --- download ---


def _download(origin: str, target: str, hasher: str, file_hash: str | None) -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    tell(f"Downloading data from {origin}")
    digest = hashlib.new(hasher, usedforsecurity=False)
    try:
        with urlopen(origin) as source, replacing(target) as file:
            size = source.headers.get("Content-Length")
            bar = Progbar(int(size) if size else None, unit_name="byte")
            while chunk := source.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.add(len(chunk))
            if size and file.tell() != int(size):
                raise OSError(f"get_file: {origin} ended after {file.tell()} of {size} bytes.")
            if file_hash is not None and digest.hexdigest() != file_hash.lower():
                raise ValueError(
                    f"get_file: the {hasher} hash of {origin} is {digest.hexdigest()}, not "
                    f"{file_hash}. The file was dropped: it is damaged, or another one."
                )
    except URLError as error:
        raise OSError(f"get_file: {origin} cannot be fetched: {error}.") from error


# --- archives ---


def _extract(archive: str, target: str, archive_format: Any) -> None:
    """Unpack an archive into a new folder that takes the place of `target` when it is complete."""
    formats = ("tar", "zip") if archive_format == "auto" else archive_format
    formats = (formats,) if isinstance(formats, str) else tuple(formats or ())
    if unknown := set(formats) - {"tar", "zip"}:
        raise ValueError(f"get_file: archive_format knows 'tar' and 'zip', received {unknown}.")
    aside = tempfile.mkdtemp(prefix=".extracting-", dir=os.path.dirname(target))
    try:
        if "tar" in formats and tarfile.is_tarfile(archive):
            _extract_tar(archive, aside)
        elif "zip" in formats and zipfile.is_zipfile(archive):
            _extract_zip(archive, aside)
        else:
            raise ValueError(
                f"get_file: {archive} is no archive of the format {' or '.join(formats)}."
            )
        if os.path.isdir(target):
            shutil.rmtree(target)
        os.replace(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract_tar(archive: str, folder: str) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise RuntimeError("get_file: extracting tar archives safely needs Python 3.11.4 or later.")
    with tarfile.open(archive) as file:
        try:
            file.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(f"get_file: {archive} is not safe to extract: {error}.") from error


def _extract_zip(archive: str, folder: str) -> None:
    root = os.path.realpath(folder)
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            inside = os.path.realpath(os.path.join(root, name))
            if os.path.commonpath([root, inside]) != root:
                raise ValueError(
                    f"get_file: {archive} is not safe to extract: {name!r} leads out of its folder."
                )
        file.extractall(folder)
