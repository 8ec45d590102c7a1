"""Pages of staff about money: wallets, and the ledger that explains them."""

from apps.payments.admin.ledger import LedgerEntryAdmin, LedgerTransactionAdmin
from apps.payments.admin.wallet import WalletAdmin
