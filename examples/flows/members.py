"""
The API that onboarding.yaml asks; it is no part of the workflow.

    python examples/flows/members.py
"""

from http.server import BaseHTTPRequestHandler, HTTPServer


class Members(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.headers["authorization"] == "Bearer s3cr3t-token" else 401)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"level": 3}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base calls it so
        pass


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Members) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
