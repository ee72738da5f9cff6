/** Conversations: what takes time (delays, time to run, pauses), what outlives a restart, what crosses, and how the protocol refuses. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { Machine } from '../../../test/support/machine.ts'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import type { Connection } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { BeanstalkClient } from './client.testing.ts'
import { jobFormat } from './mapping.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker({ protocols: ['beanstalkd', 'amqp'] })
})
after(() => broker.close())

let tubes = 0

/** A client that uses and watches a tube of its own alone. */
async function client(tube = `t${tubes++}`, of = broker): Promise<BeanstalkClient> {
  const made = await BeanstalkClient.connected(of.port('beanstalkd'))
  await made.ask(`use ${tube}`)
  await made.ask(`watch ${tube}`)
  await made.ask('ignore default')
  return made
}

test('jobs come by priority over all watched tubes, and in the order of putting within one', async () => {
  const one = await client('p1')
  const ids: Record<string, number> = {}
  for (const [tube, name, pri] of [
    ['p1', 'late', 4_294_967_295],
    ['p2', 'middle', 10],
    ['p1', 'also middle', 10],
    ['p2', 'first', 0],
  ] as const) {
    await one.ask(`use ${tube}`)
    ids[name] = await one.put(name, { pri })
  }
  await one.ask('watch p2')
  for (const name of ['first', 'middle', 'also middle', 'late'])
    assert.equal(await one.ask('reserve'), `RESERVED ${ids[name]} ${name.length} ${name}`)
  assert.equal(await one.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  one.close()
})

test('drain mode refuses jobs, and nothing else, until it ends; closing one connection is none', async (context) => {
  const running = await startTestBroker({ only: ['beanstalkd'] })
  context.after(() => running.stop())
  const connected = (): Promise<BeanstalkClient> => BeanstalkClient.connected(portOf(running, 'beanstalkd'))
  const [one, other] = [await connected(), await connected()]
  assert.equal(await one.put('kept'), 1)
  const [last] = running.broker.connections().slice(-1)
  assert.equal(running.broker.closeConnection(last?.id ?? -1, 'enough'), true)
  await other.closed()
  assert.equal(await one.put('still taken'), 2)

  const drain = (protocol: string, draining: boolean): Promise<number> =>
    fetch(`http://127.0.0.1:${portOf(running, 'http')}/v1/draining/${protocol}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ draining }),
    }).then(({ status }) => status)
  assert.equal(await drain('beanstalkd', true), 200)
  one.send('put 0 0 60 1\r\nx\r\n')
  assert.equal(await one.answer(), 'DRAINING')
  assert.equal((await one.stats('stats'))['draining'], 'true')
  assert.equal(await one.ask('reserve'), 'RESERVED 1 4 kept')
  assert.equal(await one.ask('delete 1'), 'DELETED')
  assert.equal(await drain('beanstalkd', false), 200)
  assert.equal(await one.put('again'), 3)
  assert.equal(await drain('kafka', true), 404)
  one.close()
})

test('with its topic, deleted by another protocol, a tube loses its jobs', async () => {
  const worker = await client('doomed')
  const ready = await worker.put('ready')
  const mine = await worker.put('mine', { pri: 0 })
  await worker.put('later', { delay: 100 })
  assert.equal(await worker.ask('reserve'), `RESERVED ${mine} 4 mine`)
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  await channel.deleteQueue('doomed')
  await connection.close()
  for (const id of [ready, mine]) assert.equal(await worker.ask(`peek ${id}`), 'NOT_FOUND')
  for (const line of [`delete ${mine}`, `release ${mine} 0 0`, 'peek-ready', 'peek-delayed'])
    assert.equal(await worker.ask(line), 'NOT_FOUND')
  assert.equal(await worker.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  const next = await worker.put('next')
  assert.equal(await worker.ask('reserve'), `RESERVED ${next} 4 next`)
  assert.equal((await worker.stats('stats-tube doomed'))['current-jobs-reserved'], '1')
  worker.close()
})

test('a reserve waits for a job, as long as it is told', async () => {
  const worker = await client('waited')
  const producer = await client('waited')
  const waiting = worker.ask('reserve')
  const id = await producer.put('x')
  assert.equal(await waiting, `RESERVED ${id} 1 x`)
  const late = producer.ask('reserve-with-timeout 5')
  await eventually(async () => (await worker.stats('stats-tube waited'))['current-waiting'] === '1')
  await broker.clock.advance('5s')
  assert.equal(await late, 'TIMED_OUT')
})

test('a job whose time to run is over is ready again; a second before, its worker hears DEADLINE_SOON; touching begins the time anew', async () => {
  const worker = await client()
  const id = await worker.put('job', { ttr: 10 })
  await worker.ask('reserve')
  await broker.clock.advance('8s')
  assert.equal(await worker.ask(`touch ${id}`), 'TOUCHED')
  await broker.clock.advance('8s')
  assert.equal((await worker.stats(`stats-job ${id}`))['state'], 'reserved')
  const waiting = worker.ask('reserve')
  await broker.clock.advance('1s')
  assert.equal(await waiting, 'DEADLINE_SOON')
  assert.equal(await worker.ask('reserve-with-timeout 100'), 'DEADLINE_SOON')
  await broker.clock.advance('1s')
  const stats = await worker.stats(`stats-job ${id}`)
  assert.deepEqual([stats['state'], stats['timeouts'], stats['reserves']], ['ready', '1', '1'])
  assert.equal(await worker.ask(`delete ${id}`), 'DELETED')
  assert.equal(await worker.ask(`delete ${id}`), 'NOT_FOUND')
})

test('a job is delayed by its putting and by its release; the one with the least delay left is peeked', async () => {
  const worker = await client()
  const late = await worker.put('late', { delay: 100 })
  const id = await worker.put('soon', { delay: 10 })
  assert.equal(await worker.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  assert.equal(await worker.ask('peek-delayed'), `FOUND ${id} 4 soon`)
  assert.equal(await worker.ask('peek-ready'), 'NOT_FOUND')
  await broker.clock.advance('10s')
  assert.equal(await worker.ask('reserve-with-timeout 1'), `RESERVED ${id} 4 soon`)
  assert.equal(await worker.ask(`release ${id} 5 20`), 'RELEASED')
  const stats = await worker.stats(`stats-job ${id}`)
  assert.deepEqual([stats['state'], stats['pri'], stats['delay'], stats['releases']], ['delayed', '5', '20', '1'])
  await broker.clock.advance('20s')
  assert.equal(await worker.ask('reserve-with-timeout 1'), `RESERVED ${id} 4 soon`)
  assert.equal(await worker.ask('kick 10'), 'KICKED 1')
  assert.equal(await worker.ask('reserve-with-timeout 1'), `RESERVED ${late} 4 late`)
})

test('a paused tube gives nothing, also to who waits, until the pause is over', async () => {
  const worker = await client('paused')
  const id = await worker.put('x')
  assert.equal(await worker.ask('pause-tube paused 30'), 'PAUSED')
  const waiting = worker.ask('reserve')
  const other = await client('paused')
  assert.equal((await other.stats('stats-tube paused'))['pause'], '30')
  await broker.clock.advance('30s')
  assert.equal(await waiting, `RESERVED ${id} 1 x`)
  assert.equal(await worker.ask('pause-tube nobody 1'), 'NOT_FOUND')
})

test('what a worker has is ready again when it goes', async () => {
  const worker = await client('gone')
  const id = await worker.put('x')
  await worker.ask('reserve')
  const other = await client('gone')
  assert.equal(await other.ask(`delete ${id}`), 'NOT_FOUND')
  const waiting = other.ask('reserve')
  worker.close()
  assert.equal(await waiting, `RESERVED ${id} 1 x`)
})

test('jobs with their priorities, delays and burials outlive a restart, and ids are not given twice', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'anymq-beanstalkd-'))
  let own = await startBroker({ protocols: ['beanstalkd'], storage: { folder } })
  const first = await client('kept', own)
  const ready = await first.put('ready', { pri: 7 })
  const raised = await first.put('raised', { pri: 9 })
  const delayed = await first.put('delayed', { delay: 1000 })
  const buried = [await first.put('b1', { pri: 1 }), await first.put('b2', { pri: 0 })]
  for (const [index, id] of [...buried].reverse().entries()) {
    assert.equal(await first.ask('reserve-with-timeout 0'), `RESERVED ${id} 2 b${2 - index}`)
    assert.equal(await first.ask(`bury ${id} 3`), 'BURIED')
  }
  await first.ask(`reserve-job ${raised}`)
  assert.equal(await first.ask(`release ${raised} 2 0`), 'RELEASED')
  const gone = await first.put('gone')
  assert.equal(await first.ask(`delete ${gone}`), 'DELETED')
  await own.close()
  own = await startBroker({ protocols: ['beanstalkd'], storage: { folder } })
  const second = await client('kept', own)
  assert.equal(await second.ask('peek-buried'), `FOUND ${buried[1]} 2 b2`)
  assert.equal(await second.ask('peek-delayed'), `FOUND ${delayed} 7 delayed`)
  assert.equal(await second.ask(`peek ${gone}`), 'NOT_FOUND')
  assert.equal(await second.ask('reserve-with-timeout 0'), `RESERVED ${raised} 6 raised`)
  assert.equal(await second.ask('reserve-with-timeout 0'), `RESERVED ${ready} 5 ready`)
  assert.equal(await second.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  assert.equal((await second.stats(`stats-job ${buried[0]}`))['buries'], '1')
  assert.ok((await second.put('new')) > gone)
  await own.clock.advance('1000s')
  assert.equal((await second.stats(`stats-job ${delayed}`))['state'], 'ready')
  await own.close()
  rmSync(folder, { recursive: true, force: true })
})

test('a tube is the queue of its name: jobs cross both ways, and nobody gets what another has', async () => {
  const worker = await client('crossing')
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  const first = await worker.put('from beanstalkd')
  const got = await channel.get('crossing')
  assert.ok(got !== false)
  assert.equal(got.content.toString(), 'from beanstalkd')
  assert.equal(await worker.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  channel.nack(got)
  assert.equal(await worker.ask('reserve-with-timeout 5'), `RESERVED ${first} 15 from beanstalkd`)
  assert.equal(await channel.get('crossing'), false)
  assert.equal(await worker.ask(`bury ${first} 0`), 'BURIED')
  assert.equal(await channel.get('crossing'), false)
  channel.sendToQueue('crossing', Buffer.from('from amqp'), { persistent: true })
  await channel.waitForConfirms()
  const answer = await worker.ask('reserve-with-timeout 5')
  assert.match(answer, /^RESERVED \d+ 9 from amqp$/)
  const id = answer.split(' ')[1]
  const stats = await worker.stats(`stats-job ${id}`)
  assert.deepEqual([stats['pri'], stats['ttr']], ['1024', '60'])
  assert.equal(await worker.ask(`delete ${id}`), 'DELETED')
  assert.equal(await worker.ask(`kick-job ${first}`), 'KICKED')
  const back = await channel.get('crossing', { noAck: true })
  assert.ok(back !== false)
  assert.equal(await worker.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  await connection.close()
})

test('bad commands are refused in the protocol’s words, and the connection goes on', async () => {
  const worker = await client()
  for (const [line, answer] of [
    ['nonsense', 'UNKNOWN_COMMAND'],
    ['put 1 2 3', 'BAD_FORMAT'],
    ['put 4294967296 0 1 1', 'BAD_FORMAT'],
    ['reserve now', 'BAD_FORMAT'],
    ['reserve-with-timeout -1', 'BAD_FORMAT'],
    ['use -tube', 'BAD_FORMAT'],
    [`watch ${'x'.repeat(201)}`, 'BAD_FORMAT'],
    ['x'.repeat(1000), 'BAD_FORMAT'],
    ['delete x', 'BAD_FORMAT'],
    ['delete 99999999999999999999', 'BAD_FORMAT'],
    ['delete 99999999', 'NOT_FOUND'],
    ['kick', 'UNKNOWN_COMMAND'],
    ['stats-tube nobody', 'NOT_FOUND'],
    [`put 0 0 1 65536\r\n${'x'.repeat(65_536)}`, 'JOB_TOO_BIG'],
  ] as const)
    assert.equal(await worker.ask(line), answer, line.slice(0, 40))
  worker.send('put 0 0 1 1\r\nab')
  worker.send('c\r\n')
  assert.equal(await worker.answer(), 'EXPECTED_CRLF')
  await worker.answer()
  assert.match(await worker.ask('list-tube-used'), /^USING /)
})

test('an HTTP request ends the connection: its body is no commands', async () => {
  const page = await client('of a page')
  page.send('POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nput 0 0 1 4\r\nevil\r\n')
  assert.equal(await page.answer(), 'UNKNOWN_COMMAND')
  await page.closed()
  const other = await client('of a page')
  assert.equal(await other.ask('reserve-with-timeout 0'), 'TIMED_OUT')
  other.close()
})

test('all that a client sent before it closed its side is done and answered, but nobody who does waits for a job', async () => {
  const puts = 3000
  const socket = connect(broker.port('beanstalkd'), '127.0.0.1')
  socket.end(`use half\r\nwatch half\r\n${'put 0 0 60 1\r\nx\r\n'.repeat(puts)}reserve\r\n`)
  let text = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
  assert.equal(text.match(/INSERTED \d+\r\n/g)?.length, puts)
  assert.match(text, /RESERVED \d+ 1\r\nx\r\n$/)
  const waiting = connect(broker.port('beanstalkd'), '127.0.0.1')
  waiting.end('watch nobody\r\nignore default\r\nreserve-with-timeout 0\r\nreserve\r\n')
  let answers = ''
  for await (const chunk of waiting as AsyncIterable<Buffer>) answers += chunk.toString()
  assert.equal(answers, 'WATCHING 2\r\nWATCHING 1\r\nTIMED_OUT\r\n')
})

test('commands sent at once, and in pieces, are answered in their order', async () => {
  const worker = await client()
  const bytes = Buffer.from('put 1 0 60 3\r\nabc\r\nput 0 0 60 0\r\n\r\nreserve\r\nreserve\r\nlist-tubes-watched\r\n')
  for (const byte of bytes) worker.send(Buffer.from([byte]))
  const [first, second] = [await worker.answer(), await worker.answer()].map((answer) => answer.split(' ')[1])
  assert.equal(await worker.answer(), `RESERVED ${second} 0 `)
  assert.equal(await worker.answer(), `RESERVED ${first} 3 abc`)
  assert.match(await worker.answer(), /^OK \d+ ---\n- t\d+\n$/)
  worker.close()
})

test('puts sent at once are stored together, and answered in their order, refusals among them', async () => {
  const producer = await client()
  const good = 'put 1 0 60 3\r\nabc\r\n'
  producer.send(`${good}${good}put 1 0 60 1\r\nab\r\nbla\r\n${good}put x\r\n${good}list-tube-used\r\n${good}`)
  const answers: string[] = []
  while (answers.length < 9) answers.push(await producer.answer())
  const ids = answers.filter((answer) => answer.startsWith('INSERTED')).map((answer) => Number(answer.split(' ')[1]))
  assert.deepEqual(
    answers.map((answer) => answer.replace(/ .*/, '')),
    ['INSERTED', 'INSERTED', 'EXPECTED_CRLF', 'UNKNOWN_COMMAND', 'INSERTED', 'BAD_FORMAT', 'INSERTED', 'USING', 'INSERTED'],
  )
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => a - b),
  )
  for (const id of ids) assert.equal(await producer.ask('reserve'), `RESERVED ${id} 3 abc`)
  producer.close()
})

test('commands that settle jobs are answered in their order, none waiting for the one before, and quit after all of them', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  formats.register(jobFormat)
  await Server.of(broker).tubes.start()
  const told = { text: '', paused: false, ended: false }
  const session = new Session(silentConnection(told), broker, broker.anonymous)
  for (let count = 0; count < 4; count++) session.onBytes(Buffer.from('put 0 0 60 1\r\na\r\n'))
  await eventually(async () => told.text.endsWith('INSERTED 4\r\n'))
  told.text = ''
  const server = Server.of(broker)
  session.onBytes(
    Buffer.from(
      'reserve\r\ndelete 1\r\nreserve\r\nrelease 2 9 0\r\ndelete 99\r\nreserve\r\nbury 3 0\r\nlist-tube-used\r\ndelete 4\r\nquit\r\n',
    ),
  )
  // All is done within the turn; what is told waits for the disk.
  assert.equal(server.tubes.find(1), undefined)
  assert.equal(server.tubes.find(2)?.priority, 9)
  assert.equal(server.tubes.find(3)?.state, 'buried')
  assert.equal(server.tubes.find(4), undefined)
  assert.equal(told.text, 'RESERVED 1 1\r\na\r\n')
  assert.equal(told.ended, false)
  await eventually(async () => told.ended)
  const answers = ['RESERVED 1 1', 'a', 'DELETED', 'RESERVED 2 1', 'a', 'RELEASED', 'NOT_FOUND', 'RESERVED 3 1', 'a', 'BURIED']
  assert.equal(told.text, [...answers, 'USING default', 'DELETED', ''].join('\r\n'))
  await machine.stop()
})

test('of a client that sends on while it waits, no more is read than it may send ahead', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  formats.register(jobFormat)
  await Server.of(broker).tubes.start()
  const told = { text: '', paused: false }
  const session = new Session(silentConnection(told), broker, broker.anonymous)
  session.onBytes(Buffer.from('reserve\r\n'))
  session.onBytes(Buffer.alloc(200 * 1024, 'list-tube-used\r\n'))
  assert.equal(told.paused, false)
  session.onBytes(Buffer.alloc(100 * 1024, 'list-tube-used\r\n'))
  assert.equal(told.paused, true)
  const producer = new Session(silentConnection({ text: '', paused: false }), broker, broker.anonymous)
  producer.onBytes(Buffer.from('put 0 0 60 1\r\na\r\n'))
  await eventually(async () => told.text.startsWith('RESERVED 1 1\r\na\r\nUSING default\r\nUSING'))
  assert.equal(told.paused, false)
  await machine.stop()
})

/** Takes all that is written, and remembers whether it is asked to read. */
function silentConnection(told: { text: string; paused: boolean; ended?: boolean }): Connection {
  const slab = Buffer.alloc(64 * 1024)
  return {
    id: 1,
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    localAddress: '127.0.0.1',
    localPort: 2,
    encrypted: false,
    overWebSocket: false,
    peerName: undefined,
    upgrade: 'none',
    write: (bytes) => {
      told.text += Buffer.from(bytes).toString('latin1')
    },
    whenSent: (then) => then(),
    reserve: () => 0,
    slab,
    commit: (bytes) => {
      told.text += slab.toString('latin1', 0, bytes)
    },
    outboundBytes: 0,
    congested: false,
    pause: () => {
      told.paused = true
    },
    resume: () => {
      told.paused = false
    },
    end: () => {
      told.ended = true
    },
    destroy: () => undefined,
    info: { protocol: '', clientName: '', clientVersion: '', user: '', namespace: '' },
  }
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, 'not within 5 s')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
