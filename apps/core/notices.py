"""Hold what staff tell customers: a text in English, in Korean, or in both."""

from typing import NamedTuple

NOTICE_MAX = 500  # characters in one language


class NoticeText(NamedTuple):
    """A text by language. One of the two may be empty: then all read the other one."""

    en: str = ""
    ko: str = ""

    def in_language(self, language: str | None) -> str:
        """Return the text for readers of a language, in the other one where theirs is missing."""
        own = self.ko if language == "ko" else self.en
        return own or self.en or self.ko
