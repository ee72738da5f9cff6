/** The subject space: live subscribers, captures, and what is bound to amq.topic, for whatever is published to an address. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Machine, publish, spaceOf, textsRead } from '../../test/support/machine.ts'
import { type LiveBatch, PublishItem, PublishStatus, type Space } from './face.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function listen(space: Space, pattern: string, group?: string): { heard: string[]; close: () => void } {
  const heard: string[] = []
  const onRecords = (_: unknown, batch: LiveBatch): void => {
    for (let i = 0; i < batch.length; i++) heard.push(`${batch.subject[i]}=${batch.bytes[i]}`)
  }
  const listener = space.listen(group === undefined ? { pattern } : { pattern, group }, { onRecords })
  return { heard, close: () => listener.close() }
}

function to(address: string, text: string, exchange: string | null = null): PublishItem {
  return new PublishItem(exchange, address, 1, Buffer.from(text))
}

function naive(pattern: string, subject: string): boolean {
  const go = (p: readonly string[], s: readonly string[]): boolean => {
    const [head, ...rest] = p
    if (head === undefined) return s.length === 0
    if (head === '#') return s.some((_, skip) => go(rest, s.slice(skip))) || go(rest, [])
    return s.length > 0 && (head === '*' || head === s[0]) && go(rest, s.slice(1))
  }
  return go(pattern.split('.'), subject.split('.'))
}

test('a listener hears exactly what its pattern says, each record once, in order', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const word = fc.constantFrom('a', 'b', '')
  const pattern = fc
    .array(fc.oneof(word, fc.constantFrom('*', '#')), { minLength: 1, maxLength: 4 })
    .map((words) => words.join('.'))
  const subject = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('.'))
  await fc.assert(
    fc.asyncProperty(fc.array(pattern, { maxLength: 6 }), fc.array(subject, { maxLength: 8 }), async (patterns, subjects) => {
      const listeners = patterns.map((each) => listen(space, each))
      const items = subjects.map((each, index) => to(each, String(index)))
      space.publish(items, () => undefined)
      await turn()
      for (const [index, { heard, close }] of listeners.entries()) {
        const expected = subjects
          .map((each, at) => `${each}=${at}`)
          .filter((_, at) => naive(patterns[index] ?? '', subjects[at] ?? ''))
        assert.deepEqual(heard, expected, patterns[index])
        close()
      }
    }),
    { numRuns: 200 },
  )
  await machine.stop()
})

test('of a group one member hears each record, in turn; who has left hears nothing', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const [one, two, other] = [
    listen(space, 'jobs.*', 'workers'),
    listen(space, 'jobs.#', 'workers'),
    listen(space, 'jobs.a', 'audit'),
  ]
  await publish(space, to('jobs.a', '1'), to('jobs.a', '2'), to('jobs.a', '3'), to('jobs.a', '4'))
  await turn()
  assert.deepEqual([one.heard.length, two.heard.length, other.heard.length], [2, 2, 4])
  one.close()
  await publish(space, to('jobs.a', '5'))
  await turn()
  assert.deepEqual([one.heard.length, two.heard.length], [2, 3])
  assert.equal(space.isHeard('jobs.b'), true)
  two.close()
  other.close()
  assert.equal(space.isHeard('jobs.b'), false)
  await machine.stop()
})

test('an address reaches its topic, captures, amq.topic bindings and listeners, each once; the default exchange leaves bindings out', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('sensors.1', {}, 'test')
  await space.createTopic('all', { captures: ['sensors.#', '*.1'] }, 'test')
  await space.createTopic('bound', { retention: 'acknowledged' }, 'test')
  const binding = { source: 'amq.topic', destination: 'bound', destinationKind: 'topic' as const, arguments: {} }
  await space.bind({ ...binding, key: 'sensors.*' })
  await space.bind({ ...binding, key: '#' })
  const { heard } = listen(space, 'sensors.#')
  const [address, queue, exchange] = [
    to('sensors.1', 'address'),
    to('sensors.1', 'queue', ''),
    to('sensors.1', 'exchange', 'amq.topic'),
  ]
  await publish(space, address, queue, exchange)
  assert.deepEqual([address.routedTo, queue.routedTo, exchange.routedTo], [3, 2, 2])
  const stored = async (name: string): Promise<string[]> => textsRead(await space.peek(name, { limit: 10 }))
  assert.deepEqual(await stored('sensors.1'), ['address', 'queue'])
  assert.deepEqual(await stored('all'), ['address', 'queue', 'exchange'])
  assert.deepEqual(await stored('bound'), ['address', 'exchange'])
  assert.deepEqual(heard, ['sensors.1=address', 'sensors.1=queue', 'sensors.1=exchange'])
  assert.deepEqual((await space.peek('all', { limit: 1 }))[0]?.subject, 'sensors.1')
  assert.deepEqual((await space.peek('sensors.1', { limit: 1 }))[0]?.subject, null)

  const again = spaceOf(await machine.crash())
  await publish(again, to('other.1', 'late'))
  assert.deepEqual(
    (await again.peek('all', { limit: 10 })).map(({ subject, bytes }) => `${subject}=${bytes}`),
    ['sensors.1=address', 'sensors.1=queue', 'sensors.1=exchange', 'other.1=late'],
  )
  await again.alterTopic('all', { captures: [] })
  const nowhere = to('other.2', 'gone')
  await new Promise<void>((resolve) => again.publish([nowhere], resolve))
  assert.equal(nowhere.routedTo, 1, 'bound to # still')
  await machine.stop()
})

test('nobody at an address is NotFound; listeners alone are enough, and nothing waits for the disk', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const lost = to('nowhere', 'x')
  await new Promise<void>((resolve) => space.publish([lost], resolve))
  assert.deepEqual([lost.status, lost.errorCode], [PublishStatus.Failed, 'NotFound'])
  const { heard } = listen(space, 'nowhere')
  const found = to('nowhere', 'y')
  await new Promise<void>((resolve) => space.publish([found], resolve))
  assert.deepEqual([found.status, found.heardBy, found.routedTo], [PublishStatus.Stored, 1, 0])
  await turn()
  assert.deepEqual(heard, ['nowhere=y'])
  await machine.stop()
})

test('records of a transaction reach captures and listeners when it is committed, never when it is aborted', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('orders', {}, 'test')
  await space.createTopic('all', { captures: ['#'], retention: 'acknowledged' }, 'test')
  const { heard } = listen(space, 'orders')
  let sequence = 0
  for (const [text, commit] of [
    ['kept', true],
    ['gone', false],
  ] as const) {
    const item = to('orders', text)
    Object.assign(item, { producerId: 9, producerEpoch: 0, producerSequence: sequence++, undecided: true })
    await publish(space, item)
    assert.equal(heard.includes(`orders=${text}`), false)
    const decision = {
      producerId: 9,
      producerEpoch: 0,
      commit,
      partitions: [{ topic: 'orders', partition: 0 }],
      marker: { format: 1, payload: Buffer.from('marker') },
    }
    await new Promise((resolve) => broker.atomically(() => space.decide(decision), resolve))
    await turn()
  }
  assert.deepEqual(heard, ['orders=kept'])
  assert.deepEqual(textsRead(await space.peek('all', { limit: 10 })), ['kept'])
  await machine.stop()
})

test('a listener can leave out what one connection publishes; the others of its group get that', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const heard: string[] = []
  const sink = (name: string) => ({
    onRecords: (_: unknown, batch: LiveBatch): void => {
      for (const bytes of batch.bytes) heard.push(`${name}=${bytes}`)
    },
  })
  space.listen({ pattern: 'a', exceptConnection: 7 }, sink('alone'))
  space.listen({ pattern: 'a', group: 'g', exceptConnection: 7 }, sink('own'))
  const own = to('a', '1')
  own.connection = 7
  await new Promise<void>((resolve) => space.publish([own], resolve))
  assert.deepEqual([own.status, own.errorCode, own.heardBy], [PublishStatus.Failed, 'NotFound', 0])
  space.listen({ pattern: 'a', group: 'g', exceptConnection: 8 }, sink('other'))
  const items = ['2', '3'].map((text) => Object.assign(to('a', text), { connection: 7 }))
  await new Promise<void>((resolve) => space.publish([...items, to('a', '4')], resolve))
  await turn()
  assert.deepEqual(
    items.map(({ heardBy }) => heardBy),
    [1, 1],
  )
  assert.deepEqual(heard.sort(), ['alone=4', 'other=2', 'other=3', 'own=4'])
  await machine.stop()
})

test('a listener with a limit gets so many and no more, of a group the others get the rest', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  const heard: Record<string, string[]> = { limited: [], other: [] }
  const listenAs = (name: string) =>
    space.listen(
      { pattern: 'a', group: 'g' },
      { onRecords: (_, batch) => heard[name]?.push(...batch.bytes.map((bytes) => String(bytes))) },
    )
  const limited = listenAs('limited')
  const other = listenAs('other')
  limited.limit(2)
  await new Promise<void>((resolve) =>
    space.publish(
      ['1', '2', '3', '4', '5', '6'].map((text) => to('a', text)),
      resolve,
    ),
  )
  assert.equal(limited.handed, 2)
  await turn()
  assert.deepEqual(heard, { limited: ['1', '3'], other: ['2', '4', '5', '6'] })
  // What it has got it still hears of, though it is to get nothing more.
  space.publish([to('a', '7')], () => undefined)
  other.limit(other.handed)
  await turn()
  assert.deepEqual(heard['other'], ['2', '4', '5', '6', '7'])
  assert.equal(space.isHeard('a'), false)
  await machine.stop()
})

test('what nothing stores can be told without being published; what may be stored, or is forbidden, cannot', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  const { heard, close } = listen(space, 'live.*')
  const tell = (address: string, from: Space = space): number => from.tell(address, 1, Buffer.from('told'), 0)
  assert.deepEqual([tell('live.1'), tell('live.2'), tell('nobody')], [1, 1, 0])
  assert.deepEqual(heard, [], 'not within the call')
  await turn()
  assert.deepEqual(heard, ['live.1=told', 'live.2=told'])

  await space.createTopic('live.1', {}, 'test')
  assert.deepEqual([tell('live.1'), tell('live.2')], [-1, 1], 'a topic of its name')
  await space.createTopic('kept', { captures: ['live.3'] }, 'test')
  assert.deepEqual([tell('live.3'), tell('live.4')], [-1, 1], 'a topic that captures it')
  const forbidden = broker.space({ user: 'somebody', may: (action) => action !== 'publish' }, 'default')
  assert.equal(tell('live.4', forbidden), -1)
  const binding = { source: 'amq.topic', destination: 'kept', destinationKind: 'topic' as const, key: 'other', arguments: {} }
  await space.bind(binding)
  assert.equal(tell('live.4'), -1, 'bindings may lead somewhere')
  await space.unbind(binding)
  assert.equal(tell('live.4'), 1)
  close()
  assert.equal(tell('live.4'), 0)
  await machine.stop()
})

test('who may not hear a subject any more does not, also of subjects that differ in their last word alone', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await broker.users.put('chief', { password: 'secret', admin: true })
  const principal = await broker.authenticate({ kind: 'password', user: 'chief', password: 'secret' }, '127.0.0.1')
  const { heard } = listen(broker.space(principal, 'default'), 'secret.*')
  const tell = (address: string): number => space.tell(address, 1, Buffer.from('told'), 0)
  assert.deepEqual([tell('secret.1'), tell('secret.2')], [1, 1])
  await broker.users.put('chief', { admin: false })
  assert.deepEqual([tell('secret.1'), tell('secret.3')], [0, 0])
  await broker.users.put('chief', { permissions: [{ namespace: 'default', publish: '', consume: 'secret.3', manage: '' }] })
  assert.deepEqual([tell('secret.1'), tell('secret.3'), tell('secret.4')], [0, 1, 0])
  await turn()
  assert.deepEqual(heard, ['secret.1=told', 'secret.2=told', 'secret.3=told'])
  await machine.stop()
})
