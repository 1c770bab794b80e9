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
    with Receiver(os.environ["WEBHOOK_SECRET"], host="0.0.0.0", port=port, tell=print) as receiver:  # noqa: S104 - in its container
        print(f"listening on {receiver.url}", flush=True)
        receiver.join()


if __name__ == "__main__":
    main()
