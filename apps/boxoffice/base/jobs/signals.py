"""Signals that jobs of staff send after a commit."""

from dataclasses import dataclass
from uuid import UUID

from django.dispatch import Signal


@dataclass(frozen=True, slots=True)
class StaffJobStarted:
    job_id: UUID


staff_job_started = Signal()
