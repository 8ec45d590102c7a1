"""The scheduler of `celery beat`: it starts from whatever it finds in its file, and shows the watchdog that it goes on.

Celery's own keeps its schedule in a database of files that depends on the Python that wrote it, and does not start when a record of
it is damaged. All that is worth remembering is when each task ran last, so that a task of the night is made up for after a restart.
"""

import json
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from celery.beat import Scheduler

from concert_project.heartbeat import show_life

logger = structlog.get_logger(__name__)

MEMORY = timedelta(days=400)  # longer than any task waits for its next run
TICK_PATIENCE = 30.0  # seconds; a tick waits a second for the next task at most


class Ticking:
    """Tell whether beat goes on: it has looked at its schedule lately, or could not for want of a broker."""

    def __init__(self, app: Celery, *, patience: float) -> None:
        self._app = app
        self._patience = patience
        self.tick()

    def tick(self) -> None:
        self._ticked_at = time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self._ticked_at > self._patience:
            try:
                with self._app.connection_for_write() as connection:
                    _ = connection.default_channel  # opening one is a round trip
            except Exception as error:
                logger.warning("broker_unavailable", error=str(error))
                self.tick()
        return time.monotonic() - self._ticked_at <= self._patience


class FileScheduler(Scheduler):
    """Run the schedule of the settings; remember the last runs in `schedule_filename`, if that is possible."""

    def __init__(self, *args: Any, schedule_filename: str, **options: Any) -> None:
        self._path = Path(schedule_filename)
        self._ticking: Ticking | None = None
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for name, ran_at in self._read().items():
            if name in self.schedule:
                self.schedule[name].last_run_at = ran_at

    def tick(self, *args: Any, **options: Any) -> Any:
        if self._ticking is None:
            self._ticking = Ticking(self.app, patience=TICK_PATIENCE)
            show_life("beat", works=self._ticking)
        self._ticking.tick()
        return super().tick(*args, **options)

    def sync(self) -> None:
        """Write the last runs down in one step; a file that cannot be written costs no task."""
        runs = {
            name: entry.last_run_at.isoformat()
            for name, entry in self.schedule.items()
            if entry.last_run_at
        }
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        try:
            unfinished.write_text(json.dumps(runs, indent=1))
            os.replace(unfinished, self._path)
        except OSError as error:
            logger.warning("schedule_not_kept", path=str(self._path), error=str(error))

    def _read(self) -> dict[str, datetime]:
        """Return the last runs by task as far as they can be read: nothing else may keep beat from starting."""
        try:
            found = {
                name: datetime.fromisoformat(at)
                for name, at in json.loads(self._path.read_bytes()).items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("schedule_forgotten", path=str(self._path), error=str(error))
            return {}
        now = self.app.now()
        # Whatever is older is due, and arithmetic with the first years there are has its limits.
        return {
            name: at
            for name, at in found.items()
            if at.tzinfo is not None and now - MEMORY <= at <= now
        }

    @property
    def info(self) -> str:
        return f"    . last runs -> {self._path}"
