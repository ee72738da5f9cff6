// Rights are asked before anything is told of a queue or an exchange, in RabbitMQ's words: nobody learns what is there, or keeps it from expiring.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import type { RunningBroker } from '../../server/start.ts'

let broker: RunningBroker
let admin: ChannelModel
let eve: ChannelModel

function connect(user: string): Promise<ChannelModel> {
  return amqplib.connect(`amqp://${user}:${user}@127.0.0.1:${portOf(broker, 'amqp')}`)
}

before(async () => {
  broker = await startTestBroker({
    only: ['amqp'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'admin', admin: true })
      const permissions = [{ namespace: 'default', publish: 'writable', consume: 'readable', manage: 'mine' }]
      await users.put('eve', { password: 'eve', permissions })
    },
  })
  admin = await connect('admin')
  eve = await connect('eve')
  const channel = await admin.createChannel()
  for (const name of ['secret', 'readable', 'writable']) {
    await channel.assertQueue(name)
    await channel.assertExchange(name, 'fanout')
  }
})
after(async () => {
  await admin.close()
  await eve.close()
  await broker.stop()
})

async function refused(what: (channel: Channel) => Promise<unknown>, access: string): Promise<void> {
  const channel = await eve.createChannel()
  channel.on('error', () => undefined)
  await assert.rejects(what(channel), (error: { code: number; message: string }) => {
    assert.equal(error.code, 403)
    assert.ok(error.message.includes(`ACCESS_REFUSED - ${access} in vhost '/' refused for user 'eve'`), error.message)
    return true
  })
}

test('declaring what is there takes the right to declare it; looking takes any right', async () => {
  for (const name of ['secret', 'missing', 'readable', 'writable']) {
    await refused((channel) => channel.assertQueue(name), `configure access to queue '${name}'`)
    await refused((channel) => channel.assertExchange(name, 'fanout'), `configure access to exchange '${name}'`)
  }
  for (const name of ['secret', 'missing']) {
    await refused((channel) => channel.checkQueue(name), `configure access to queue '${name}'`)
    await refused((channel) => channel.checkExchange(name), `configure access to exchange '${name}'`)
  }
  const channel = await eve.createChannel()
  await channel.assertQueue('mine')
  for (const name of ['mine', 'readable', 'writable']) assert.equal((await channel.checkQueue(name)).queue, name)
  for (const name of ['readable', 'writable']) await channel.checkExchange(name)
})

test('deleting, purging and reading are refused whether it is there or not', async () => {
  for (const name of ['secret', 'missing']) {
    await refused((channel) => channel.deleteQueue(name, { ifUnused: true }), `configure access to queue '${name}'`)
    await refused((channel) => channel.deleteExchange(name), `configure access to exchange '${name}'`)
    await refused((channel) => channel.purgeQueue(name), `read access to queue '${name}'`)
    await refused((channel) => channel.get(name), `read access to queue '${name}'`)
    await refused((channel) => channel.consume(name, () => undefined), `read access to queue '${name}'`)
  }
})

test('binding and unbinding take writing to the one and reading from the other, whether they are there or not', async () => {
  for (const name of ['secret', 'missing']) {
    await refused((channel) => channel.bindQueue(name, 'readable', ''), `write access to queue '${name}'`)
    await refused((channel) => channel.bindQueue('writable', name, ''), `read access to exchange '${name}'`)
    await refused((channel) => channel.unbindQueue(name, 'readable', ''), `write access to queue '${name}'`)
    await refused((channel) => channel.unbindQueue('writable', name, ''), `read access to exchange '${name}'`)
    await refused((channel) => channel.bindExchange(name, 'readable', ''), `write access to exchange '${name}'`)
    await refused((channel) => channel.bindExchange('writable', name, ''), `read access to exchange '${name}'`)
  }
  const channel = await eve.createChannel()
  await channel.bindQueue('writable', 'readable', '')
  await channel.unbindQueue('writable', 'readable', '')
})
