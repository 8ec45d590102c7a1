"""Pages of staff about what belongs to no domain: jobs of staff, events and their deliveries, technical records."""

from apps.boxoffice.admin.jobs import StaffJobAdmin, StaffJobRowAdmin
from apps.boxoffice.admin.operations import EventDeliveryAdmin, OutboxEventAdmin
