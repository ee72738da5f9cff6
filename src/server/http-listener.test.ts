/** An HTTP port with a handler of a few lines: limits, failures, foreign pages, listing and draining are the server's, not the protocol's. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import type { Broker, CoreError, HttpHandler, HttpRequest } from '../broker/face.ts'
import { Connections } from './connections.ts'
import { HttpListener } from './http-listener.ts'

const errors: string[] = []
const opened: HttpListener[] = []
after(() => Promise.all(opened.map((each) => each.close(100))))

interface Setting {
  readonly connections?: Connections
  readonly connectionsMax?: number
  /** Of the listener alone. */
  readonly ownMax?: number
  readonly authenticationRequired?: boolean
  drain?(): void
}

/** Resolves to the port. */
async function serve(answer: HttpHandler['answer'], setting: Setting = {}): Promise<number> {
  const { connections = new Connections(), connectionsMax = 10, authenticationRequired = false, ownMax, drain } = setting
  const log = { debug() {}, info() {}, warn() {}, error: (_: object, message: string) => void errors.push(message) }
  // The listener uses nothing else of the broker.
  const broker = { clock: { now: () => 0 }, log, limits: { connectionsMax }, authenticationRequired } as unknown as Broker
  const handler = { answer, ...(drain === undefined ? {} : { drain }) }
  const own = ownMax === undefined ? {} : { connectionsMax: ownMax }
  const listener = new HttpListener({ broker, connections, protocol: 'test', handler, anyHost: false, tls: null, ...own })
  opened.push(listener)
  return await listener.listen('127.0.0.1', 0)
}

interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function call(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers, agent: false }, async (response) => {
      let text = ''
      for await (const chunk of response) text += String(chunk)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
    })
    request.on('error', reject)
    request.end(body)
  })
}

test('a request arrives as it was sent, and its answer as it was given', async () => {
  const port = await serve(async (request) => ({
    status: 201,
    headers: { 'content-type': 'text/plain', 'x-own': 'yes' },
    body: `${request.method} ${request.path} ${request.query} ${await request.body()} ${request.connection.remoteAddress}`,
  }))
  const answer = await call(port, '/a%2Fb/c?x=1&y=%20', { method: 'PUT', body: 'content' })
  assert.equal(answer.body, 'PUT /a%2Fb/c x=1&y=%20 content 127.0.0.1')
  assert.deepEqual([answer.status, answer.headers['x-own'], answer.headers['content-length']], [201, 'yes', '40'])
})

test('a client may keep its connection for longer than its pool does', async () => {
  const port = await serve(() => ({ status: 200, body: '' }))
  const { headers } = await call(port, '/', { headers: { connection: 'keep-alive' } })
  assert.deepEqual([headers.connection, headers['keep-alive']], ['keep-alive', 'timeout=75'])
})

test('HEAD has the length and no body', async () => {
  const port = await serve(() => ({ status: 200, body: 'twelve bytes' }))
  const answer = await call(port, '/', { method: 'HEAD' })
  assert.deepEqual([answer.status, answer.headers['content-length'], answer.body], [200, '12', ''])
})

test('a body beyond the limit is refused, whether its length is declared or not', async () => {
  const port = await serve(async (request) => ({ status: 200, body: String((await request.body(10)).length) }))
  assert.equal((await call(port, '/', { method: 'POST', body: '0123456789' })).body, '10')
  const declared = await call(port, '/', { method: 'POST', body: '0123456789a' })
  assert.deepEqual([declared.status, declared.headers.connection], [413, 'close'])
  const headers = { 'transfer-encoding': 'chunked' }
  assert.equal((await call(port, '/', { method: 'POST', body: '0123456789a', headers })).status, 413)
})

test('what a handler throws is logged and answered 500; the next request is answered', async () => {
  errors.length = 0
  const port = await serve((request) => {
    if (request.path === '/bad') throw new Error('a bug')
    return { status: 200 }
  })
  const answer = await call(port, '/bad')
  assert.deepEqual([answer.status, answer.body], [500, 'internal error\n'])
  assert.deepEqual(errors, ['an HTTP request failed'])
  assert.equal((await call(port, '/good')).status, 200)
})

test('pages of other sites are kept out until logins are required', async () => {
  const open = await serve(() => ({ status: 200 }))
  assert.equal((await call(open, '/', { headers: { host: 'evil.example' } })).status, 403)
  assert.equal((await call(open, '/', { headers: { origin: 'https://evil.example' } })).status, 403)
  assert.equal((await call(open, '/', { headers: { host: 'localhost', origin: 'http://localhost:3000' } })).status, 200)
  const closed = await serve(() => ({ status: 200 }), { authenticationRequired: true })
  assert.equal((await call(closed, '/', { headers: { host: 'broker.example' } })).status, 200)
})

test('connections are listed with who they are, and count towards the limit of all', async () => {
  const connections = new Connections()
  let listed = 0
  const answer = (request: HttpRequest) => {
    request.connection.info.user = 'ada'
    listed = connections.list().filter((each) => each.user === 'ada' && each.protocol === 'test').length
    return { status: 200 }
  }
  const port = await serve(answer, { connections, connectionsMax: 1 })
  assert.equal((await call(port, '/', { headers: { 'user-agent': 'tester/1' } })).status, 200)
  assert.equal(listed, 1)
  while (connections.size > 0) await new Promise((resolve) => setImmediate(resolve))
  const first = connect(port, '127.0.0.1')
  await once(first, 'connect')
  while (connections.size < 1) await new Promise((resolve) => setImmediate(resolve))
  await assert.rejects(call(port, '/'), { code: 'ECONNRESET' })
  const closed = once(first.resume(), 'close')
  assert.equal(connections.close(connections.list()[0]?.id ?? -1, 'test'), true)
  await closed
})

test('a client that goes aborts its request', async () => {
  const aborted = Promise.withResolvers<void>()
  const port = await serve((request) => {
    request.signal.addEventListener('abort', () => aborted.resolve())
    socket.destroy()
    return new Promise(() => undefined)
  })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await aborted.promise
})

test('a body that nobody reads ends the connection, unless the answer says how it goes on', async () => {
  const handler: HttpHandler['answer'] = async ({ path }) =>
    path === '/other' ? { status: 426, headers: { connection: 'upgrade', upgrade: 'other' } } : { status: 200 }
  const port = await serve(handler, { connections: new Connections() })
  const said = async (path: string): Promise<string | null> => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return /^connection: (.*)\r$/im.exec(answer.toString())?.[1] ?? null
  }
  assert.equal(await said('/'), 'close')
  assert.equal(await said('/other'), 'upgrade')
})

test('a body is read once: who asks again gets nothing, and need not wait', async () => {
  const port = await serve(async (request) => ({ status: 200, body: `${await request.body()}+${await request.body()}` }), {
    connections: new Connections(),
  })
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'once' })
  assert.equal(await answer.text(), 'once+')
})

test('whoever asks late whether the client has gone hears it, and a body that broke off is Unavailable', async () => {
  const connections = new Connections()
  const told = Promise.withResolvers<readonly unknown[]>()
  const port = await serve(
    async (request) => {
      const body = request.body().catch((error: CoreError) => error.code)
      socket.destroy()
      while (connections.size > 0) await new Promise((resolve) => setImmediate(resolve))
      told.resolve([await body, request.signal.aborted, await request.body().catch((error: CoreError) => error.code)])
      return { status: 200 }
    },
    { connections },
  )
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345')
  assert.deepEqual(await told.promise, ['Unavailable', true, 'Unavailable'])
})

test('closing lets a request under way finish, and ends those that only wait', async () => {
  const waiting = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  const port = await serve(
    async () => {
      arrived.resolve()
      await waiting.promise
      return { status: 200, body: 'at last' }
    },
    { drain: () => waiting.resolve() },
  )
  const answer = call(port, '/')
  await arrived.promise
  await opened.at(-1)?.close(10_000)
  assert.equal((await answer).body, 'at last')
})

test('an answer in pieces is sent as they come, no faster than the client reads, and ends with the client', async () => {
  const piece = 'x'.repeat(64 * 1024)
  const ended = Promise.withResolvers<void>()
  let given = 0
  async function* pieces(): AsyncGenerator<string> {
    try {
      yield 'first\n'
      while (true) {
        given++
        yield piece
        await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      ended.resolve()
    }
  }
  const port = await serve(() => ({ status: 200, body: pieces() }))
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  const [head] = await once(socket, 'data')
  assert.match(String(head), /200 OK[\s\S]*transfer-encoding: chunked/i)
  socket.pause()
  // What the kernel takes for a client that does not read is some megabytes; when that is full, no more is asked for.
  let before = -1
  while (before !== given) {
    before = given
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.ok(given * piece.length < 64 * 1024 * 1024, `${given} pieces`)
  socket.destroy()
  await ended.promise
})

test('a listener with a limit of its own is in reach when the others are full, and lists nobody', async () => {
  const connections = new Connections()
  const full = await serve(() => ({ status: 200 }), { connections, connectionsMax: 0 })
  await assert.rejects(call(full, '/'), { code: 'ECONNRESET' })
  const apart = await serve(() => ({ status: 200, body: String(connections.size) }), {
    connections,
    connectionsMax: 0,
    ownMax: 1,
  })
  assert.equal((await call(apart, '/')).body, '0')
})
