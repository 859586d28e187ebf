"""Tables of scored transactions."""

from typing import Final

from ecompulse.kernels.dictionary.column import About, Column
from ecompulse.kernels.fraud.budget import ALLOW, DENY, FLAG, OVER, PASS, RULE, SUPPRESSED

_SCORED: Final = {
    "transaction_id": Column("the payment's id, or the purchase's where `--transactions=purchase`", example="pay-77"),
    "order_id": Column("order that it pays for"),
    "event_time": Column("when it happened", "UTC"),
    "visitor": Column("who it was: the user, else the device's own id", example="u-1042"),
    "amount_base": Column("what it is about; null without a rate", "base currency", example="59.9000"),
    "score": Column("probability of fraud, as the models of its time see it", "0 to 1", example="0.9312"),
    "threshold": Column("score from which a transaction was looked at on that day", "0 to 1"),
    "decision": Column(
        "`flag`, `rule` and `deny` are looked at; `suppressed`: its card or visitor had an alert that day; "
        "`over_budget`: the day's alerts were spent",
        values=(PASS, FLAG, RULE, DENY, ALLOW, SUPPRESSED, OVER),
    ),
    "model_version": Column("models and moment of learning that scored it"),
    "reasons": Column("at most three features that are furthest out: feature, its value, the usual value"),
}

RISK_SCORES: Final = About("one transaction, scored once", _SCORED)

FLAGGED_TRANSACTIONS: Final = About(
    "one transaction to look at, within `--alerts_per_day`",
    {
        **_SCORED,
        "card_id": Column("token of the card"),
        "merchant_id": Column("the merchant"),
        "rule": Column("rule of `--policy` that decided; null where the score did"),
    },
)
