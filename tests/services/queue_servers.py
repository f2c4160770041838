"""A queue on loopback that speaks Amazon SQS's JSON protocol and Cloudflare's pull API; it keeps what is not acked."""

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "a cloudflare token"


@dataclass
class QueueServer:
    """What waits, what was handed out, and how it answers; `hidden` comes back by `release`."""

    sqs_url: str = ""
    cloudflare_url: str = ""
    waiting: list[str] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200

    def send(self, document: object) -> None:
        """Put a message in."""
        self.waiting.append(document if isinstance(document, str) else json.dumps(document))

    def release(self) -> None:
        """Let the time pass after which messages that were not acknowledged are handed out again."""
        self.waiting += self.hidden.values()
        self.hidden.clear()

    def take(self, most: int) -> list[tuple[str, str]]:
        """Hand out messages with receipts."""
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        handed = [(uuid.uuid4().hex, body) for body in taken]
        self.hidden.update(handed)
        return handed

    def answer_sqs(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if action == "AmazonSQS.ReceiveMessage":
            found = self.take(asked["MaxNumberOfMessages"])
            messages = [{"MessageId": receipt[:8], "ReceiptHandle": receipt, "Body": body} for receipt, body in found]
            return {"Messages": messages} if messages else {}
        for entry in asked["Entries"]:
            self.hidden.pop(entry["ReceiptHandle"])
        return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]], "Failed": []}

    def answer_cloudflare(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if action == "ack":
            for entry in asked["acks"]:
                self.hidden.pop(entry["lease_id"])
            return {"success": True, "errors": [], "result": {"ackCount": len(asked["acks"]), "retryCount": 0}}
        messages = [
            {
                "id": lease[:8],
                "lease_id": lease,
                "body": base64.b64encode(body.encode()).decode(),
                "attempts": 1,
                "timestamp_ms": 1689615013586,
                "metadata": {"CF-Content-Type": "json"},
            }
            for lease, body in self.take(asked["batch_size"])
        ]
        return {"success": True, "errors": [], "messages": [], "result": {"messages": messages}}


@contextmanager
def queue_server() -> Iterator[QueueServer]:
    """Serve one queue, by both protocols, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.asked.append((self.path, headers, asked))
            if "x-amz-target" in headers:
                signed = headers.get("authorization", "").startswith("AWS4-HMAC-SHA256")
                self.reply(served.status if signed else 403, lambda: served.answer_sqs(headers["x-amz-target"], asked))
            else:
                allowed = headers.get("authorization") == f"Bearer {TOKEN}"
                action = self.path.rsplit("/", 1)[-1]
                self.reply(served.status if allowed else 401, lambda: served.answer_cloudflare(action, asked))

        def reply(self, status: int, answer: Any) -> None:
            body = json.dumps(
                answer() if status == 200 else {"success": False, "__type": "com.amazonaws#Fault"}
            ).encode()
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    origin = f"http://127.0.0.1:{server.server_port}"
    served = QueueServer(f"{origin}/123456789012/media", f"{origin}/client/v4/accounts/acc/queues/queue-1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
