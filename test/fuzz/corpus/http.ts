import assert from 'node:assert/strict'
import { httpDefaultPort } from '../../../src/protocols/table.ts'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

export const http: Corpus = {
  listener: 'http',
  standardPort: httpDefaultPort,
  saysWhy: (heardLast) => heardLast.length > 0,
  frames: lines,

  async drive(port) {
    const call = async (method: string, path: string, body?: unknown): Promise<void> => {
      const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, ...json })
      await response.arrayBuffer()
    }
    await call('POST', '/v1/topics', { name: 'fuzzed.http', config: { partitions: 2 } })
    await call('POST', '/v1/topics/fuzzed.http/records', { records: [{ value: 'x', key: 'k', headers: { a: 1 } }] })
    await call('GET', '/v1/topics/fuzzed.http/records?limit=10&offset=0')
    await call('GET', '/v1/topics/fuzzed.http/subscriptions')
    await call('GET', '/v1/topics')
    await call('GET', '/v1/scheduled?limit=5')
    await call('GET', '/metrics')
    await call('GET', '/openapi.json')
    await call('DELETE', '/v1/topics/fuzzed.nothing')
  },

  async healthy(port) {
    return {
      async beat() {
        const response = await fetch(`http://127.0.0.1:${port}/healthz`)
        await response.arrayBuffer()
        assert.equal(response.status, 200)
      },
      close: async () => undefined,
    }
  },
}
