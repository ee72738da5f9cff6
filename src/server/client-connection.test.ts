/** What waits for a slow peer is handed to its carrier bit by bit, so that what the peer takes shows at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientConnection } from './client-connection.ts'
import type { Transport } from './transport.ts'

const kib = 1024

/** Takes nothing until it is told to. */
class Carrier implements Transport {
  readonly isWebSocket = false
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly localAddress = ''
  readonly localPort = 0
  readonly bytesRead = 0
  readonly bytesWritten = 0
  bufferedBytes = 0
  closed = false
  ended = false
  sent: Uint8Array[] = []
  whenSent: (() => void)[] = []
  onDrain: () => void = () => {}

  send(pieces: readonly Uint8Array[], sent: (() => void) | null): void {
    for (const piece of pieces) this.bufferedBytes += piece.length
    this.sent.push(...pieces)
    if (sent !== null) this.whenSent.push(sent)
  }

  drain(): void {
    this.bufferedBytes = 0
    for (const sent of this.whenSent.splice(0)) sent()
    this.onDrain()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.sent)
  }

  end(): void {
    this.ended = true
  }
  pause(): void {}
  resume(): void {}
  destroy(): void {}
  tick(): void {}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function connection(): { carrier: Carrier; connection: ClientConnection } {
  const carrier = new Carrier()
  return { carrier, connection: new ClientConnection(1, carrier, null, 'test', 0, 4096 * kib) }
}

/** Small ones by the slab and large ones by reference, each of its own byte. */
function writeMany({ connection }: { connection: ClientConnection }): Buffer {
  const parts = Array.from({ length: 200 }, (_, index) => Buffer.alloc(index % 2 === 0 ? 100 : 20 * kib, index))
  for (const part of parts) connection.write(part)
  return Buffer.concat(parts)
}

test('what a slow peer has yet to take waits here, and comes in order', async () => {
  const both = connection()
  const { carrier } = both
  const all = writeMany(both)
  let isSent = false
  both.connection.whenSent(() => {
    isSent = true
  })
  await turn()
  assert(carrier.bufferedBytes < 600 * kib, `${carrier.bufferedBytes} bytes were handed on at once`)
  assert.equal(both.connection.outboundBytes, all.length)
  let waiting = all.length
  for (let count = 0; both.connection.outboundBytes > 0; count++) {
    assert(count < 10)
    assert(!isSent)
    carrier.drain()
    assert(both.connection.outboundBytes < waiting, 'what was taken does not show')
    waiting = both.connection.outboundBytes
  }
  assert(isSent)
  assert(carrier.bytes.equals(all))
})

test('what is written meanwhile comes behind what waits', async () => {
  const both = connection()
  const first = writeMany(both)
  await turn()
  const second = writeMany(both)
  await turn()
  while (both.connection.outboundBytes > 0) both.carrier.drain()
  assert(both.carrier.bytes.equals(Buffer.concat([first, second])))
})

test('who waits for what was written so far is told of that, whatever else waits by then', async () => {
  const both = connection()
  const first = writeMany(both)
  let sentAt = 0
  both.connection.whenSent(() => {
    sentAt = both.carrier.bytes.length
  })
  writeMany(both)
  await turn()
  for (let count = 0; sentAt === 0; count++) {
    assert(count < 10)
    both.carrier.drain()
  }
  assert(sentAt >= first.length)
  assert(both.connection.outboundBytes > 0, 'it was told only when nothing waited any more')
})

test('a connection that ends hands on all that waits', async () => {
  const both = connection()
  const all = writeMany(both)
  await turn()
  assert(both.carrier.bytes.length < all.length)
  both.connection.end('done')
  assert(both.carrier.ended)
  assert(both.carrier.bytes.equals(all))
})
