import assert from 'node:assert/strict'
import { RespClient } from '../../../src/lib/resp/socket-client.testing.ts'
import type { Corpus } from './corpus.ts'
import { requests } from './resp.ts'

export const disque: Corpus = {
  listener: 'disque',
  standardPort: 7711,
  frames: requests,

  async drive(port) {
    const client = await RespClient.connected(port)
    const id = String(await client.run('ADDJOB fuzzed:queue body 0 RETRY 10 TTL 100 MAXLEN 1000'))
    for (const line of [
      'HELLO',
      'PING hello',
      'CLIENT SETNAME fuzz',
      'ADDJOB fuzzed:queue later 0 DELAY 1 ASYNC',
      'ADDJOB fuzzed:once x 0 RETRY 0',
      'QLEN fuzzed:queue',
      'QPEEK fuzzed:queue -5',
      'QSTAT fuzzed:queue',
      'GETJOB NOHANG COUNT 2 WITHCOUNTERS FROM fuzzed:queue fuzzed:once fuzzed:nothing',
      'GETJOB TIMEOUT 50 FROM fuzzed:nothing',
      `WORKING ${id}`,
      `NACK ${id}`,
      `DEQUEUE ${id}`,
      `ENQUEUE ${id}`,
      `SHOW ${id}`,
      'PAUSE fuzzed:paused in',
      'PAUSE fuzzed:paused none',
      'QSCAN 0 COUNT 10 MINLEN 1 MAXLEN 100',
      'JSCAN 0 COUNT 10 QUEUE fuzzed:queue STATE queued REPLY all',
      `ACKJOB ${id} ${id}`,
      `FASTACK ${id}`,
      `DELJOB ${id}`,
      'CONFIG GET max*',
      'COMMAND INFO addjob',
      'INFO',
    ])
      await client.run(line)
    await client.run('ADDJOB fuzzed:queue', Buffer.from([0, 255, 13, 10]), 0)
    client.close()
  },

  async healthy(port) {
    const [producer, worker] = [await RespClient.connected(port), await RespClient.connected(port)]
    const queue = 'healthy:jobs'
    let next = 0
    return {
      async beat() {
        const body = `${process.pid}-${next++}`
        const waiting = worker.run(`GETJOB TIMEOUT 9000 FROM ${queue}`)
        // Should both connections end, the other one's error is the one that is told.
        waiting.catch(() => undefined)
        const id = await producer.run(`ADDJOB ${queue} ${body} 0`)
        assert.deepEqual(await waiting, [[queue, id, body]])
        assert.equal(await worker.run(`ACKJOB ${id}`), 1)
      },
      close: async () => {
        producer.close()
        worker.close()
      },
    }
  },
}
