/** Conversations: what becomes of jobs in time, what outlives a restart, what crosses, and how the protocol refuses. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { type Answer, encode } from '../../lib/resp/client.testing.ts'
import { pairs, RespClient } from '../../lib/resp/socket-client.testing.ts'

let broker: EmbeddedBroker
let client: RespClient

before(async () => {
  broker = await startBroker({ protocols: ['disque', 'amqp', 'redis'] })
  client = await connected()
})
after(async () => {
  client.close()
  await broker.close()
})

const connected = (of = broker): Promise<RespClient> => RespClient.connected(of.port('disque'))
const add = async (line: string): Promise<string> => String(await client.run(`ADDJOB ${line}`))
const get = (queue: string, options = 'NOHANG'): Promise<Answer> => client.run(`GETJOB ${options} FROM ${queue}`)
/** How many wait for its jobs. */
const blocked = async (queue: string): Promise<Answer> => {
  const answer = await client.run(`QSTAT ${queue}`)
  return answer === null ? 0 : (pairs(answer)['blocked'] ?? null)
}
const shown = async (id: string): Promise<Record<string, Answer>> => pairs(await client.run(`SHOW ${id}`))

test('a job is added, handed out and acknowledged from another connection', async () => {
  const id = await add('first body 0')
  assert.match(id, /^D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-05a1$/)
  assert.equal(await client.run('QLEN first'), 1)
  assert.deepEqual(await client.run('QPEEK first 5'), [['first', id, 'body']])
  assert.deepEqual(await get('first'), [['first', id, 'body']])
  assert.equal(await client.run('QLEN first'), 0)
  assert.equal(await get('first'), null)
  const other = await connected()
  assert.equal(await other.run(`ACKJOB ${id}`), 1)
  assert.equal(await other.run(`ACKJOB ${id}`), 0)
  assert.equal(await client.run(`SHOW ${id}`), null)
  other.close()
})

test('HELLO names this node alone, where the client reaches it', async () => {
  const node = String(((await client.run('HELLO')) as Answer[])[1])
  assert.match(node, /^[0-9a-f]{40}$/)
  assert.deepEqual(await client.run('HELLO'), [1, node, [node, '127.0.0.1', String(broker.port('disque')), '1']])
  assert.equal((await add('hello x 0')).slice(2, 10), node.slice(0, 8))
})

test('a job that nobody acknowledges comes again after its RETRY, and counts', async () => {
  const id = await add('again x 0 RETRY 10 TTL 100')
  await get('again')
  await broker.clock.advance('9s')
  assert.equal(await get('again'), null)
  const within = Number((await shown(id))['next-requeue-within'])
  assert.ok(within > 500 && within <= 1000)
  await broker.clock.advance('1s')
  const counted = (nacks: number, more: number): Answer => [['again', id, 'x', 'nacks', nacks, 'additional-deliveries', more]]
  assert.deepEqual(await get('again', 'NOHANG WITHCOUNTERS'), counted(0, 1))
  assert.equal(await client.run(`NACK ${id}`), 1)
  assert.equal(await client.run(`NACK ${id}`), 0)
  assert.deepEqual(await get('again', 'NOHANG WITHCOUNTERS'), counted(1, 1))
  await broker.clock.advance('10s')
  assert.deepEqual(await get('again', 'NOHANG WITHCOUNTERS'), counted(1, 2))
})

test('WORKING puts the next delivery off, until half of the time to live is over', async () => {
  const id = await add('working x 0 RETRY 10 TTL 60')
  await get('working')
  for (let at = 0; at < 3; at++) {
    await broker.clock.advance('9s')
    assert.equal(await client.run(`WORKING ${id}`), 10)
  }
  await broker.clock.advance('4s')
  assert.match(await client.refused(`WORKING ${id}`), /^TOOLATE Half of job TTL already elapsed/)
  await broker.clock.advance('6s')
  assert.deepEqual(await get('working'), [['working', id, 'x']])
  assert.equal(await client.run(`ACKJOB ${id}`), 1)
  assert.equal(await client.refused(`WORKING ${id}`), 'NOJOB Job not known in the context of this node.')
})

test('a job goes when its time to live is over, queued or not', async () => {
  const queued = await add('mortal a 0 TTL 20')
  const active = await add('mortal b 0 TTL 20 RETRY 15')
  await client.run(`DEQUEUE ${active}`)
  await broker.clock.advance('20s')
  assert.equal(await get('mortal'), null)
  assert.equal(await client.run(`SHOW ${active}`), null)
  assert.equal(await client.run(`SHOW ${queued}`), null)
})

test('RETRY 0 is at most once: never again, but to be looked at and acknowledged', async () => {
  const id = await add('once x 0 RETRY 0')
  assert.match(id, /[02468ace]$/)
  assert.equal((await shown(id))['state'], 'queued')
  await get('once')
  const { state, body } = await shown(id)
  assert.deepEqual([state, body], ['active', 'x'])
  assert.equal(await client.run(`NACK ${id}`), 0)
  assert.equal(await client.run(`ENQUEUE ${id}`), 0)
  await broker.clock.advance('600s')
  assert.equal(await get('once'), null)
  assert.deepEqual(await client.run('JSCAN QUEUE once'), ['0', [id]])
  assert.equal(await client.run(`ACKJOB ${id}`), 1)
  assert.equal(await client.run(`SHOW ${id}`), null)
})

test('a delayed job is queued when its time has come, or when told', async () => {
  const late = await add('delayed late 0 DELAY 30 RETRY 5')
  const once = await add('delayed once 0 DELAY 30 RETRY 0')
  const told = await add('delayed told 0 DELAY 30')
  assert.equal(await client.run('QLEN delayed'), 0)
  assert.equal(await client.run(`ENQUEUE ${told}`), 1)
  assert.deepEqual(await get('delayed', 'NOHANG WITHCOUNTERS'), [
    ['delayed', told, 'told', 'nacks', 0, 'additional-deliveries', 0],
  ])
  const { state, delay } = await shown(late)
  assert.deepEqual([state, delay], ['active', 30])
  await broker.clock.advance('30s')
  assert.deepEqual(await get('delayed', 'NOHANG COUNT 9'), [
    ['delayed', late, 'late'],
    ['delayed', once, 'once'],
  ])
})

test('ENQUEUE, DEQUEUE and DELJOB move a job, wherever it is', async () => {
  const id = await add('moved x 0 RETRY 10')
  assert.equal(await client.run(`DEQUEUE ${id}`), 1)
  assert.equal(await client.run(`DEQUEUE ${id}`), 0)
  assert.equal(await get('moved'), null)
  assert.equal(await client.run(`ENQUEUE ${id}`), 1)
  assert.equal(await client.run(`ENQUEUE ${id}`), 0)
  await client.run(`DEQUEUE ${id}`)
  await broker.clock.advance('10s')
  assert.equal(await client.run('QLEN moved'), 1)
  assert.equal(await client.run(`DELJOB ${id} ${id}`), 1)
  assert.equal(await client.run('QLEN moved'), 0)
  const fast = await add('moved y 0')
  assert.equal(await client.run(`FASTACK ${fast}`), 1)
  assert.equal(await get('moved'), null)
})

test('GETJOB takes from several queues in turn, and waits for the first that has a job', async () => {
  for (const line of ['left 1 0', 'left 2 0', 'right 3 0']) await add(line)
  const got = (await client.run('GETJOB COUNT 3 FROM left right')) as Answer[][]
  assert.deepEqual(
    got.map(([queue, , body]) => [queue, body]),
    [
      ['left', '1'],
      ['right', '3'],
      ['left', '2'],
    ],
  )
  const worker = await connected()
  const waiting = worker.run('GETJOB COUNT 5 FROM nothing left right')
  await eventually(async () => (await blocked('right')) === 1)
  const id = await add('right 4 0')
  assert.deepEqual(await waiting, [['right', id, '4']])
  assert.equal(pairs(await client.run('QSTAT left'))['blocked'], 0)
  worker.close()
})

test('who waits is told when its time is over, and gets nothing once it has gone', async () => {
  const worker = await connected()
  const waiting = worker.run('GETJOB TIMEOUT 5000 FROM silent')
  await eventually(async () => (await blocked('silent')) === 1)
  await broker.clock.advance('5s')
  assert.equal(await waiting, null)
  const gone = worker.run('GETJOB FROM silent').catch(() => 'gone')
  await eventually(async () => (await blocked('silent')) === 1)
  worker.close()
  await gone
  await eventually(async () => (await blocked('silent')) === 0)
  const id = await add('silent x 0')
  assert.deepEqual(await get('silent'), [['silent', id, 'x']])
})

test('MAXLEN refuses, and a paused queue takes or gives nothing', async () => {
  await add('full x 0')
  assert.equal(await client.refused('ADDJOB full y 0 MAXLEN 1'), 'MAXLEN Queue is already longer than the specified MAXLEN count')
  await add('full y 0 MAXLEN 2')
  assert.equal(await client.run('PAUSE full in'), 'in')
  assert.equal(await client.refused('ADDJOB full z 0'), 'PAUSED Queue paused in input, try later')
  assert.equal(await client.run('PAUSE full out'), 'out')
  assert.equal(await client.run('PAUSE full state'), 'out')
  assert.equal(pairs(await client.run('QSTAT full'))['pause'], 'out')
  const worker = await connected()
  const waiting = worker.run('GETJOB FROM full')
  await eventually(async () => (await blocked('full')) === 1)
  assert.equal(await client.run('PAUSE full in out bcast'), 'all')
  assert.equal(await client.run('PAUSE full none'), 'none')
  assert.equal(((await waiting) as Answer[]).length, 1)
  worker.close()
})

test('a queue that is paused in input takes nothing back', async () => {
  const id = await add('closed x 0 RETRY 10')
  await get('closed')
  await client.run('PAUSE closed in')
  await broker.clock.advance('10s')
  assert.equal(await client.run('QLEN closed'), 0)
  await client.run('PAUSE closed none')
  await broker.clock.advance('10s')
  assert.deepEqual(await get('closed'), [['closed', id, 'x']])
})

test('scans go through all queues and jobs, some at a time', async () => {
  const ids: string[] = []
  for (let at = 0; at < 25; at++) ids.push(await add(`scan${at % 5} ${at} 0`))
  await client.run(`DEQUEUE ${ids[3]}`)
  const seen = new Set<string>()
  for (let cursor = '0', calls = 0; calls === 0 || cursor !== '0'; calls++) {
    const [next, found] = (await client.run(`JSCAN ${cursor} COUNT 4`)) as [string, string[]]
    for (const id of found) seen.add(id)
    cursor = next
    assert.ok(calls < 500)
  }
  assert.deepEqual(
    ids.filter((id) => !seen.has(id)),
    [],
  )
  const [end, found] = (await client.run('JSCAN QUEUE scan3 STATE active REPLY all BUSYLOOP')) as [string, Answer[]]
  assert.equal(end, '0')
  assert.deepEqual(
    found.map((each) => pairs(each)['id']),
    [ids[3]],
  )
  const queues = new Set<string>()
  for (let cursor = '0', calls = 0; calls === 0 || cursor !== '0'; calls++) {
    const [next, names] = (await client.run(`QSCAN COUNT 3 MINLEN 4 MAXLEN 5 ${cursor}`)) as [string, string[]]
    for (const name of names) queues.add(name)
    cursor = next
    assert.ok(calls < 500)
  }
  assert.deepEqual([...queues].filter((name) => name.startsWith('scan')).sort(), ['scan0', 'scan1', 'scan2', 'scan3', 'scan4'])
})

test('jobs, their ids and their delays outlive a restart; what was delivered once does not come again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'anymq-disque-'))
  let own = await startBroker({ protocols: ['disque', 'amqp'], storage: { folder } })
  let one = await connected(own)
  const run = async (line: string): Promise<string> => String(await one.run(line))
  const queued = await run('ADDJOB kept queued 0')
  const active = await run('ADDJOB other active 0')
  const once = await run('ADDJOB onlyonce x 0 RETRY 0')
  const delayed = await run('ADDJOB kept delayed 0 DELAY 1000')
  const gone = await run('ADDJOB kept gone 0')
  await one.run('GETJOB FROM other')
  await one.run('GETJOB FROM onlyonce')
  assert.equal(await one.run(`ACKJOB ${gone}`), 1)
  await own.close()

  own = await startBroker({ protocols: ['disque', 'amqp'], storage: { folder } })
  one = await connected(own)
  assert.equal(await one.run(`SHOW ${gone}`), null)
  assert.equal(await one.run(`SHOW ${once}`), null)
  assert.equal(await one.run('GETJOB NOHANG FROM onlyonce'), null)
  assert.deepEqual(await one.run('GETJOB FROM other'), [['other', active, 'active']])
  assert.deepEqual(await one.run('QPEEK kept 9'), [['kept', queued, 'queued']])
  assert.equal(pairs(await one.run(`SHOW ${delayed}`))['state'], 'active')
  assert.equal(await one.run(`ACKJOB ${queued} ${active}`), 2)
  await own.clock.advance('1000s')
  assert.deepEqual(await one.run('GETJOB NOHANG FROM kept'), [['kept', delayed, 'delayed']])
  one.close()
  await own.close()
  rmSync(folder, { recursive: true, force: true })
})

test('a queue is the queue of its name: jobs cross both ways, and nobody gets what another has', async () => {
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  const first = await add('crossing job 0')
  const got = await channel.get('crossing')
  assert.ok(got !== false)
  assert.equal(got.content.toString(), 'job')
  assert.equal(await get('crossing'), null)
  assert.equal((await shown(first))['state'], 'active')
  assert.equal(await client.run(`ACKJOB ${first}`), 0)
  channel.nack(got)
  await eventually(async () => (await client.run('QLEN crossing')) === 1)
  assert.deepEqual(await get('crossing'), [['crossing', first, 'job']])
  assert.equal(await channel.get('crossing'), false)
  assert.equal(await client.run(`NACK ${first}`), 1)
  const back = await channel.get('crossing', { noAck: true })
  assert.ok(back !== false && back.content.toString() === 'job')

  const late = await add('crossing later 0 DELAY 10')
  assert.equal(await channel.get('crossing'), false)
  channel.sendToQueue('crossing', Buffer.from('from amqp'), { persistent: true, headers: { a: 1 } })
  await channel.waitForConfirms()
  const [[queue, id, body] = []] = (await client.run('GETJOB FROM crossing')) as string[][]
  assert.deepEqual([queue, body], ['crossing', 'from amqp'])
  assert.match(String(id), /^D-[0-9a-f]{8}-.{24}-ffff$/)
  await broker.clock.advance('300s')
  assert.deepEqual(await get('crossing', 'NOHANG COUNT 5'), [
    ['crossing', late, 'later'],
    ['crossing', id, 'from amqp'],
  ])
  assert.equal(await client.run(`ACKJOB ${id} ${late}`), 2)
  // Who waits is told of what others publish and give back.
  const worker = await connected()
  const published = worker.run('GETJOB FROM crossing')
  await eventually(async () => (await blocked('crossing')) === 1)
  channel.sendToQueue('crossing', Buffer.from('awaited'))
  const [[, awaited] = []] = (await published) as string[][]
  assert.equal(await client.run(`NACK ${awaited}`), 1)
  const taken = await channel.get('crossing')
  assert.ok(taken !== false)
  const returned = worker.run('GETJOB FROM crossing')
  await eventually(async () => (await blocked('crossing')) === 1)
  channel.nack(taken)
  assert.deepEqual(await returned, [['crossing', awaited, 'awaited']])
  worker.close()
  await connection.close()
})

test('no more jobs are active than may be', async () => {
  const own = await startBroker({ protocols: ['disque'], limits: { inFlightMax: 2 } })
  const one = await connected(own)
  const ids: string[] = []
  for (let at = 0; at < 4; at++) ids.push(String(await one.run(`ADDJOB q ${at} 0`)))
  assert.equal(((await one.run('GETJOB COUNT 9 FROM q')) as Answer[]).length, 2)
  for (const line of ['GETJOB FROM q', `DEQUEUE ${ids[2]}`, `WORKING ${ids[2]}`, 'ADDJOB q late 0 DELAY 5'])
    assert.equal(await one.refused(line), "OOM command not allowed when used memory > 'maxmemory'.", line)
  assert.equal(await one.run(`ACKJOB ${ids[0]}`), 1)
  assert.equal(((await one.run('GETJOB COUNT 9 FROM q')) as Answer[]).length, 1)
  assert.equal(await one.run(`NACK ${ids[1]} ${ids[2]}`), 2)
  assert.equal(await one.run(`DEQUEUE ${ids[3]}`), 1)
  one.close()
  await own.close()
})

test('bad commands are refused in the words of Disque, and the connection goes on', async () => {
  const id = await add('bad x 0')
  const timeout = 'ERR timeout is not an integer or out of range'
  for (const [line, answer] of [
    ['NONSENSE', "ERR unknown command 'NONSENSE'"],
    ['ADDJOB q x', "ERR wrong number of arguments for 'addjob' command"],
    ['ADDJOB q x y', timeout],
    ['ADDJOB q x -1', 'ERR timeout is negative'],
    ['ADDJOB q x 0 REPLICATE 0', 'ERR REPLICATE must be between 1 and 65535'],
    ['ADDJOB q x 0 REPLICATE 2', 'NOREPL Not enough reachable nodes for the requested replication level'],
    ['ADDJOB q x 0 REPLICATE 2 RETRY 0', 'ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)'],
    ['ADDJOB q x 0 TTL 0', 'ERR TTL must be a number > 0'],
    ['ADDJOB q x 0 RETRY x', 'ERR RETRY time must be a non negative number'],
    ['ADDJOB q x 0 DELAY -1', 'ERR DELAY time must be a non negative number'],
    ['ADDJOB q x 0 MAXLEN 0', 'ERR MAXLEN must be a positive number'],
    ['ADDJOB q x 0 DELAY 5 TTL 5', 'ERR The specified DELAY is greater than TTL. Job refused since would never be delivered'],
    ['ADDJOB q x 0 FOO 1', 'ERR syntax error'],
    ['ADDJOB q x 0 TTL', 'ERR syntax error'],
    ['GETJOB q', 'ERR syntax error'],
    ['GETJOB FROM', 'ERR syntax error'],
    ['GETJOB COUNT 0 FROM q', 'ERR COUNT must be a number greater than zero'],
    ['GETJOB TIMEOUT x FROM q', timeout],
    ['ACKJOB nonsense', 'BADID Invalid Job ID format.'],
    [`ACKJOB ${id} nonsense`, 'BADID Invalid Job ID format.'],
    ['SHOW x', 'BADID Invalid Job ID format.'],
    ['QPEEK q x', 'ERR value is not an integer or out of range'],
    ['JSCAN STATE x', 'ERR Invalid job state name'],
    ['JSCAN REPLY x', 'ERR Invalid REPLY type, try ID or ALL'],
    ['JSCAN x', 'ERR invalid cursor or option name'],
    ['QSCAN 0 0', 'ERR syntax error'],
    ['PAUSE q sideways', 'ERR syntax error'],
    ['AUTH secret', 'ERR Client sent AUTH, but no password is set'],
    ['CONFIG SET maxmemory 1', 'ERR Unsupported CONFIG parameter: maxmemory'],
    ['LOADJOB x', 'ERR LOADJOB is a special command only processed from AOF'],
    ['SHUTDOWN', 'ERR Errors trying to SHUTDOWN. Check logs.'],
  ] as const)
    assert.equal(await client.refused(line), answer, line)
  assert.equal(pairs(await client.run(`SHOW ${id}`))['state'], 'queued')
  assert.equal(await client.run(`ACKJOB ${id.slice(0, 11)}${'A'.repeat(24)}-05a1`), 0)
  assert.equal(await client.run('QSTAT nobody'), null)
  assert.equal(await client.run('QLEN nobody'), 0)
})

test('names and bodies are bytes', async () => {
  const name = Buffer.from([0xff, 0, 0x80])
  const body = Buffer.from([0, 1, 2, 0xfe])
  const one = await connected()
  one.send(encode(['ADDJOB', name, body, 0]))
  const id = await one.next()
  one.send(encode(['QLEN', name]))
  assert.equal(await one.next(), 1)
  one.send(encode(['GETJOB', 'FROM', name]))
  assert.equal(((await one.next()) as Answer[][])[0]?.[1], id)
  one.close()
})

test('requests sent at once, in pieces and as lines are answered in their order', async () => {
  const one = await connected()
  const bytes = Buffer.concat([
    encode(['ADDJOB', 'order', 'a', 0]),
    encode(['PING']),
    Buffer.from('ADDJOB order "b c" 0 ASYNC\r\n'),
    encode(['GETJOB', 'COUNT', 2, 'FROM', 'order']),
    encode(['GETJOB', 'NOHANG', 'FROM', 'order']),
    Buffer.from('PING hello\r\nQUIT\r\nPING\r\n'),
  ])
  for (const byte of bytes) one.send(Buffer.from([byte]))
  const [a, pong, b, jobs, none, hello, ok] = [
    await one.next(),
    await one.next(),
    await one.next(),
    await one.next(),
    await one.next(),
    await one.next(),
    await one.next(),
  ]
  assert.deepEqual(jobs, [
    ['order', a, 'a'],
    ['order', b, 'b c'],
  ])
  assert.deepEqual([pong, none, hello, ok], ['PONG', null, 'hello', 'OK'])
  await assert.rejects(one.next())
})

test('CLIENT REPLY silences, CLIENT LIST shows, CLIENT KILL ends', async () => {
  const one = await connected()
  assert.equal(await one.run('CLIENT SETNAME worker'), 'OK')
  assert.equal(await one.run('CLIENT GETNAME'), 'worker')
  one.send(encode(['CLIENT', 'REPLY', 'SKIP']))
  one.send(encode(['PING', 'unheard']))
  assert.equal(await one.run('PING heard'), 'heard')
  one.send(encode(['CLIENT', 'REPLY', 'OFF']))
  one.send(encode(['ADDJOB', 'quiet', 'x', 0]))
  assert.equal(await one.run('CLIENT REPLY ON'), 'OK')
  assert.equal(await client.run('QLEN quiet'), 1)
  const line = String(await client.run('CLIENT LIST'))
    .split('\n')
    .find((each) => each.includes('name=worker'))
  const id = /id=(\d+)/.exec(line ?? '')?.[1]
  assert.equal(await client.run(`CLIENT KILL ID ${id}`), 1)
  await eventually(async () => one.isEnded)
})

test('an empty queue that nobody uses is no more, with the topic that was made for it', async () => {
  const id = await add('brief x 0')
  await client.run(`ACKJOB ${id}`)
  assert.ok(Array.isArray(await client.run('QSTAT brief')))
  await broker.clock.advance('600s')
  await eventually(async () => (await client.run('QSTAT brief')) === null)
})

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'not within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
