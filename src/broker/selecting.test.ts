/** Consumers of one subscription that each take only some of its records. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import { passedOverMax } from '../core/passed-over.ts'
import { accept, type Consumer, type Space, type SubscribeSpec } from './face.ts'

const item = (value: string, colour: string) => plainItem('q', { value, headers: { colour } })
const colour = (wanted: string): SubscribeSpec['selects'] => ({ kind: 'selector', expression: `colour = '${wanted}'` })

function consume(space: Space, selects: SubscribeSpec['selects'], credit: number): { sink: RememberingSink; consumer: Consumer } {
  const sink = new RememberingSink()
  const spec = { topic: 'q', subscription: '', autoSettle: false, name: 'c', ...(selects !== undefined && { selects }) }
  const consumer = space.subscribe(spec, sink)
  consumer.credit(credit)
  return { sink, consumer }
}

async function start(config: object = {}): Promise<{ machine: Machine; space: Space }> {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('q', { retention: 'acknowledged', ...config }, 'test')
  return { machine, space }
}

test('each gets what it selects, in order, and the rest stays for who comes later', async () => {
  const { machine, space } = await start()
  const red = consume(space, colour('red'), 1)
  await publish(space, item('1', 'blue'), item('2', 'red'), item('3', 'green'), item('4', 'red'), item('5', 'blue'))
  await until(() => red.sink.got.length === 1)
  const blue = consume(space, colour('blue'), 10)
  await until(() => blue.sink.got.length === 2)
  assert.deepEqual([red.sink.values, blue.sink.values], [['2'], ['1', '5']])
  red.consumer.settle([red.sink.got[0]?.id ?? -1], accept)
  red.consumer.credit(5)
  await until(() => red.sink.got.length === 2)
  assert.deepEqual(red.sink.values, ['2', '4'])
  assert.equal(space.status('q')?.subscriptions[0]?.ready, 1)
  const any = consume(space, undefined, 10)
  await until(() => any.sink.got.length === 1)
  assert.deepEqual(any.sink.values, ['3'])
  blue.consumer.close()
  await until(() => any.sink.got.length === 3)
  assert.deepEqual(any.sink.values, ['3', '1', '5'])
  await machine.stop()
})

test('what nobody selects is there again when no consumer selects any more, and for askers of single records', async () => {
  const { machine, space } = await start()
  const red = consume(space, colour('red'), 10)
  await publish(space, item('1', 'blue'), item('2', 'blue'), item('3', 'red'))
  await until(() => red.sink.got.length === 1)
  const taken = await new Promise<string>((resolve) => space.take('q', true, (record) => resolve(String(record?.bytes))))
  assert.equal((JSON.parse(taken) as { value: string }).value, '1')
  red.consumer.close()
  const any = consume(space, undefined, 10)
  await until(() => any.sink.got.length === 2)
  assert.deepEqual(any.sink.values, ['2', '3'])
  await machine.stop()
})

test('what was passed over still expires, and is not given out when it was taken away', async () => {
  const { machine, space } = await start({ deadLetter: { exchange: '', routingKey: 'dead' } })
  await space.createTopic('dead', { retention: 'acknowledged' }, 'test')
  const red = consume(space, colour('red'), 10)
  await publish(space, Object.assign(item('short', 'blue'), { ttlMs: 1000 }), item('gone', 'blue'), item('3', 'red'))
  await until(() => red.sink.got.length === 1)
  machine.clock.advance(1001)
  await until(() => space.status('dead')?.partitions[0]?.nextOffset === 1)
  await space.removeRecords('q', 0, [1])
  const any = consume(space, undefined, 10)
  await publish(space, item('4', 'blue'))
  await until(() => any.sink.got.length === 1)
  assert.deepEqual(any.sink.values, ['4'])
  await machine.stop()
})

test('so many stand aside at most; then it waits', async () => {
  const { machine, space } = await start()
  const red = consume(space, colour('red'), 10)
  const many = Array.from({ length: passedOverMax }, (_, at) => item(String(at), 'blue'))
  await publish(space, ...many)
  await publish(space, item('fits', 'red'), item('one more', 'blue'), item('behind', 'red'))
  await until(() => red.sink.got.length === 1)
  await turns(200)
  assert.deepEqual(red.sink.values, ['fits'])
  const blue = consume(space, colour('blue'), 1)
  await until(() => red.sink.got.length === 2)
  assert.deepEqual([red.sink.values, blue.sink.values], [['fits', 'behind'], ['0']])
  await machine.stop()
})

test('consumers cannot select where keys are exclusive, nor by what is no filter', async () => {
  const { machine, space } = await start()
  await space.createSubscription('q', 'keyed', { keyExclusive: 'group' })
  const spec = { topic: 'q', subscription: 'keyed', autoSettle: false, name: 'c' }
  assert.throws(() => space.subscribe({ ...spec, selects: { kind: 'selector', expression: 'a = 1' } }, new RememberingSink()), {
    code: 'Unsupported',
  })
  assert.throws(() => consume(space, { kind: 'selector', expression: 'a =' }, 1), { code: 'Invalid' })
  assert.equal(space.status('q')?.subscriptions.find(({ name }) => name === '')?.consumers, 0)
  await machine.stop()
})
