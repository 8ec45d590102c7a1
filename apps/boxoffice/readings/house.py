"""Read what is the same for all sales: deliveries, invariants, servers, and the rights of those who look at figures."""

from django.db import DatabaseError, InterfaceError

from apps.boxoffice.passes import viewers
from apps.boxoffice.rights import rights_of_accounts
from apps.core.shared_readings import Data, SharedReadings
from apps.ops.health import answering_servers
from apps.ops.metrics import backlogs
from apps.ops.monitoring import last_checks

HOUSE_SECONDS = 15.0


def read_house(_key: str, previous: Data | None) -> Data:
    """Return the figures; what the database would have to tell is as before while it is away."""
    servers = answering_servers()
    data: Data = {"deliveries": None, "viewers": {}} | (previous or {})
    data |= {"servers": servers, "invariants": last_checks()}
    if not servers["database"]:
        return data
    try:
        data["deliveries"] = {
            name: {
                "pending": backlog.pending,
                "dead": backlog.dead,
                "oldest_at": backlog.oldest_at and backlog.oldest_at.timestamp(),
                "is_unhealthy": bool(backlog.is_unhealthy),
            }
            for name, backlog in backlogs().items()
        }
        data["viewers"] = {
            str(pk): [*rights] for pk, rights in rights_of_accounts(viewers()).items()
        }
    except (DatabaseError, InterfaceError):
        data["servers"]["database"] = False
    return data


house_readings = SharedReadings("house:1", seconds=HOUSE_SECONDS, read=read_house)


def house() -> Data | None:
    """Return the last reading; None if there is none yet."""
    reading = house_readings.get()
    return reading.data if reading else None
