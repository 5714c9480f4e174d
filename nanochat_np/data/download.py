"""Downloading shards, several at a time."""

import re
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import filelock

from nanochat_np.data.fetch import PART, Patience, fetch
from nanochat_np.data.hosted import HOSTED
from nanochat_np.data.parquet import ParquetFile, require_pyarrow
from nanochat_np.data.split import read_split, write_split
from nanochat_np.errors import ConfigError, DataError

LOCK = ".download.lock"
_NUMBER = re.compile(r"%(0\d)?d")


@dataclass(frozen=True)
class Plan:
    """What to download: addresses by file name; and the name of the shard for validation, if they are shards."""

    addresses: dict[str, str]
    validation: str | None


def plan(source: str, shards: int) -> Plan:
    """What to fetch for ``shards`` training shards of ``source``, and the one for validation.

    ``source`` is one of HOSTED; or an address with ``%05d`` (or ``%d``) in it, in whose place stands the number of a
    shard: then shard 0 is for validation, so that it stays the same however many are fetched; or that of a single file.
    Raises ConfigError for anything else, and for more shards than there are.
    """
    if hosted := HOSTED.get(source):
        if shards >= hosted.shards:
            raise ConfigError(f"--shards {shards}: {source} has {hosted.shards - 1} to train on")
        return _numbered(hosted.url, [hosted.validation, *range(shards)])
    parts = urllib.parse.urlsplit(source)
    name = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not parts.netloc or name in ("", ".", ".."):
        raise ConfigError(
            f"--data {source}: expected {', '.join(HOSTED)} or the address, http:// or https://, of a file, in whose "
            f"name %05d may stand for the number of a shard"
        )
    if _NUMBER.search(name):
        return _numbered(source, range(shards + 1))
    return Plan({name: source}, validation=None)


def _numbered(url: str, numbers: Iterable[int]) -> Plan:
    """The shards of these numbers, the first of which is for validation."""
    parts = urllib.parse.urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    names = [_named(name, number) for number in numbers]
    return Plan({name: parts._replace(path=f"{folder}/{name}").geturl() for name in names}, validation=names[0])


def _named(name: str, number: int) -> str:
    return _NUMBER.sub(lambda place: place[0] % number, name)


def download(
    wanted: Plan, folder: Path, workers: int, patience: Patience, done: Callable[[int], object] = lambda n: None
) -> int:
    """Download into ``folder`` what is not there yet, ``workers`` files at a time; returns how many those were.

    ``done`` is called with how many files are there, whenever there is one more. What is there already stays if it can
    be read. Which shard is for validation is settled in the folder before anything is fetched.
    Raises ConfigError for a folder that is in use or whose validation shard is another one, and what `fetch` raises.
    """
    if any(_is_parquet(name) for name in wanted.addresses):
        require_pyarrow()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / LOCK, blocking=False):
            _settle_split(folder, wanted.validation)
            missing = [name for name in wanted.addresses if not _is_there(folder / name)]
            present = len(wanted.addresses) - len(missing)
            done(present)
            for number, _ in enumerate(_fetched(wanted, missing, folder, workers, patience), start=present + 1):
                done(number)
    except filelock.Timeout:
        raise ConfigError(f"--out {folder}: another process is downloading there: wait for it") from None
    return len(missing)


def _fetched(wanted: Plan, names: Sequence[str], folder: Path, workers: int, patience: Patience) -> Iterator[None]:
    """Fetch these files, yielding after each.  The first that fails stops the others."""
    stop = threading.Event()
    with ThreadPoolExecutor(workers, thread_name_prefix="download") as pool:
        futures = [pool.submit(fetch, wanted.addresses[name], folder / name, _check, patience, stop) for name in names]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _settle_split(folder: Path, validation: str | None) -> None:
    settled = read_split(folder)
    if settled not in (None, validation):
        raise ConfigError(f"--out {folder}: holds other data, with {settled} for validation: choose another folder")
    if validation and not settled:
        write_split(folder, validation)


def _is_there(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        _check(path)
    except DataError:
        return False
    return True


def _check(path: Path) -> None:
    """Raise DataError for a parquet file whose footer cannot be read."""
    if _is_parquet(path.name.removesuffix(PART)):
        ParquetFile(path, path.name).check()


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")
