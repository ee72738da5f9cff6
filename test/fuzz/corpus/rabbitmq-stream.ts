import { Key } from '../../../src/protocols/rabbitmq-stream/commands.ts'
import { StreamClient } from '../../../src/protocols/rabbitmq-stream/stream-client.testing.ts'
import { type Corpus, lengthPrefixed } from './corpus.ts'
import { Echoes } from './echoes.ts'

export const rabbitmqStream: Corpus = {
  listener: 'rabbitmq-stream',
  standardPort: 5552,
  frames: lengthPrefixed,

  async drive(port) {
    const client = await new StreamClient(port).open()
    const stream = 'fuzzed.stream'
    await client.create(stream, { 'max-age': '1h', 'max-length-bytes': '1000000' })
    await client.ask(Key.Metadata, (writer) => {
      writer.u32(1)
      writer.string(stream)
    })
    await client.declarePublisher(1, stream, 'fuzzed')
    await client.published(1, [1, 'one'], [2, 'two'], [3, 'x'.repeat(5000)])
    await client.published(1, [4, 'filtered', 'a'], [5, 'not filtered', null])
    await client.ask(Key.QueryPublisherSequence, (writer) => {
      writer.string('fuzzed')
      writer.string(stream)
    })
    await client.subscribe(1, stream, { type: 'first' }, 5)
    await client.chunk(1)
    client.credit(1, 3)
    await client.subscribe(2, stream, { type: 'offset', offset: 2 }, 1, { 'single-active-consumer': 'true', name: 'fuzzed' })
    const { correlationId } = await client.consumerUpdate()
    client.answerConsumerUpdate(correlationId, { type: 'offset', offset: 1 })
    client.storeOffset('fuzzed', stream, 3)
    await client.queryOffset('fuzzed', stream)
    await client.ask(Key.Unsubscribe, (writer) => writer.u8(1))
    await client.ask(Key.DeletePublisher, (writer) => writer.u8(1))
    await client.ask(Key.StreamStats, (writer) => writer.string(stream))
    await client.delete('fuzzed.nothing')
    await client.ask(Key.Close, (writer) => {
      writer.u16(1)
      writer.string('OK')
    })
    client.close()
  },

  async healthy(port) {
    const client = await new StreamClient(port).open()
    const stream = 'healthy.stream'
    await client.create(stream)
    await client.declarePublisher(1, stream)
    await client.subscribe(1, stream, { type: 'next' }, 10)
    const echoes = new Echoes()
    let id = 0
    return {
      beat: () =>
        echoes.beat(async (value) => {
          await client.published(1, [++id, value])
          const [body = ''] = await client.bodies(1, 1)
          client.credit(1, 1)
          echoes.heard(body)
        }),
      close: async () => client.close(),
    }
  },
}
