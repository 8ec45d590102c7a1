"""Answers what a crowd asks before Django does, from the same services and in the same bytes.

Under an on-sale nearly every call is one of eight: join, ask for the place, leave, the board, the seat map, the availability, a hold
and a payment; and the poll of the waiting page. Django's middleware and DRF cost several times what these calls do. So they are
answered here when they are *usual* and go well. Everything else is Django's: another method, an unknown host, a header that would
change the answer, nearly every refusal, every error. There is one implementation of each rule (the services), one of each error
document (Django's), and the headers that do not change are learned from Django's own answers.
"""
