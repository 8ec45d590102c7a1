"""Describe to the jobs of staff what can be asked for. This module knows no model, so that models can name kinds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils.functional import Promise

if TYPE_CHECKING:
    from apps.boxoffice.base.jobs.models import StaffJob

Parameters = Mapping[str, Any]


class JobKind(ABC):
    """One kind of job. `parameters` are what a page gave to `request_job`, as JSON has them.

    `name` is stored with each job and never changes. Who has `permission` may ask for a job and approve another's.
    """

    name: ClassVar[str]
    label: ClassVar[str | Promise]
    permission: ClassVar[str]

    @abstractmethod
    def title(self, parameters: Parameters) -> str:
        """Say in a few words what the job does, in the language of the reader."""

    def with_names(self, parameters: Parameters) -> Parameters:
        """Add to the parameters what `title` calls things by, read once: a list of jobs reads nothing more for a title."""
        return parameters

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        """Return what the job will do, as labels and values."""
        return ()

    def needs_second_person(self, parameters: Parameters) -> bool:
        return True

    @abstractmethod
    def total(self, parameters: Parameters) -> int:
        """Return how many rows there are to do."""

    @abstractmethod
    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        """Return the next rows behind `after`, at most `limit`, in an order that never changes; "" stands before the first."""

    @abstractmethod
    def apply(self, subject: str, job: "StaffJob") -> str:
        """Do one row, in a transaction with its result; return what staff read of it.

        :raises DomainError: the row is refused; what it wrote is undone.
        """


class SingleStep(JobKind):
    """A job of one row, which is there for its approval; its parameters say all."""

    def total(self, parameters: Parameters) -> int:
        return 1

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        return () if after else ("1",)


KINDS: dict[str, JobKind] = {}


def register_kind(kind: JobKind) -> None:
    """Make a kind of job known; called by each app when Django starts."""
    KINDS[kind.name] = kind
