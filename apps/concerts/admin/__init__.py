"""Pages of staff that put a concert on sale: the concert, its dates, their seats."""

from apps.concerts.admin.concert import ConcertAdmin
from apps.concerts.admin.hall_template import HallTemplateAdmin
from apps.concerts.admin.inventory import InventoryCategoryAdmin
from apps.concerts.admin.performance import PerformanceAdmin
from apps.concerts.admin.ranking import RankingEntryAdmin
from apps.concerts.admin.seat import SeatAdmin
