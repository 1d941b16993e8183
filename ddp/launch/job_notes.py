"""The note that a job of a sweep leaves, for the table and the exit code of the sweep.

A launcher may run jobs in other processes, so what a job has to say goes through a file.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from ddp.machine.files import atomic_file

NOTE = ".hydra/job.json"  # in the directory of the job
REFUSED = ".hydra/refused-{}.json"  # in the directory of the sweep


@dataclass(frozen=True, kw_only=True)
class JobNote:
    """One job of a sweep.

    | field       | meaning                                                             |
    |-------------|---------------------------------------------------------------------|
    | `job`       | its number                                                          |
    | `directory` | its directory, an absolute path                                     |
    | `code`      | the exit code that it would have alone; 0: it has not failed so far |
    | `reason`    | the error; None if it has not failed                                |
    | `refused`   | its directory belongs to another run                                |
    """

    job: int
    directory: str
    code: int = 0
    reason: str | None = None
    refused: bool = False

    @classmethod
    def of(cls, hydra: Any, **fields: Any) -> Self:
        """The note of the job with this configuration of Hydra."""
        return cls(job=hydra.job.num, directory=hydra.runtime.output_dir, **fields)


def write_note(note: JobNote, sweep_dir: Path) -> None:
    """Writes the note; on a full disk the job does without. A refused job leaves its directory."""
    refused = sweep_dir / REFUSED.format(note.job)
    with suppress(OSError):
        refused.unlink(missing_ok=True)  # of an earlier attempt
        with atomic_file(refused if note.refused else Path(note.directory) / NOTE) as file:
            file.write(json.dumps(asdict(note)).encode())


def read_notes(sweep_dir: Path) -> list[JobNote]:
    """The notes of a sweep. A damaged one does not count."""
    notes = []
    for path in [*sweep_dir.rglob(NOTE), *sweep_dir.glob(REFUSED.format("*"))]:
        with suppress(OSError, ValueError, TypeError):
            note = JobNote(**json.loads(path.read_text(encoding="utf-8")))
            # the sweep may have been moved
            own = {} if note.refused else {"directory": str(path.parent.parent.absolute())}
            notes.append(JobNote(**(asdict(note) | own)))
    return notes
