// Origins that are MCP servers: one by the official SDK, as its users run it, and one that is told what to answer.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, isInitializeRequest, ListToolsRequestSchema, McpError } from '@modelcontextprotocol/sdk/types.js';
import { onStop } from './processes.mjs';

/** Of the tool `typed`, with a reference as zod-to-json-schema writes them. */
export const OUTPUT_SCHEMA = {
  type: 'object', additionalProperties: false, required: ['text', 'celsius'],
  properties: {
    text: { type: 'string' }, degrees: { type: 'number' },
    celsius: { type: 'object', properties: { value: { $ref: '#/properties/degrees' }, max: { $ref: '#/properties/degrees' } }, required: ['value'] },
  },
};

/**
 * An Express app with the SDK's server, sessions and all. Its tools say `celsius` when they work:
 *   search, slow, later, ping   {text}: that text again
 *   progress                    three notifications of progress and a log message, then the answer
 *   fails, fails_late           a result with isError
 *   breaks                      a JSON-RPC error
 *   typed                       {text}: an object, as its outputSchema says
 * `calls` has every HTTP request, `ran` the name and the arguments of every tool that ran. `gate` may be assigned at any
 * time: `(tool, args) => Promise | undefined`; no tool answers before it.
 * @param {{json?: boolean, events?: object}} [options] `json`: answers in plain JSON, not as streams; `events`: an event
 *   store, so that streams can be resumed
 */
export async function startMcpOrigin({ json = false, events } = {}) {
  const origin = { calls: [], ran: [], sessions: new Map(), gate: undefined };
  const app = createMcpExpressApp();
  app.all('/mcp', async (request, response) => {
    const { method, url, headers, rawHeaders, body } = request;
    origin.calls.push({ method, url, headers, rawHeaders, body });
    const session = headers['mcp-session-id'];
    let transport = origin.sessions.get(session);
    if (!transport && !session && isInitializeRequest(body)) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID, enableJsonResponse: json, eventStore: events,
        onsessioninitialized: (id) => void origin.sessions.set(id, transport),
        onsessionclosed: (id) => void origin.sessions.delete(id),
      });
      await serverOf(origin).connect(transport);
    }
    if (!transport) return void response.status(session ? 404 : 400).json({ jsonrpc: '2.0', id: null, error: { code: -32_001,
      message: 'no session' } });
    await transport.handleRequest(request, response, body);
  });
  return Object.assign(origin, await listen(app));
}

function serverOf(origin) {
  const says = (text) => ({ content: [{ type: 'text', text: `${text}: 21 celsius` }] });
  const tools = {
    ...Object.fromEntries(['search', 'slow', 'later', 'ping'].map((name) => [name, ({ text }) => says(text)])),
    fails: () => ({ isError: true, content: [{ type: 'text', text: 'no weather today' }] }),
    fails_late: () => ({ isError: true, content: [{ type: 'text', text: 'no weather today' }] }),
    breaks: () => {
      throw new McpError(-32_050, 'it broke', { why: 'nobody knows' });
    },
    typed: ({ text }) => ({ ...says(text), structuredContent: { text, celsius: { value: 21, max: 30 } } }),
    progress: async ({ text }, { sendNotification, _meta }) => {
      for (const progress of [1, 2, 3]) {
        await sendNotification({ method: 'notifications/progress', params: { progressToken: _meta?.progressToken ?? 0, progress, total: 3 } });
      }
      await sendNotification({ method: 'notifications/message', params: { level: 'info', data: 'halfway there' } });
      return says(text);
    },
  };
  const server = new Server({ name: 'the origin\'s', version: '1' }, { capabilities: { tools: {}, logging: {} } });
  const inputSchema = { type: 'object', properties: { text: { type: 'string' } } };
  const listed = (name) => ({ name, inputSchema, ...(name === 'typed' && { title: 'Typed', outputSchema: OUTPUT_SCHEMA }) });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: Object.keys(tools).map(listed) }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: args } }, extra) => {
    origin.ran.push({ name, args, meta: extra._meta });
    await origin.gate?.(name, args);
    return tools[name](args, extra);
  });
  return server;
}

/** A text as a tool's result. */
export const said = (id, text = '21 celsius', more = {}) => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }], ...more } });

/**
 * An origin without manners: whatever is sent to it is remembered, bytes and all. `answer(call, response)` may answer
 * itself, or return a message, or false for never an answer; else it is a result, for whatever id it can read.
 */
export async function startRawOrigin({ answer } = {}) {
  const origin = { calls: [], upgrades: 0, answer };
  const served = await listen(async (request, response) => {
    const { method, url, headers } = request;
    const one = { method, url, headers };
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    one.body = Buffer.concat(chunks);
    one.message = parsed(one.body.toString('utf8'));
    origin.calls.push(one);
    const own = await origin.answer?.(one, response);
    if (!response.headersSent && !response.destroyed && own !== false) sendMessage(response, own ?? said(one.message?.id ?? null));
  });
  served.server.on('upgrade', (_, socket) => {
    origin.upgrades += 1;
    socket.destroy();
  });
  return Object.assign(origin, served);
}

async function listen(handler) {
  // As http.mjs has it: an idle connection stays open, or workerd would now and then write into one that is being closed.
  const server = createServer({ keepAliveTimeout: 300_000 }, handler);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const stop = async () => {
    forget();
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  };
  const forget = onStop(stop);
  return { server, url: `http://127.0.0.1:${server.address().port}`, stop };
}

function sendMessage(response, message) {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(message));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
