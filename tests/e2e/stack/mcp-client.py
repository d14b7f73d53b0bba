"""Pays for one tool with PyPI's x402 and mcp: `mcp-client.py URL TOOL ARGUMENTS`, the wallet's key in PRIVATE_KEY."""

import asyncio
import json
import os
import sys
from types import SimpleNamespace

from eth_account import Account
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from x402 import x402Client
from x402.mcp import x402MCPClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.register import register_exact_evm_client


class Session:
    """x402.mcp 2.25 asks with one table, and reads the names that mcp has had before its version 2: this is in between."""

    def __init__(self, session):
        self.session = session

    async def call_tool(self, params, read_timeout_seconds):
        result = await self.session.call_tool(
            params["name"], params["arguments"], read_timeout_seconds.total_seconds(), meta=params.get("_meta")
        )
        wire = result.model_dump(mode="json", by_alias=True)
        return SimpleNamespace(
            content=wire["content"],
            isError=wire["isError"],
            structuredContent=wire.get("structuredContent"),
            _meta=wire.get("_meta") or {},
        )


async def main(url, tool, arguments):
    payer = x402Client()
    register_exact_evm_client(payer, EthAccountSigner(Account.from_key(os.environ["PRIVATE_KEY"])))
    async with streamable_http_client(url) as streams, ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        result = await x402MCPClient(Session(session), payer).call_tool(tool, arguments)
        receipt = result.payment_response
        print(json.dumps({
            "tools": tools,
            "paid": result.payment_made,
            "error": result.is_error,
            "content": result.content,
            "receipt": receipt and receipt.model_dump(mode="json", by_alias=True),
        }))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
