"""The official Python facilitator, PyPI's x402 with its exact scheme on EVM, over HTTP: both protocol versions.

Started by stack/python-facilitator.mjs, with its settings in the environment. What it says is the package's own; this file
only carries it, in the statuses and shapes of the reference facilitator.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact import register_exact_evm_facilitator
from x402.schemas.helpers import parse_payment_payload, parse_payment_requirements

facilitator = x402FacilitatorSync()
register_exact_evm_facilitator(
    facilitator,
    FacilitatorWeb3Signer(
        private_key=os.environ["FACILITATOR_KEY"],
        rpc_url=os.environ["FACILITATOR_RPC"],
        confirmation_timeout_seconds=float(os.environ.get("FACILITATOR_CONFIRMATION_SECONDS", "30")),
    ),
    networks=os.environ["FACILITATOR_NETWORK"],
    simulate_in_settle=os.environ.get("FACILITATOR_SIMULATES") == "1",
)


def as_json(answer):
    return answer.model_dump(by_alias=True, exclude_none=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/supported":
            self.send(200, as_json(facilitator.get_supported()))
        else:
            self.send(404, {"error": "not_found"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path not in ("/verify", "/settle"):
            return self.send(404, {"error": "not_found"})
        try:
            request = json.loads(body)
            payload = parse_payment_payload(request["paymentPayload"])
            requirements = parse_payment_requirements(
                payload.x402_version, request["paymentRequirements"]
            )
        except Exception as error:
            return self.send(400, self.no("invalid_payload", error))
        try:
            decide = facilitator.verify if self.path == "/verify" else facilitator.settle
            self.send(200, as_json(decide(payload, requirements)))
        except Exception as error:
            self.send(500, self.no("unexpected_error", error))

    def no(self, reason, error):
        if self.path == "/verify":
            return {"isValid": False, "invalidReason": reason, "invalidMessage": str(error)}
        return {
            "success": False,
            "errorReason": reason,
            "errorMessage": str(error),
            "transaction": "",
            "network": "",
        }

    def send(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(os.environ.get("FACILITATOR_PORT", "0"))), Handler)
    print(f"facilitator ready on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
