import assert from 'node:assert/strict'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

const login = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }

export const rabbitmqManagement: Corpus = {
  listener: 'rabbitmq-management',
  standardPort: 15672,
  saysWhy: (heardLast) => heardLast.length > 0,
  frames: lines,

  async drive(port) {
    const call = async (method: string, path: string, body?: unknown): Promise<void> => {
      const json = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(`http://127.0.0.1:${port}/api${path}`, { method, headers: login, ...json })
      await response.arrayBuffer()
    }
    const queue = '/queues/%2F/fuzzed.managed'
    await call('GET', '/overview')
    await call('PUT', queue, { durable: true, arguments: { 'x-max-length': 100 } })
    await call('PUT', '/exchanges/%2F/fuzzed.managed', { type: 'topic', durable: true })
    await call('POST', '/bindings/%2F/e/fuzzed.managed/q/fuzzed.managed', { routing_key: 'a.#', arguments: {} })
    const message = { properties: { headers: { a: 1 } }, routing_key: 'a.b', payload: 'text', payload_encoding: 'string' }
    for (let index = 0; index < 3; index++) await call('POST', '/exchanges/%2F/fuzzed.managed/publish', message)
    await call('POST', `${queue}/get`, { count: 2, ackmode: 'ack_requeue_true', encoding: 'auto' })
    await call('GET', `${queue}/bindings`)
    await call('GET', '/queues?page=1&page_size=10&name=fuzzed&use_regex=true')
    await call('PUT', '/policies/%2F/fuzzed', { pattern: '^fuzzed', definition: { 'max-length': 50 }, priority: 1 })
    await call('DELETE', '/policies/%2F/fuzzed')
    await call('GET', '/definitions')
    await call('DELETE', `${queue}/contents`)
    await call('DELETE', '/exchanges/%2F/fuzzed.managed')
  },

  async healthy(port) {
    return {
      async beat() {
        const response = await fetch(`http://127.0.0.1:${port}/api/overview`, { headers: login })
        await response.arrayBuffer()
        assert.equal(response.status, 200)
      },
      close: async () => undefined,
    }
  },
}
