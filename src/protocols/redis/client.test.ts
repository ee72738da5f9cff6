/** What a client is sent leaves in its order, and each reply as soon as what it tells is durable. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type ClientHost } from './client.ts'
import type { Database } from './database.ts'

class Host implements ClientHost {
  readonly id = 1
  readonly remote = ''
  readonly remoteAddress = ''
  readonly local = ''
  readonly outboundBytes = 0
  sent = ''
  ended: string | null = null
  resumes = 0

  send(bytes: Buffer): void {
    this.sent += bytes.toString('latin1')
  }
  resumed(): void {
    this.resumes++
  }
  end(reason: string): void {
    this.ended = reason
  }
  selected(): void {}
  admitted(): void {}
  described(): void {}
}

function connect(): { host: Host; client: Client; reply: (text: string, changes: number) => void } {
  const host = new Host()
  const client = new Client(host, {} as Database, 0) // no command runs here
  const reply = (text: string, changes: number): void => {
    client.reply.status(text)
    client.gate(changes)
  }
  return { host, client, reply }
}

test('a reply does not wait for what was changed after it', () => {
  const { host, client, reply } = connect()
  reply('one', 1)
  client.flush(0)
  assert.ok(client.waiting)
  reply('two', 2)
  client.flush(0)
  assert.equal(host.sent, '')
  client.flush(1)
  assert.equal(host.sent, '+one\r\n')
  reply('three', 3)
  client.flush(3)
  assert.equal(host.sent, '+one\r\n+two\r\n+three\r\n')
  assert.ok(!client.waiting)
})

test('it is ended when all that it was told has left', () => {
  const { host, client, reply } = connect()
  reply('bye', 1)
  client.closing = 'it asked for that'
  client.flush(0)
  assert.equal(host.ended, null)
  client.flush(1)
  assert.equal(host.sent, '+bye\r\n')
  assert.equal(host.ended, 'it asked for that')
})

test('a client with much that waits is behind, and hears when that has left', () => {
  const { host, client, reply } = connect()
  reply('x'.repeat(5 * 1024 * 1024), 1)
  assert.ok(!client.isBehind)
  client.flush(0)
  assert.ok(client.isBehind)
  client.flush(1)
  assert.ok(!client.isBehind)
  assert.equal(host.resumes, 1)
})
