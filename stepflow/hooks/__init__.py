"""
One delivery of one webhook.

What is sent, where it may go, what the answer means, and when to try again. The law of this
package: it remembers no run and knows no Redis, and no secret leaves it except as a signature.
`deliver` and `request` alone import httpx; `late` imports the former with the first delivery.
"""

from stepflow.hooks.webhook import Webhook

__all__ = ["Webhook"]
