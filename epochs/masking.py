"""Masks secrets in messages: no message repeats a secret that a user wrote in the wrong place."""

import re
from typing import Final

MASK: Final = "***"

_SECRETS: Final = (
    re.compile(r"://[^/\s:@]*:(?P<secret>\S*)@"),
    re.compile(r"://(?P<secret>(?!USER@)[^/\s:@]+)@"),  # a token may stand there; `USER` is our own advice
    re.compile(r"[^\s:/@'\"]+:(?P<secret>(?![/\s])(?:(?!://)\S)*)@"),  # without a scheme
    re.compile(
        r"(?<![\w.-])[\w.-]*(?:passw|passphrase|pwd|secret|token|api_?key|access_?key|credential|signature)[\w.-]*"
        r"(?:['\"]?\s*=\s*|['\"]?\s*:\s*(?=['\"])|:(?=\S))"
        r"(?!['\"]?(?:env:|file:|\$\{))"  # says where the secret is
        r"(?P<secret>'[^']*'|\"[^\"]*\"|[^\s&]+?(?=['\"]?:?(?:[\s&]|$)))",
        re.IGNORECASE,
    ),
)


def without_secrets(text: str) -> str:
    """The text without passwords: those in the user part of URIs, and values named as one (`password=...`).

    It masks rather too much than too little. A user name is shown only if a password follows; alone it may be a token.
    """
    said: list[str] = []
    told_to = 0
    for start, end in sorted(found.span("secret") for pattern in _SECRETS for found in pattern.finditer(text)):
        if start > told_to or not said:
            said += [text[told_to:start], MASK]
        told_to = max(told_to, end)
    return "".join([*said, text[told_to:]])
