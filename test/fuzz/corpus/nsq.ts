import assert from 'node:assert/strict'
import { NsqClient } from '../../../src/protocols/nsq/client.testing.ts'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

const saysWhy = (heardLast: Buffer): boolean => heardLast.length > 0

/** Commands with a body behind their line: its size, and so many bytes. */
function frames(stream: Buffer): Buffer[] {
  const found: Buffer[] = [stream.subarray(0, 4)]
  for (let at = 4; at < stream.length; ) {
    const lineEnd = stream.indexOf(0x0a, at) + 1 || stream.length
    const hasBody = /^(IDENTIFY|AUTH|[MD]?PUB)/.test(stream.toString('latin1', at, lineEnd)) && lineEnd + 4 <= stream.length
    const end = hasBody ? lineEnd + 4 + stream.readUInt32BE(lineEnd) : lineEnd
    found.push(stream.subarray(at, end))
    at = end
  }
  return found
}

export const nsqd: Corpus = {
  listener: 'nsqd',
  standardPort: 4150,
  frames,

  async drive(port) {
    const producer = await NsqClient.connected(port)
    await producer.identify({ client_id: 'fuzz', sample_rate: 0, output_buffer_size: -1 })
    const consumer = await NsqClient.connected(port)
    await consumer.identify({ client_id: 'fuzz', msg_timeout: 1000, heartbeat_interval: 1000 })
    await consumer.ok('SUB fuzzed fuzzed#ephemeral')
    consumer.send('RDY 10\n')
    await producer.ok('PUB fuzzed', 'one')
    await producer.ok('MPUB fuzzed', Buffer.from('\0\0\0\x02\0\0\0\x03two\0\0\0\x05three', 'latin1'))
    await producer.ok('DPUB fuzzed 1', 'later')
    for (const command of ['TOUCH', 'REQ', 'FIN', 'FIN']) {
      const { id } = await consumer.message()
      consumer.send(`${command} ${id}${command === 'REQ' ? ' 5' : ''}\n`)
    }
    for (const compression of ['snappy', 'deflate']) {
      const compressed = await NsqClient.connected(port)
      await compressed.identify({ [compression]: true })
      compressed.send(Buffer.from('\xff\x06\0\0sNaPpY\x01\x08\0\0\0\0\0\0NOP\n', 'latin1'))
      compressed.close()
    }
    consumer.send('NOP\nCLS\n')
    producer.close()
    consumer.close()
  },

  async healthy(port) {
    const producer = await NsqClient.connected(port)
    const consumer = await NsqClient.subscribed(port, 'healthy', 'c', 1)
    let beats = 0
    return {
      async beat() {
        const sent = `beat ${beats++}`
        await producer.ok('PUB healthy', sent)
        const { id, body } = await consumer.message()
        assert.equal(body, sent)
        consumer.send(`FIN ${id}\n`)
      },
      close: async () => {
        producer.close()
        consumer.close()
      },
    }
  },
}

export const nsqlookupd: Corpus = {
  listener: 'nsqlookupd',
  standardPort: 4160,
  frames,

  async drive(port) {
    const client = await NsqClient.connected(port, '  V1')
    const identity = { broadcast_address: 'fuzzed', hostname: 'fuzzed', tcp_port: 1, http_port: 2, version: '1' }
    client.send(NsqClient.frame('IDENTIFY', JSON.stringify(identity)))
    await client.plain()
    for (const line of ['PING', 'REGISTER fuzzed', 'REGISTER fuzzed c', 'UNREGISTER fuzzed c', 'UNREGISTER fuzzed']) {
      client.send(`${line}\n`)
      await client.plain()
    }
    client.close()
  },

  async healthy(port) {
    const client = await NsqClient.connected(port, '  V1')
    return {
      async beat() {
        client.send('PING\n')
        assert.equal(await client.plain(), 'OK')
      },
      close: async () => client.close(),
    }
  },
}

const requests = (listener: string, standardPort: number, asked: readonly (readonly [string, string, string?])[]): Corpus => ({
  listener,
  standardPort,
  saysWhy,
  frames: lines,

  async drive(port) {
    for (const [method, path, body] of asked) {
      const sent = body === undefined ? {} : { body }
      await (await fetch(`http://127.0.0.1:${port}${path}`, { method, ...sent })).arrayBuffer()
    }
  },

  async healthy(port) {
    return {
      async beat() {
        const response = await fetch(`http://127.0.0.1:${port}/ping`)
        assert.equal(await response.text(), 'OK')
      },
      close: async () => undefined,
    }
  },
})

export const nsqdHttp = requests('nsqd-http', 4151, [
  ['POST', '/pub?topic=fuzzed', 'x'],
  ['POST', '/pub?topic=fuzzed&defer=1', 'x'],
  ['POST', '/mpub?topic=fuzzed', 'x\ny\n'],
  ['POST', '/mpub?topic=fuzzed&binary=true', '\0\0\0\x01\0\0\0\x01x'],
  ['POST', '/channel/create?topic=fuzzed&channel=c'],
  ['POST', '/channel/pause?topic=fuzzed&channel=c'],
  ['POST', '/channel/unpause?topic=fuzzed&channel=c'],
  ['POST', '/channel/empty?topic=fuzzed&channel=c'],
  ['GET', '/stats?topic=fuzzed'],
  ['GET', '/stats?format=json&topic=fuzzed&channel=c&include_clients=false&include_mem=0'],
  ['GET', '/config/nsqlookupd_tcp_addresses'],
  ['GET', '/info'],
  ['POST', '/channel/delete?topic=fuzzed&channel=c'],
  ['POST', '/topic/empty?topic=fuzzed'],
  ['POST', '/topic/delete?topic=fuzzed'],
])

export const nsqlookupdHttp = requests('nsqlookupd-http', 4161, [
  ['POST', '/topic/create?topic=fuzzed.named'],
  ['POST', '/channel/create?topic=fuzzed.named&channel=c'],
  ['GET', '/lookup?topic=fuzzed.named'],
  ['GET', '/channels?topic=fuzzed.named'],
  ['GET', '/topics'],
  ['GET', '/nodes'],
  ['GET', '/debug'],
  ['POST', '/topic/tombstone?topic=fuzzed.named&node=fuzzed:1'],
  ['POST', '/channel/delete?topic=fuzzed.named&channel=c'],
  ['POST', '/topic/delete?topic=fuzzed.named'],
])
