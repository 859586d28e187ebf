"""User agents: written for this shop in the form that browsers and crawlers use."""

from typing import Final

from ecompulse.simulator.draw import cumulative

_KIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SAFARI: Final = "Safari/537.36"
_APPLE: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_MOBILE: Final = "Mobile/15E148 Safari/604.1"

BROWSERS: Final = (
    (22, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/139.0.0.0 Safari/537.36"),
    (8, f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_KIT} Chrome/139.0.0.0 Safari/537.36"),
    (3, f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} Chrome/138.0.0.0 Safari/537.36"),
    (16, f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/139.0.0.0 Mobile Safari/537.36"),
    (3, f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile {_SAFARI}"),
    (18, f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} Version/18.6 {_MOBILE}"),
    (4, f"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) {_APPLE} Version/17.7 {_MOBILE}"),
    (6, f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.6 Safari/605.1.15"),
    (6, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0"),
    (2, "Mozilla/5.0 (Android 14; Mobile; rv:142.0) Gecko/142.0 Firefox/142.0"),
    (7, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0"),
    (3, "ShopApp/5.2.1 (Android 14; Pixel 8) okhttp/4.12.0"),
    (2, "ShopApp/5.2.1 (iPhone; iOS 18.6) CFNetwork/1568.300.101 Darwin/24.6.0"),
)  # fmt: skip
"""Weight and text of each browser; the shop's own apps stand last."""

FIRST_APP: Final = len(BROWSERS) - 2
"""Position from which a user agent is the shop's app, which sends times as epoch milliseconds."""

BROWSER_WEIGHTS: Final = cumulative([weight for weight, _ in BROWSERS])

CRAWLERS: Final = (
    (40, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    (20, "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    (15, "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    (10, "python-requests/2.32.4"),
    (5, "curl/8.9.1"),
    (10, f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/139.0.0.0 Safari/537.36"),
)
"""Weight and text of each crawler."""

CRAWLER_WEIGHTS: Final = cumulative([weight for weight, _ in CRAWLERS])
