"""Files of seats, CSV and XLSX: what staff export, change in a spreadsheet and import again."""

from apps.concerts.sheets.reading import (
    BYTES_MAX,
    LineError,
    Sheet,
    SheetRefused,
    read_sheet,
)
from apps.concerts.sheets.writing import write_csv, write_xlsx
