/** Mirrors and sources: what they hold, also over restarts, and subjects that are mapped on the way. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../../index.ts'
import { JetStreamClient, type Json } from './jetstream-client.testing.ts'
import { compileTransform } from './transforms.ts'

let broker: EmbeddedBroker
let client: JetStreamClient
const folder = mkdtempSync(path.join(tmpdir(), 'anymq-copies-'))
const start = async (): Promise<void> => {
  broker = await startBroker({ protocols: ['nats'], storage: { folder } })
  client = await JetStreamClient.open(broker.port('nats'))
}
const stop = async (): Promise<void> => {
  client.close()
  await broker.close()
}

before(start)
after(async () => {
  await stop()
  rmSync(folder, { recursive: true })
})

/** `sequence subject body` of what is there, once the last sequence is this one. */
async function held(stream: string, last: number): Promise<string[]> {
  for (;;) {
    const { state } = (await client.api(`STREAM.INFO.${stream}`)) as { state: { first_seq: number; last_seq: number } }
    if (state.last_seq < last) continue
    const all: string[] = []
    for (let sequence = state.first_seq; sequence <= state.last_seq; sequence++) {
      const { message } = (await client.api(`STREAM.MSG.GET.${stream}`, { seq: sequence })) as {
        message?: { subject: string; data: string }
      }
      if (message !== undefined) all.push(`${sequence} ${message.subject} ${Buffer.from(message.data, 'base64')}`)
    }
    return all
  }
}

test('a mirror has the sequences of its origin, gaps included, and goes on after a restart', async () => {
  await client.stream('origin')
  for (const body of ['a', 'b', 'c', 'd']) await client.publish(`origin.${body}`, body)
  await client.api('STREAM.MSG.DELETE.origin', { seq: 1 })
  await client.api('STREAM.MSG.DELETE.origin', { seq: 3 })
  await client.api('STREAM.CREATE.mirror', { name: 'mirror', mirror: { name: 'origin' } })
  assert.deepEqual(await held('mirror', 4), ['2 origin.b b', '4 origin.d d'])
  await stop()
  await start()
  await client.publish('origin.e', 'e')
  assert.deepEqual(await held('mirror', 5), ['2 origin.b b', '4 origin.d d', '5 origin.e e'])
  const { mirror } = (await client.api('STREAM.INFO.mirror')) as { mirror: Json }
  assert.deepEqual([mirror['name'], mirror['lag']], ['origin', 0])
  assert.equal(await client.refusal('STREAM.CREATE.bad', { name: 'bad', subjects: ['x'], mirror: { name: 'origin' } }), 10034)
})

test('sources are added to what a stream gets itself, filtered and with other subjects, once each', async () => {
  await client.stream('one')
  await client.stream('two')
  const sources = [
    { name: 'one', filter_subject: 'one.keep' },
    { name: 'two', subject_transforms: [{ src: 'two.*', dest: 'from.two.{{wildcard(1)}}' }] },
    { name: 'later' },
  ]
  await client.api('STREAM.CREATE.sum', { name: 'sum', subjects: ['sum.>'], sources })
  await client.publish('one.keep', '1')
  await client.publish('one.drop', 'x')
  const first = await held('sum', 1)
  await client.publish('two.a', '2')
  await held('sum', 2)
  await client.publish('sum.own', '3')
  await stop()
  await start()
  await client.publish('one.keep', '4')
  await held('sum', 4)
  await client.stream('later')
  await client.publish('later.x', '5')
  await broker.clock.advance('2s')
  assert.deepEqual(first, ['1 one.keep 1'])
  assert.deepEqual(await held('sum', 5), ['1 one.keep 1', '2 from.two.a 2', '3 sum.own 3', '4 one.keep 4', '5 later.x 5'])
  const { message } = (await client.api('STREAM.MSG.GET.sum', { seq: 2 })) as { message: { hdrs: string } }
  assert.match(Buffer.from(message.hdrs, 'base64').toString(), /Nats-Stream-Source: two 1 > > two\.a\r\n/)
  assert.equal(await client.refusal('STREAM.CREATE.self', { name: 'self', sources: [{ name: 'self' }] }), 10052)
})

test('a mirror answers direct gets of its origin when that is gone, if the origin answered them', async () => {
  await client.stream('direct', { allow_direct: true })
  await client.publish('direct.a', 'x')
  const { config } = (await client.api('STREAM.CREATE.image', { name: 'image', mirror: { name: 'direct' } })) as {
    config: { mirror_direct: boolean; duplicate_window?: number }
  }
  assert.deepEqual([config.mirror_direct, config.duplicate_window], [true, undefined])
  await held('image', 1)
  await client.api('STREAM.DELETE.direct')
  const { headers, body } = await client.request('$JS.API.DIRECT.GET.direct.direct.a')
  assert.deepEqual([headers['Nats-Stream'], body], ['image', 'x'])
})

test('copies that would lead round in a circle are refused', async () => {
  await client.stream('ring1', { sources: [{ name: 'ring3' }] })
  await client.stream('ring2', { sources: [{ name: 'ring1', filter_subject: 'ring1.>' }] })
  const back = { name: 'ring3', subjects: ['ring3.>'], sources: [{ name: 'ring2' }] }
  assert.equal(await client.refusal('STREAM.CREATE.ring3', back), 10052)
  assert.equal(await client.refusal('STREAM.CREATE.ring3', { name: 'ring3', mirror: { name: 'ring2' } }), 10052)
  await client.stream('ring3')
  assert.equal(await client.refusal('STREAM.UPDATE.ring3', back), 10052)
})

test('subjects are mapped word by word', () => {
  const cases: [string, string, string, string | null][] = [
    ['a.*.b.*', 'x.$2.$1', 'a.1.b.2', 'x.2.1'],
    ['a.>', 'b.>', 'a.1.2', 'b.1.2'],
    ['a.*.>', '{{wildcard(1)}}.>', 'a.1.2.3', '1.2.3'],
    ['>', 'p.>', 'q', 'p.q'],
    ['a', 'b', 'c', null],
    ['a.*', 'b', 'a.1', 'b'],
    ['a.>', 'b.>', 'a', null],
  ]
  for (const [src, dest, subject, expected] of cases) assert.equal(compileTransform({ src, dest })?.(subject), expected, src)
  for (const [src, dest] of [
    ['a', '$1'],
    ['a.*', '$2'],
    ['a', 'b.>'],
    ['a.*', '{{partition(3,1)}}'],
    ['a..b', 'c'],
  ] as const)
    assert.equal(compileTransform({ src, dest }), null, dest)
})
