"""Pages of staff about what belongs to no domain: jobs of staff, events and their deliveries, technical records."""

from apps.boxoffice.admin.deliveries import DeliveryReplayAdmin, EventDeliveryAdmin, ReceiverAdmin
from apps.boxoffice.admin.events import OutboxEventAdmin
from apps.boxoffice.admin.jobs import StaffJobAdmin, StaffJobRowAdmin
from apps.boxoffice.admin.operations import IdempotencyRecordAdmin, JobProgressAdmin
