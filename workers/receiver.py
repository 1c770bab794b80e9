"""
A webhook receiver for trying things out: prints what arrives signed, refuses the rest.

    WEBHOOK_SECRET=whsec_... python -m workers.receiver
"""

from __future__ import annotations

import os

from stepflow.cli.demo.receiver import Receiver


def main() -> None:
    """Serve until stopped."""
    port = int(os.environ.get("PORT", "8080"))
    secret, host = os.environ["WEBHOOK_SECRET"], "0.0.0.0"  # noqa: S104 - in its container
    with Receiver(secret, host=host, port=port, report=print) as receiver:
        print(f"listening on {receiver.url}", flush=True)
        receiver.join()


if __name__ == "__main__":
    main()
