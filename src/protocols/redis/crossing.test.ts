/** Channels are addresses: what is published over Redis is heard by the broker's live subscribers, and the other way round. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../../test/support/machine.ts'
import { type LiveBatch, PublishItem } from '../../broker/face.ts'
import { payloadFormatId } from './mapping.ts'
import { TestClient } from './redis-client.testing.ts'

test('PUBLISH reaches live subscribers of the broker and counts them, and they are heard by SUBSCRIBE and PSUBSCRIBE', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const client = await TestClient.open(broker)
  const publisher = await TestClient.open(broker)
  const space = broker.space(broker.anonymous, 'default')
  const heard: string[] = []
  const listener = space.listen(
    { pattern: 'news.*' },
    {
      onRecords: (_, batch: LiveBatch) => {
        for (let i = 0; i < batch.length; i++) heard.push(`${batch.subject[i]} ${batch.bytes[i]}`)
      },
    },
  )
  await client.run('SUBSCRIBE', 'news.uk')
  await client.run('PSUBSCRIBE', 'news.?k')
  assert.equal(await publisher.run('PUBLISH', 'news.uk', 'hello'), 3)
  assert.deepEqual(await client.next(), ['message', 'news.uk', 'hello'])
  assert.deepEqual(await client.next(), ['pmessage', 'news.?k', 'news.uk', 'hello'])
  await publisher.run('PING')
  assert.deepEqual(heard, ['news.uk hello'])
  // Each hears it once, though the hub of channels listens, too.
  space.publish([new PublishItem(null, 'news.uk', payloadFormatId, Buffer.from('from elsewhere'))], () => undefined)
  const told = [await client.next(), await client.next()].map(String).sort()
  assert.deepEqual(told, ['message,news.uk,from elsewhere', 'pmessage,news.?k,news.uk,from elsewhere'])
  listener.close()
  await client.run('UNSUBSCRIBE')
  await client.run('PUNSUBSCRIBE')
  assert.equal(space.isHeard('news.uk'), false)
  assert.equal(await publisher.run('PUBLISH', 'news.uk', 'nobody'), 0)
  await machine.stop()
})
