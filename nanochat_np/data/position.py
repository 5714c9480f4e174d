"""Where a loader stands, to be saved with a checkpoint and gone on from exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.packing import Reference
from nanochat_np.data.stream import Place
from nanochat_np.errors import CheckpointError, DataError


class _State(msgspec.Struct):
    """A position as JSON has it.  Files are named once and numbered within the state; ``waiting`` is in order."""

    rank: int
    world_size: int
    files: list[tuple[str, int]]
    place: Place
    waiting: list[Reference]


@dataclass(frozen=True)
class Position:
    """After a batch: the ``place`` of the last list of documents read, and which documents are ``waiting``, in order.

    Numbers of files are those in ``files``.
    """

    files: Sequence[DocumentFile]
    rank: int
    world_size: int
    place: Place
    waiting: tuple[Reference, ...]

    @property
    def epoch(self) -> int:
        """How often the data has been begun, from 1."""
        return self.place.epoch

    def state(self) -> dict[str, Any]:
        """Numbers, texts and lists, for JSON: some 15 bytes a waiting document."""
        used = sorted({self.place.file, *(reference.file for reference in self.waiting)})
        number = {file: i for i, file in enumerate(used)}
        state = _State(
            rank=self.rank,
            world_size=self.world_size,
            files=[(self.files[file].name, self.files[file].size) for file in used],
            place=self.place._replace(file=number[self.place.file]),
            waiting=[reference._replace(file=number[reference.file]) for reference in self.waiting],
        )
        content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
        return content

    @classmethod
    def of(cls, state: dict[str, Any], files: Sequence[DocumentFile], rank: int, world_size: int) -> "Position":
        """The position of a ``state`` in ``files``, to which others may have been added since.

        Raises CheckpointError for a state that is damaged or of another process, DataError for files that are not
        there any more or have changed.
        """
        try:
            saved = msgspec.convert(state, _State)
            number = [_number(files, name, size) for name, size in saved.files]
            place = saved.place._replace(file=number[saved.place.file])
            waiting = tuple(reference._replace(file=number[reference.file]) for reference in saved.waiting)
        except (msgspec.ValidationError, IndexError) as error:
            raise CheckpointError(f"the position in the data is damaged ({error}): use an older checkpoint") from None
        if (saved.rank, saved.world_size) != (rank, world_size):
            raise CheckpointError(
                f"the position in the data is that of process {saved.rank} of {saved.world_size}, this is {rank} of "
                f"{world_size}: go on with as many processes as before"
            )
        return cls(files, rank, world_size, place, waiting)


def _number(files: Sequence[DocumentFile], name: str, size: int) -> int:
    for number, file in enumerate(files):
        if file.name == name:
            if file.size != size:
                raise DataError(
                    f"{name}: has {file.size} bytes and had {size} when the checkpoint was written: put the old file "
                    f"back, or start a new run"
                )
            return number
    raise DataError(f"{name}: is not in the data any more: put it back, or start a new run")
