"""Pays for one request with the official Python client, x402 on httpx.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt
    PRIVATE_KEY=0x… .venv/bin/python pay.py https://host/path

MAX_PRICE is the most that one payment may be, "$0.10" if it is not set. The answer
goes to stdout, the receipt to stderr.
"""

import asyncio
import os
import sys
import uuid

import httpx
from eth_account import Account
from x402 import x402Client
from x402.http import decode_payment_response_header
from x402.http.clients import x402_httpx_transport
from x402.mechanisms.evm.exact import register_exact_evm_client

TRIES = 12


class PatientTransport(httpx.AsyncHTTPTransport):
    """Sends one payment again while its outcome is unknown.

    The client signs anew for every call, and a second signature could pay twice.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "payment-signature" not in request.headers:
            return await super().handle_async_request(request)
        for _ in range(TRIES):
            wait = "2"
            try:
                response = await super().handle_async_request(request)
                # An answer that breaks off in its middle is a lost one.
                await response.aread()
                if (
                    response.status_code != 503
                    and "retry-after" not in response.headers
                ):
                    return response
                wait = response.headers.get("retry-after", wait)
            except httpx.TransportError:
                pass
            print("asking again with the same payment", file=sys.stderr)
            await asyncio.sleep(min(int(wait) if wait.isdigit() else 5, 60))
        raise RuntimeError(
            "the outcome is unknown, and the money may have moved: do not sign again"
        )


class PaymentIdentifier:
    """Who shows the identifier gets an answer again that was lost on its way."""

    key = "payment-identifier"

    def enrich_payment_payload(self, payment, required):
        declared = (required.extensions or {}).get(self.key)
        if not declared:
            return payment
        named = {
            **declared,
            "info": {**declared["info"], "id": f"pay_{uuid.uuid4().hex}"},
        }
        return payment.model_copy(
            update={"extensions": {**payment.extensions, self.key: named}}
        )


async def main(url: str) -> int:
    key = os.environ.get("PRIVATE_KEY")
    if not key:
        print(
            "no PRIVATE_KEY in the environment. "
            "Make one: export PRIVATE_KEY=0x$(openssl rand -hex 32)",
            file=sys.stderr,
        )
        return 2
    client = x402Client()
    register_exact_evm_client(client, Account.from_key(key))
    # Without this line the client's own limit is $1.
    client.set_spend_controls(
        {"max_amount_per_payment": os.environ.get("MAX_PRICE", "$0.10")}
    )
    client.register_extension(PaymentIdentifier())

    transport = x402_httpx_transport(client, PatientTransport())
    async with httpx.AsyncClient(transport=transport, timeout=120) as http:
        response = await http.get(url)
    receipt = response.headers.get("payment-response")
    if receipt:
        settled = decode_payment_response_header(receipt)
        print(f"receipt  {settled.model_dump_json(exclude_none=True)}", file=sys.stderr)
    if response.status_code >= 400:
        print(f"{response.status_code}: {response.text}", file=sys.stderr)
        return 1
    print(response.text)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(asyncio.run(main(sys.argv[1])))
    except Exception as error:  # noqa: BLE001
        sys.exit(f"{type(error).__name__}: {error}")
