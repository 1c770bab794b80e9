"""
One delivery of one webhook.

What is sent, where it may go, what the answer means, when to try again.

The room's law: nothing here remembers a run or knows Redis, and no secret leaves it but as a
signature. `deliver` is the one module that imports httpx, so it is imported where deliveries are
made and nowhere else.
"""

from stepflow.hooks.webhook import Webhook

__all__ = ["Webhook"]
