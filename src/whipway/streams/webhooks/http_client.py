"""The HTTP client of this server's own calls: webhooks, callbacks.

It tells nobody more than it must, and takes from nobody more than an answer.
"""

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

MAX_CONNECTIONS = 100
STEP_TIMEOUT = 2.0
"""Seconds for each step of a call; callers bound the whole of it."""


def make_http_client(max_connections: int = MAX_CONNECTIONS) -> httpx.AsyncClient:
    """A client that several callers may share; to be closed by whoever made it."""
    # Certificate authorities that the machine trusts, and those that come with httpx: either may be missing.
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return httpx.AsyncClient(
        verify=context,
        # No proxy from the environment: it would see the tokens.
        trust_env=False,
        # No connection is kept: answers are not read to their end, so that none could be used again.
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=0),
        timeout=STEP_TIMEOUT,
        follow_redirects=False,
        # No cookies: what one call brought is not for the next one.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )
