/** Clients that go while they wait for a key, or have sent all they will, over real sockets. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { encode } from '../../lib/resp/client.testing.ts'
import { RespClient } from '../../lib/resp/socket-client.testing.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker

before(async () => {
  running = await startTestBroker({ only: ['redis'] })
})
after(() => running.stop())

const connected = (): Promise<RespClient> => RespClient.connected(portOf(running, 'redis'))

async function until(client: RespClient, line: string, wanted: RegExp): Promise<void> {
  for (const deadline = Date.now() + 5000; ; ) {
    const answer = String(await client.run(line))
    if (wanted.test(answer)) return
    assert.ok(Date.now() < deadline, answer)
  }
}

test('a client that sent more while it was blocked, and went, is given nothing', async () => {
  const other = await connected()
  for (const wait of ['BRPOPLPUSH q taken 0', 'BLPOP q 0', 'BLMPOP 0 1 q LEFT']) {
    const gone = await connected()
    const answer = gone.run(wait).catch(() => 'closed')
    await until(other, 'INFO clients', /blocked_clients:1/)
    // As Bee-Queue, whose connection for waiting says QUIT and is then closed.
    gone.send(encode(['QUIT']))
    gone.close()
    await until(other, 'INFO clients', /blocked_clients:0/)
    assert.equal(await answer, 'closed')
    assert.equal(await other.run('LPUSH q job'), 1)
    assert.deepEqual(await other.run('LRANGE taken 0 -1'), [])
    assert.equal(await other.run('RPOP q'), 'job')
  }
  other.close()
})

test('a client that is blocked is read so far ahead and no further, and what it sent is run afterwards', async () => {
  const [client, other] = [await connected(), await connected()]
  const answer = client.run('BLPOP gate 0')
  const pings = 20_000
  for (let i = 0; i < pings; i++) client.send(encode(['PING', String(i)]))
  const answers = Array.from({ length: pings }, () => client.next())
  await until(other, 'INFO clients', /blocked_clients:1/)
  await other.run('LPUSH gate open')
  assert.deepEqual(await answer, ['gate', 'open'])
  assert.deepEqual(
    await Promise.all(answers),
    answers.map((_, i) => String(i)),
  )
  client.close()
  other.close()
})

test('all that a client sent before it closed its side is done and answered, but nobody who does waits for a key', async () => {
  const answersTo = async (bytes: string): Promise<string> => {
    const socket = connect(portOf(running, 'redis'), '127.0.0.1')
    // As `printf … | nc`.
    socket.end(bytes)
    let text = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
    return text
  }
  assert.equal(await answersTo('LPUSH pipe a\r\nLLEN pipe\r\n'), ':1\r\n:1\r\n')
  const pushes = 20_000
  const answers = await answersTo('LPUSH pipe a\r\n'.repeat(pushes))
  assert.equal(answers.split('\r\n').length - 1, pushes)
  assert.equal(await answersTo('BLPOP nothing 0\r\n'), '')
  assert.equal(await answersTo('LLEN pipe\r\n'), `:${pushes + 1}\r\n`)
})
