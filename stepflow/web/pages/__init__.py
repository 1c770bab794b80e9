"""
The dashboard: what runs, what waits and what failed, and the buttons that mend it.

Pages are made on the server from what a client reads; nothing lives here. Every button asks for an
operation of the API, under the same rights.
"""

from stepflow.web.pages.site import routes_of

__all__ = ["routes_of"]
