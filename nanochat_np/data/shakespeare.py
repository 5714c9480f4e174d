"""The tiny Shakespeare text, downloaded once and verified whenever it is read."""

import hashlib
import os
import tempfile
from pathlib import Path

from nanochat_np.errors import DataError

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TIMEOUT_SECONDS = 30.0


def shakespeare(url: str = URL, sha256: str = SHA256) -> str:
    """The text (1,115,394 ASCII characters) from the cache folder, fetched into it first if it is not there.

    Raises DataError if it cannot be fetched or cached, or is not the text of digest ``sha256``; nothing is left
    behind then.
    """
    path = cache_folder() / "tinyshakespeare.txt"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = _download(url, sha256, path)
        _write_whole(path, data)
    except OSError as error:
        raise _unusable(path, error) from None
    else:
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{path}: is damaged or another text: delete it to fetch it again, or use --data pydocs")
    return data.decode()


def cache_folder() -> Path:
    """$NANOCHAT_NP_DATA, or else nanochat_np/data in the user's cache folder ($XDG_CACHE_HOME or ~/.cache)."""
    chosen = os.environ.get("NANOCHAT_NP_DATA")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "nanochat_np", "data")


def _download(url: str, sha256: str, path: Path) -> bytes:
    # Imported here: they cost every start of the program 30 ms, and most never download.
    import http.client
    import urllib.error
    import urllib.request

    instead = f"place the file at {path}, or use --data pydocs"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            data: bytes = response.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{url}: the server answered {error.code} {error.reason}: {instead}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataError(f"{url}: cannot be fetched: {reason}: {instead}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"{url}: what came ({len(data)} bytes) is not the expected text (sha256 differs): {instead}")
    return data


def _write_whole(path: Path, data: bytes) -> None:
    """Write beside and rename: a reader, or a second process doing the same, sees all of the file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            whole = Path(folder, path.name)
            with open(whole, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(whole, path)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be cached there: {error.strerror}: set NANOCHAT_NP_DATA to a folder of yours, "
        f"or use --data pydocs"
    )
