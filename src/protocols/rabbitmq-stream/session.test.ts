// Conversations over a real socket, one for each rule of the protocol.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { Key, responseBit } from './commands.ts'
import { Code } from './errors.ts'
import { StreamClient } from './stream-client.testing.ts'
import type { Reader } from './wire.ts'

let broker: EmbeddedBroker
const clients: StreamClient[] = []

before(async () => {
  broker = await startBroker({ protocols: ['rabbitmq-stream'] })
})
after(async () => {
  for (const client of clients) client.close()
  await broker.close()
})

const unopened = (): StreamClient => {
  const made = new StreamClient(broker.port('rabbitmq-stream'))
  clients.push(made)
  return made
}
const client = (): Promise<StreamClient> => unopened().open()
let names = 0
async function made(on: StreamClient, given: Record<string, string> = {}): Promise<string> {
  const name = `stream ${++names}`
  assert.equal(await on.create(name, given), Code.Ok)
  return name
}
const strings = (reader: Reader): string[] => Array.from({ length: reader.u32() }, () => reader.string())
const pairs = (reader: Reader): Record<string, string> =>
  Object.fromEntries(Array.from({ length: reader.u32() }, () => [reader.string(), reader.string()]))

test('the handshake: properties, mechanisms, login, tune, open', async () => {
  const one = unopened()
  const properties = await one.ask(Key.PeerProperties, (writer) => writer.u32(0))
  assert.equal(pairs(properties.reader)['product'], 'RabbitMQ')
  assert.deepEqual(strings((await one.ask(Key.SaslHandshake)).reader), ['PLAIN'])
  assert.equal((await one.authenticate('guest', 'guest')).code, Code.Ok)
  const tune = await one.next(({ key }) => key === Key.Tune)
  assert.deepEqual([tune.reader.u32(), tune.reader.u32()], [1048576, 60])
  one.send(Key.Tune | responseBit, (writer) => {
    writer.u32(0)
    writer.u32(0)
  })
  const opened = await one.ask(Key.Open, (writer) => writer.string('/'))
  assert.equal(opened.code, Code.Ok)
  assert.deepEqual(pairs(opened.reader), {
    advertised_host: '127.0.0.1',
    advertised_port: String(broker.port('rabbitmq-stream')),
  })
  assert.equal(
    (
      await one.ask(Key.Close, (writer) => {
        writer.u16(1)
        writer.string('OK')
      })
    ).code,
    Code.Ok,
  )
  await one.closed()
})

test('mechanisms that are not offered, and a virtual host that is not there, are refused and the connection ends', async () => {
  for (const mechanism of ['EXTERNAL', 'AMQPLAIN']) {
    const one = unopened()
    assert.equal((await one.authenticate('guest', 'guest', mechanism)).code, Code.SaslMechanismNotSupported)
    await one.closed()
  }
  const other = unopened()
  await other.authenticate('guest', 'guest')
  other.send(Key.Tune, (writer) => {
    writer.u32(0)
    writer.u32(0)
  })
  assert.equal((await other.ask(Key.Open, (writer) => writer.string('nowhere'))).code, Code.VirtualHostAccessFailure)
  await other.closed()
})

test('before Open a frame above 8 KiB, or one that is not due, ends the connection', async () => {
  const large = unopened()
  large.send(Key.PeerProperties, (writer) => writer.raw(Buffer.alloc(9000)))
  await large.closed()
  const early = unopened()
  early.send(Key.Create, (writer) => writer.u32(1))
  await early.closed()
})

test('after Open garbage and a frame above the limit are answered with Close, by their codes', async () => {
  const cases: [(one: StreamClient) => void, number, string][] = [
    [(one) => one.send(99, () => undefined), Code.UnknownFrame, 'unknown frame'],
    [(one) => one.send(Key.Create, (writer) => writer.u32(1)), Code.UnknownFrame, 'unknown frame'],
    [(one) => one.send(Key.Publish, (writer) => writer.u8(0), 3), Code.UnknownFrame, 'unknown frame'],
    [(one) => one.socket.write(Buffer.from('00100001', 'hex')), Code.FrameTooLarge, 'frame too large'],
  ]
  for (const [send, code, reason] of cases) {
    const one = await client()
    send(one)
    const { reader } = await one.next(({ key }) => key === Key.Close)
    const correlationId = reader.u32()
    assert.deepEqual([reader.u16(), reader.string()], [code, reason])
    // What is buffered behind the refused frame does not matter: the rest of it never came.
    if (code === Code.FrameTooLarge) one.close()
    else
      one.send(Key.Close | responseBit, (writer) => {
        writer.u32(correlationId)
        writer.u16(Code.Ok)
      })
    await one.closed()
  }
})

test('Create: names and arguments that are not possible, and streams that exist', async () => {
  const one = await client()
  const name = await made(one, { 'max-length-bytes': '1000000', 'max-age': '8h', 'stream-max-segment-size-bytes': '100000' })
  assert.equal(
    await one.create(name, { 'max-length-bytes': '1000000', 'max-age': '8h', 'stream-max-segment-size-bytes': '100000' }),
    Code.StreamAlreadyExists,
  )
  assert.equal(await one.create(name, { 'max-age': '9h' }), Code.PreconditionFailed)
  for (const wrong of ['', 'amq.x', '\n']) assert.equal(await one.create(wrong), Code.PreconditionFailed, JSON.stringify(wrong))
  const refused: Record<string, string>[] = [
    { 'max-age': '8' },
    { 'max-age': '1w' },
    { 'max-length-bytes': '-1' },
    { 'max-length-bytes': 'x' },
    { 'stream-max-segment-size-bytes': '4000000000' },
    { 'initial-cluster-size': '0' },
    { 'stream-filter-size-bytes': '15' },
    { 'queue-leader-locator': 'moon' },
  ]
  for (const given of refused) assert.equal(await one.create('refused', given), Code.PreconditionFailed, JSON.stringify(given))
  assert.equal(await one.delete(name), Code.Ok)
  assert.equal(await one.delete(name), Code.StreamDoesNotExist)
})

test('Metadata: where each stream is, and which are not', async () => {
  const one = await client()
  const name = await made(one)
  const { reader } = await one.ask(Key.Metadata, (writer) => {
    writer.u32(2)
    writer.string(name)
    writer.string('none')
  })
  assert.deepEqual(
    [reader.u32(), reader.u16(), reader.string(), reader.u32()],
    [1, 0, '127.0.0.1', broker.port('rabbitmq-stream')],
  )
  assert.equal(reader.u32(), 2)
  assert.deepEqual([reader.string(), reader.u16(), reader.u16(), reader.u32()], [name, Code.Ok, 0, 0])
  assert.deepEqual([reader.string(), reader.u16(), reader.u16(), reader.u32()], ['none', Code.StreamDoesNotExist, 0xffff, 0])
})

test('publishers: declared once by id and by reference, unknown ones refused message by message', async () => {
  const one = await client()
  const name = await made(one)
  assert.equal(await one.declarePublisher(1, 'none'), Code.StreamDoesNotExist)
  assert.equal(await one.declarePublisher(1, name, 'x'.repeat(256)), Code.PreconditionFailed)
  assert.equal(await one.declarePublisher(1, name, 'writer'), Code.Ok)
  assert.equal(await one.declarePublisher(1, name), Code.PreconditionFailed)
  assert.equal(await one.declarePublisher(2, name, 'writer'), Code.PreconditionFailed)
  one.publish(9, [
    [1, 'a'],
    [2, 'b'],
  ])
  assert.deepEqual((await one.answered()).refused, [
    [1, Code.PublisherDoesNotExist],
    [2, Code.PublisherDoesNotExist],
  ])
  const remove = (id: number) => one.ask(Key.DeletePublisher, (writer) => writer.u8(id))
  assert.equal((await remove(1)).code, Code.Ok)
  assert.equal((await remove(1)).code, Code.PublisherDoesNotExist)
})

test('a named publisher: what comes again is confirmed and not stored; the sequence is told', async () => {
  const one = await client()
  const name = await made(one)
  await one.declarePublisher(1, name, 'writer')
  const sequence = async (reference: string) => {
    const { code, reader } = await one.ask(Key.QueryPublisherSequence, (writer) => {
      writer.string(reference)
      writer.string(name)
    })
    return [code, reader.u64()]
  }
  assert.deepEqual(await sequence('writer'), [Code.Ok, 0])
  await one.published(1, [10, 'a'], [20, 'b'])
  await one.published(1, [10, 'a again'], [20, 'b again'])
  await one.published(1, [20, 'b once more'], [35, 'c'])
  assert.deepEqual(await sequence('writer'), [Code.Ok, 35])
  assert.deepEqual(await sequence('another'), [Code.Ok, 0])
  await one.subscribe(1, name)
  assert.deepEqual(await one.bodies(1, 3), ['a', 'b', 'c'])
})

test('Subscribe: from each place, and what is refused', async () => {
  const one = await client()
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.published(1, [1, 'a'])
  const between = broker.clock.now() + 1
  await broker.clock.advance(2)
  await one.published(1, [2, 'b'], [3, 'c'])
  assert.equal(await one.subscribe(1, 'none'), Code.StreamDoesNotExist)
  assert.equal(await one.subscribe(1, name, { type: 'none' }), Code.PreconditionFailed)
  assert.equal(await one.subscribe(1, name, { type: 'first' }, 5, { name: 'x'.repeat(256) }), Code.PreconditionFailed)
  assert.equal(await one.subscribe(1, name), Code.Ok)
  assert.equal(await one.subscribe(1, name), Code.SubscriptionIdAlreadyExists)
  assert.deepEqual(await one.bodies(1, 3), ['a', 'b', 'c'])
  await one.subscribe(2, name, { type: 'last' })
  assert.deepEqual(await one.bodies(2, 2), ['b', 'c'])
  // A chunk goes out whole: the client passes over what is before its offset.
  await one.subscribe(3, name, { type: 'offset', offset: 2 })
  assert.equal((await one.chunk(3)).firstOffset, 1)
  await one.subscribe(4, name, { type: 'timestamp', timestamp: between })
  assert.deepEqual(await one.bodies(4, 2), ['b', 'c'])
  await one.subscribe(5, name, { type: 'next' })
  await one.subscribe(6, name, { type: 'offset', offset: 1000 })
  await one.subscribe(7, name, { type: 'timestamp', timestamp: broker.clock.now() + 1e6 })
  await one.published(1, [4, 'd'])
  for (const id of [5, 6, 7]) assert.deepEqual(await one.bodies(id, 1), ['d'], `subscription ${id}`)
})

test('credit is chunks: none goes out without, and unknown subscriptions are answered', async () => {
  const one = await client()
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.subscribe(1, name, { type: 'next' }, 1)
  await one.published(1, [1, 'a'])
  assert.deepEqual(await one.bodies(1, 1), ['a'])
  await one.published(1, [2, 'b'])
  // Whatever was on its way has come before the answer to this.
  await one.queryOffset('nobody', name)
  assert.deepEqual(one.unread, [])
  one.credit(1, 1)
  assert.deepEqual(await one.bodies(1, 1), ['b'])
  one.credit(77, 1)
  const { reader } = await one.next(({ key }) => key === (Key.Credit | responseBit))
  assert.deepEqual([reader.u16(), reader.u8()], [Code.SubscriptionIdDoesNotExist, 77])
  const leave = (id: number) => one.ask(Key.Unsubscribe, (writer) => writer.u8(id))
  assert.equal((await leave(1)).code, Code.Ok)
  assert.equal((await leave(1)).code, Code.SubscriptionIdDoesNotExist)
  await one.published(1, [3, 'c'])
  await one.queryOffset('nobody', name)
  assert.deepEqual(one.unread, [])
})

test('ExchangeCommandVersions: who takes version 2 of Deliver gets it', async () => {
  const one = await client()
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.published(1, [1, 'a'])
  await one.subscribe(1, name)
  assert.equal((await one.chunk(1)).version, 1)
  const { code, reader } = await one.ask(Key.ExchangeCommandVersions, (writer) => {
    writer.u32(1)
    for (const each of [Key.Deliver, 1, 2]) writer.u16(each)
  })
  assert.equal(code, Code.Ok)
  const versions = Array.from({ length: reader.u32() }, () => [reader.u16(), reader.u16(), reader.u16()])
  // rstream takes the second for Publish's.
  assert.deepEqual(versions[1], [Key.Publish, 1, 2])
  await one.subscribe(2, name)
  assert.equal((await one.chunk(2)).version, 2)
})

test('filters: the server leaves out chunks without a wanted value', async () => {
  const one = await client()
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.published(1, [1, 'a', 'red'])
  await one.published(1, [2, 'b', 'blue'])
  await one.published(1, [3, 'c', null])
  await one.published(1, [4, 'd', 'red'])
  await one.subscribe(1, name, { type: 'first' }, 10, { 'filter.0': 'red' })
  assert.deepEqual(await one.bodies(1, 2), ['a', 'd'])
  await one.subscribe(2, name, { type: 'first' }, 10, { 'filter.0': 'blue', 'filter.1': 'green', 'match-unfiltered': 'true' })
  assert.deepEqual(await one.bodies(2, 2), ['b', 'c'])
})

test('offsets are stored by reference and stream, and answered', async () => {
  const one = await client()
  const name = await made(one)
  assert.equal((await one.queryOffset('reader', name)).code, Code.NoOffset)
  assert.equal((await one.queryOffset('reader', 'none')).code, Code.StreamDoesNotExist)
  for (const offset of [0, 41, 7]) {
    one.storeOffset('reader', name, offset)
    const { code, reader } = await one.queryOffset('reader', name)
    assert.deepEqual([code, reader.u64()], [Code.Ok, offset])
  }
  // What can not be stored has no answer, and changes nothing.
  one.storeOffset('x'.repeat(256), name, 1)
  one.storeOffset('reader', 'none', 1)
  assert.equal((await one.queryOffset('reader', name)).reader.u64(), 7)
  await one.delete(name)
  await one.create(name)
  assert.equal((await one.queryOffset('reader', name)).code, Code.NoOffset)
})

test('StreamStats and ResolveOffsetSpec', async () => {
  const one = await client()
  const name = await made(one)
  const stats = async () => {
    const { reader } = await one.ask(Key.StreamStats, (writer) => writer.string(name))
    return Object.fromEntries(Array.from({ length: reader.u32() }, () => [reader.string(), reader.i64()]))
  }
  const nothing = { first_chunk_id: -1, committed_chunk_id: -1, last_chunk_id: -1, committed_offset: -1 }
  assert.deepEqual(await stats(), nothing)
  await one.declarePublisher(1, name)
  await one.published(1, [1, 'a'])
  await one.published(1, [2, 'b'], [3, 'c'])
  assert.deepEqual(await stats(), { first_chunk_id: 0, committed_chunk_id: 1, last_chunk_id: 1, committed_offset: 2 })
  const resolve = async (type: number) => {
    const { code, reader } = await one.ask(Key.ResolveOffsetSpec, (writer) => {
      writer.string(name)
      writer.u16(type)
    })
    return [code, reader.u16(), reader.u64()]
  }
  assert.deepEqual(await resolve(1), [Code.Ok, 4, 0])
  assert.deepEqual(await resolve(2), [Code.Ok, 4, 1])
  assert.deepEqual(await resolve(3), [Code.Ok, 4, 3])
})

test('MetadataUpdate: who publishes or reads is told when the stream goes, also in another connection', async () => {
  const [one, other] = [await client(), await client()]
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.subscribe(1, name)
  await other.subscribe(1, name)
  assert.equal(await other.delete(name), Code.Ok)
  for (const each of [one, other]) {
    const { reader } = await each.next(({ key }) => key === Key.MetadataUpdate)
    assert.deepEqual([reader.u16(), reader.string()], [Code.StreamNotAvailable, name])
  }
  one.publish(1, [[1, 'too late']])
  assert.deepEqual((await one.answered()).refused, [[1, Code.PublisherDoesNotExist]])
  assert.equal(await one.create(name), Code.Ok)
  assert.equal(await one.declarePublisher(1, name), Code.Ok)
  assert.equal(await one.subscribe(1, name), Code.Ok)
  assert.deepEqual(one.unread, [])
})

async function createSuperStream(on: StreamClient, name: string, partitions: string[], keys: string[]): Promise<number> {
  const { code } = await on.ask(Key.CreateSuperStream, (writer) => {
    writer.string(name)
    for (const list of [partitions, keys]) {
      writer.u32(list.length)
      for (const each of list) writer.string(each)
    }
    writer.u32(0)
  })
  return code
}

test('super streams: made, routed, listed in their order, deleted whole', async () => {
  const one = await client()
  const partitions = ['b', 'a', 'c'].map((each) => `super-${each}`)
  assert.equal(await createSuperStream(one, 'super', partitions, ['1', '2']), Code.PreconditionFailed)
  assert.equal(await createSuperStream(one, 'super', ['x', 'x'], ['1', '2']), Code.PreconditionFailed)
  assert.equal(await createSuperStream(one, 'super', partitions, ['1', '2', '3']), Code.Ok)
  assert.equal(await createSuperStream(one, 'super', ['y'], ['1']), Code.StreamAlreadyExists)
  assert.equal(await createSuperStream(one, 'super 2', ['z', 'super-a'], ['1', '2']), Code.StreamAlreadyExists)
  const list = async (name: string) => {
    const { code, reader } = await one.ask(Key.Partitions, (writer) => writer.string(name))
    return [code, strings(reader)]
  }
  assert.deepEqual(await list('super'), [Code.Ok, partitions])
  assert.deepEqual(await list('none'), [Code.StreamDoesNotExist, []])
  const route = async (key: string) => {
    const { code, reader } = await one.ask(Key.Route, (writer) => {
      writer.string(key)
      writer.string('super')
    })
    return [code, strings(reader)]
  }
  assert.deepEqual(await route('2'), [Code.Ok, ['super-a']])
  assert.deepEqual(await route('9'), [Code.Ok, []])
  assert.equal((await one.ask(Key.DeleteSuperStream, (writer) => writer.string('super'))).code, Code.Ok)
  assert.equal((await one.ask(Key.DeleteSuperStream, (writer) => writer.string('super'))).code, Code.StreamDoesNotExist)
  assert.equal(await one.create('super-a'), Code.Ok)
})

test('single active consumer: reads once it answered, and the next goes on where it says', async () => {
  const [one, other] = [await client(), await client()]
  const name = await made(one)
  await one.declarePublisher(1, name)
  await one.published(1, [1, 'a'])
  const sac = { 'single-active-consumer': 'true', name: 'group' }
  assert.equal(await one.subscribe(5, name, { type: 'first' }, 10, { 'single-active-consumer': 'true' }), Code.PreconditionFailed)
  assert.equal(await one.subscribe(5, name, { type: 'first' }, 10, sac), Code.Ok)
  const begin = await one.consumerUpdate()
  assert.deepEqual([begin.subscriptionId, begin.active], [5, true])
  one.answerConsumerUpdate(begin.correlationId, { type: 'none' })
  assert.deepEqual(await one.bodies(5, 1), ['a'])
  assert.equal(await other.subscribe(6, name, { type: 'first' }, 10, sac), Code.Ok)
  // Whose turn it is not is told so when it gives credit.
  other.credit(6, 1)
  const { reader } = await other.next(({ key }) => key === (Key.Credit | responseBit))
  assert.deepEqual([reader.u16(), reader.u8()], [Code.PreconditionFailed, 6])
  one.close()
  const next = await other.consumerUpdate()
  assert.deepEqual([next.subscriptionId, next.active], [6, true])
  const publisher = await client()
  await publisher.declarePublisher(1, name)
  await publisher.published(1, [2, 'b'])
  other.answerConsumerUpdate(next.correlationId, { type: 'offset', offset: 1 })
  assert.deepEqual(await other.bodies(6, 1), ['b'])
})

test('a second login keeps user and mechanism', async () => {
  const one = await client()
  assert.equal((await one.authenticate('guest', 'other')).code, Code.Ok)
  assert.equal((await one.authenticate('somebody', 'guest')).code, Code.SaslCannotChangeUsername)
  await one.closed()
})
