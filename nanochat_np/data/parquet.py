"""Parquet files, of one text column or of records: the only place that knows pyarrow."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nanochat_np.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

COLUMN = "text"


class ParquetFile:
    """The documents of a string column; its groups are the row groups."""

    def __init__(self, path: Path, name: str, column: str = COLUMN) -> None:
        self.path = path
        self.name = name
        self.size = path.stat().st_size
        self._column = column

    def groups(self, first: int = 0) -> Iterator[int]:
        with self._opened() as file:
            return iter(range(first, file.num_row_groups))

    def read(self, group: int) -> list[str]:
        with self._opened() as file, _damage(f"{self.path}: row group {group}"):
            column = file.read_row_group(group, columns=[self._column], use_threads=False).column(0)
            texts: list[str] = column.to_pylist()
            if len(texts) != file.metadata.row_group(group).num_rows:
                raise ValueError(f"has {len(texts)} rows of {file.metadata.row_group(group).num_rows}")
        if column.null_count:
            raise DataError(f"{self.path}: row group {group}: row {texts.index(None)} has no {self._column}")  # type: ignore[arg-type]
        return texts

    def check(self) -> None:
        """Raise DataError where the footer is damaged, the column is not there, or there are no rows."""
        with self._opened():
            pass

    @contextmanager
    def _opened(self) -> Iterator["pq.ParquetFile"]:
        parquet = require_pyarrow().parquet
        with _damage(str(self.path)):
            file = parquet.ParquetFile(self.path, page_checksum_verification=True)
        with file:
            self._check(file)
            yield file

    def _check(self, file: "pq.ParquetFile") -> None:
        if file.metadata.num_rows == 0:
            raise DataError(f"{self.path}: has no rows: remove it, or download or prepare it again")
        strings = [field.name for field in file.schema_arrow if str(field.type) in ("string", "large_string")]
        if self._column not in strings:
            raise DataError(
                f"{self.path}: has no column {self._column} of strings: it has {', '.join(strings) or 'none at all'}"
            )


def rows(path: Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Each row of a file as a dict of those of ``columns`` that the file has, by default of all.

    Raises DataError for a damaged file.
    """
    parquet = require_pyarrow().parquet
    with _damage(str(path)):
        file = parquet.ParquetFile(path, page_checksum_verification=True)
    with file, _damage(str(path)):
        present = [name for name in file.schema_arrow.names if columns is None or name in columns]
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=present, use_threads=False).to_pylist()


@contextmanager
def parquet_writer(file: BinaryIO, column: str = COLUMN) -> Iterator[Any]:
    """A function of a list of texts that writes a row group: zstd level 3, no dictionary, no statistics."""
    pa = require_pyarrow()
    schema = pa.schema([(column, pa.string())])
    with pa.parquet.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        yield lambda texts: writer.write_table(pa.table([texts], schema=schema), row_group_size=len(texts))


def require_pyarrow() -> Any:
    """The module with its part ``parquet``.  Raises DataError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            "parquet needs pyarrow, which is not installed: pip install 'nanochat-np[data]', or use text or JSONL files"
        ) from None
    return pyarrow


@contextmanager
def _damage(where: str) -> Iterator[None]:
    """Tell what pyarrow raises on a file, which is an OSError or a ValueError, as a DataError that says where."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{where}: cannot be read: {reason}: download or prepare the file again") from None
