"""
One delivery of one webhook.

What is sent, where it may go, what the answer means, and when to try again. The law of this
package: it remembers no run and knows no Redis, and no secret leaves it except as a signature.
`deliver` alone imports httpx; import it only where deliveries are made.
"""

from stepflow.hooks.webhook import Webhook

__all__ = ["Webhook"]
