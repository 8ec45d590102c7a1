"""The models of this app. They stand in `base`, because the pages of every domain ask for jobs."""

from apps.boxoffice.base.jobs.models import StaffJob, StaffJobRow

__all__ = ["StaffJob", "StaffJobRow"]
