/** What is no HTTP gets an answer and a line in the log with the peer; who hangs up in the middle of a request is no error of ours. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { startBroker } from '../index.ts'

interface Line {
  readonly level: string
  readonly remote?: string
  readonly reason?: string
}

async function exchange(port: number, bytes: string, hangUp: boolean): Promise<{ answer: string; localPort: number }> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const localPort = socket.localPort ?? 0
  let answer = ''
  socket.on('data', (chunk) => {
    answer += String(chunk)
  })
  socket.write(bytes)
  if (hangUp) setImmediate(() => socket.resetAndDestroy())
  await once(socket, 'close')
  return { answer, localPort }
}

test('bad bytes on the HTTP port are answered and named, and a request that breaks off is not an error', {
  timeout: 20_000,
}, async () => {
  const lines: Line[] = []
  const say = (level: string) => (fields: object) => void lines.push({ ...fields, level })
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  const broker = await startBroker({ log })
  try {
    const garbage = await exchange(broker.port('http'), '\u0000\u0001 this is no HTTP\r\n\r\n', false)
    assert.match(garbage.answer, /^HTTP\/1.1 400 /)
    const named = lines.find(({ remote }) => remote === `127.0.0.1:${garbage.localPort}`)
    assert.equal(named?.level, 'info')
    assert.notEqual(named?.reason ?? '', '')
    const long = await exchange(broker.port('http'), `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, false)
    assert.match(long.answer, /^HTTP\/1.1 431 /)
    const head =
      'POST /v1/topics HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"na'
    for (let count = 0; count < 5; count++) await exchange(broker.port('http'), head, true)
    assert.equal((await fetch(`${broker.url('http')}/healthz`)).status, 200)
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    )
  } finally {
    await broker.close()
  }
})
