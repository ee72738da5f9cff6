/** The socket loop with protocols of a few lines: order of bytes, congestion, detection, and that a failing session harms nobody else. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, test } from 'node:test'
import type { Broker, Connection, Protocol, Session } from '../broker/face.ts'
import { Connections } from './connections.ts'
import { Listeners } from './listeners.ts'
import { Sessions } from './sessions.ts'

const errors: string[] = []
const quiet = { debug() {}, info() {}, warn() {}, error: (_: object, message: string) => void errors.push(message) }
// The socket loop uses nothing else of the broker.
const broker = {
  clock: { now: () => 0 },
  log: quiet,
  limits: { connectionsMax: 3, outboundBytesMax: 100_000 },
} as unknown as Broker
const connections = new Connections()
const sessions = new Sessions(broker, connections)
const listeners = new Listeners(broker, connections, sessions)
const sockets: Socket[] = []

after(async () => {
  for (const socket of sockets) socket.destroy()
  await Promise.all([listeners.close(100), sessions.close(100)])
})

function protocol(name: string, open: (connection: Connection) => Partial<Session>, detect?: Protocol['detect']): Protocol {
  const nothing: Session = { onBytes() {}, onWritable() {}, onTick() {}, drain() {}, onClose() {} }
  return {
    name,
    listeners: [],
    formats: [],
    ...(detect === undefined ? {} : { detect }),
    open: (connection) => ({ ...nothing, drain: () => connection.end('drained'), ...open(connection) }),
  }
}

async function client(...protocols: Protocol[]): Promise<Socket> {
  const socket = connect(await listeners.open(protocols, '127.0.0.1', 0), '127.0.0.1')
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

async function received(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= bytes) break
  }
  return Buffer.concat(chunks)
}

test('small, large and slab writes leave in the order they were made', async () => {
  const large = Buffer.alloc(70_000, 'L')
  const socket = await client(
    protocol('order', (connection) => ({
      onBytes() {
        connection.write(Buffer.from('a'))
        connection.write(large)
        const at = connection.reserve(40_000)
        connection.slab.fill('s', at, at + 40_000)
        connection.commit(40_000)
        connection.write(Buffer.from('z'))
        connection.end('done')
      },
    })),
  )
  socket.write('go')
  const expected = Buffer.concat([Buffer.from('a'), large, Buffer.alloc(40_000, 's'), Buffer.from('z')])
  assert(expected.equals(await received(socket, expected.length)))
})

test('a congested connection hears when it may go on', async () => {
  let congested = false
  const socket = await client(
    protocol('congested', (connection) => ({
      onBytes() {
        connection.write(Buffer.alloc(8_000_000))
        congested = connection.congested
      },
      onWritable() {
        assert.equal(connection.congested, false)
        connection.write(Buffer.from('!'))
      },
    })),
  )
  socket.write('go')
  const bytes = await received(socket, 8_000_001)
  assert.equal(congested, true)
  assert.equal(bytes.at(-1), '!'.charCodeAt(0))
})

test('protocols on one port are told apart by their first bytes, however they arrive', async () => {
  const seen: string[] = []
  const one = (name: string, first: string): Protocol =>
    protocol(
      name,
      (connection) => ({
        onBytes(chunk) {
          seen.push(`${name}:${chunk.toString()}`)
          connection.end('seen')
        },
      }),
      (bytes) =>
        first.startsWith(bytes.toString())
          ? bytes.length >= first.length
            ? true
            : undefined
          : bytes.toString().startsWith(first),
    )
  const socket = await client(one('a', 'AAA'), one('b', 'AAB'))
  socket.write('AA')
  await new Promise((resolve) => setImmediate(resolve))
  socket.write('Bcd')
  socket.resume()
  await once(socket, 'close')
  assert.deepEqual(seen, ['b:AABcd'])
})

test('what a session throws closes its own connection only', async () => {
  const failing = await client(
    protocol('failing', () => ({
      onBytes() {
        throw new Error('a bug')
      },
    })),
  )
  const other = await client(protocol('other', (connection) => ({ onBytes: (chunk) => connection.write(chunk) })))
  failing.write('x')
  failing.resume()
  await once(failing, 'close')
  other.write('still here')
  assert.equal((await received(other, 10)).toString(), 'still here')
  assert.deepEqual(errors, ['a session failed; its connection is closed'])
})

test('the log tells at info of connections that the broker ends, at debug of those that end as their client asked or as the broker stops', async () => {
  const told: (readonly [level: string, message: string, about: { client?: string; reason?: string }])[] = []
  const keeps = (level: string) => (about: object, message: string) => void told.push([level, message, about])
  const telling = { ...broker, log: { ...quiet, debug: keeps('debug'), info: keeps('info') } } as unknown as Broker
  const own = new Connections()
  const its = new Sessions(telling, own)
  const port = new Listeners(telling, own, its)
  const ending = protocol('ending', (connection) => ({
    onBytes(chunk) {
      connection.info.clientName = 'a client'
      connection.end(chunk.toString().trim())
    },
  }))
  const number = await port.open([ending], '127.0.0.1', 0)
  const ended = async (says: string): Promise<object> => {
    const socket = connect(number, '127.0.0.1')
    sockets.push(socket)
    socket.resume()
    if (says !== '') socket.write(says)
    else {
      while (own.size === 0) await new Promise((resolve) => setImmediate(resolve))
      void its.close(100)
    }
    while (told.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const [level, message, { client, reason }] = told.shift() as (typeof told)[number] // told.length > 0
    return { level, message, client, reason }
  }
  const client = 'a client'
  assert.deepEqual(await ended('late'), { level: 'info', message: 'connection closed by the broker', client, reason: 'late' })
  assert.deepEqual(await ended(' '), { level: 'debug', message: 'connection closed', client, reason: 'as asked' })
  const stopped = { level: 'debug', message: 'connection closed', client: undefined, reason: undefined }
  assert.deepEqual(await ended(''), stopped)
  await port.close(100)
})

test('a client that sends nothing more may still be answered where its session sees to the end, and is let go at once otherwise', async () => {
  const plain = await client(protocol('plain', (connection) => ({ onBytes: (chunk) => connection.write(chunk) })))
  const ending = await client(
    protocol('ending', (connection) => ({
      onEnd() {
        setImmediate(() => {
          connection.write(Buffer.from('farewell'))
          connection.end('')
        })
      },
    })),
  )
  plain.end('x')
  assert.equal((await received(plain, 100)).toString(), 'x')
  ending.end('x')
  assert.equal((await received(ending, 100)).toString(), 'farewell')
})

async function closeAll(): Promise<void> {
  for (const { id } of connections.list()) connections.close(id, 'test')
  while (connections.size > 0) await new Promise((resolve) => setImmediate(resolve))
}

test('connections beyond the limit are refused, and listed ones can be closed', async () => {
  await closeAll()
  const echo = protocol('echo', () => ({}))
  const kept = await Promise.all([client(echo), client(echo), client(echo)])
  while (connections.size < 3) await new Promise((resolve) => setImmediate(resolve))
  const refused = await client(echo)
  await once(refused.resume(), 'close')
  assert.equal(connections.list().length, 3)
  assert.equal(connections.close(connections.list()[0]?.id ?? -1, 'test'), true)
  await Promise.race(kept.map((socket) => once(socket.resume(), 'close')))
  assert.equal(connections.close(999_999, 'test'), false)
})

test('what a client sends while its protocol is still being loaded waits, and a failure to load closes it alone', async () => {
  await closeAll()
  const loaded = Promise.withResolvers<void>()
  const said: string[] = []
  const slow: Protocol = {
    name: 'slow',
    listeners: [],
    formats: [],
    open: async (connection) => {
      await loaded.promise
      return {
        onBytes: (chunk) => {
          said.push(String(chunk))
          connection.write(Buffer.from('heard'))
        },
        onWritable() {},
        onTick() {},
        drain: () => connection.end('drained'),
        onClose: (cause) => said.push(`closed by ${cause}`),
      }
    },
  }
  const socket = await client(slow)
  const gone = await client(slow)
  socket.write('early')
  gone.destroy()
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(said, [])
  loaded.resolve()
  assert.equal(String(await received(socket, 5)), 'heard')
  while (said.length < 2) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(said.sort(), ['closed by peer', 'early'])

  const broken = await client({ name: 'broken', listeners: [], formats: [], open: () => Promise.reject(new Error('no module')) })
  broken.resume()
  await once(broken, 'close')
})
