/** mosquitto_pub and mosquitto_sub in each version, and what they publish as AMQP and Kafka clients see it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import amqplib from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { runCases, setting, unique, until, within } from '../cases/cases.ts'

const [host = '', port = ''] = setting('MQTT').split(':')
const versions = ['mqttv31', 'mqttv311', 'mqttv5'] as const

async function publish(topic: string, payload: string, ...options: string[]): Promise<void> {
  const child = spawn('mosquitto_pub', ['-h', host, '-p', port, '-t', topic, '-m', payload, ...options])
  const [code] = await within(10_000, 'mosquitto_pub', once(child, 'close'))
  assert.equal(code, 0)
}

/** Subscribes, and resolves once it has; `lines` resolves to what it printed when it has ended by itself. */
async function subscriber(topic: string, count: number, ...options: string[]): Promise<{ lines: () => Promise<string[]> }> {
  // Line by line: into a pipe it would say nothing before it ends.
  const command = ['mosquitto_sub', '-h', host, '-p', port, '-t', topic, '-C', String(count), '-d', ...options]
  const child = spawn('stdbuf', ['-oL', ...command])
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  // Not 'exit': its last line may still be in the pipe then.
  const closed = once(child, 'close')
  // What waits in a session may come, and be enough, before the answer to SUBSCRIBE.
  await until('SUBACK', () => output.includes('Subscribed (mid') || child.exitCode !== null)
  return {
    lines: async () => {
      const [code] = await within(15_000, 'mosquitto_sub', closed)
      assert.equal(code, 0, output)
      return output.split('\n').filter((line) => line.startsWith('> '))
    },
  }
}

const cases: Record<string, () => Promise<void>> = {}
for (const version of versions)
  for (const qos of ['0', '1', '2']) {
    cases[`${version} with QoS ${qos}`] = async () => {
      const topic = unique('mosquitto').replaceAll('.', '/')
      const sub = await subscriber(`${topic}/#`, 3, '-V', version, '-q', qos, '-F', '> %t %p %q')
      for (const text of ['1', '2', '3']) await publish(`${topic}/a`, text, '-V', version, '-q', qos)
      assert.deepEqual(
        await sub.lines(),
        ['1', '2', '3'].map((text) => `> ${topic}/a ${text} ${qos}`),
      )
    }
  }

await runCases({
  ...cases,

  'a session that is away': async () => {
    const topic = unique('away').replaceAll('.', '/')
    const session = ['-c', '-i', unique('client'), '-q', '1', '-F', '> %p']
    const first = await subscriber(topic, 1, ...session)
    await publish(topic, 'first', '-q', '1')
    assert.deepEqual(await first.lines(), ['> first'])
    await publish(topic, 'second', '-q', '1')
    assert.deepEqual(await (await subscriber(topic, 1, ...session)).lines(), ['> second'])
  },

  'a retained message with properties': async () => {
    const topic = unique('retained').replaceAll('.', '/')
    const properties = ['-D', 'publish', 'user-property', 'colour', 'blue', '-D', 'publish', 'content-type', 'text/plain']
    await publish(topic, 'kept', '-V', 'mqttv5', '-r', '-q', '1', ...properties)
    const sub = await subscriber(topic, 1, '-V', 'mqttv5', '-F', '> %p %r %P %C')
    assert.deepEqual(await sub.lines(), ['> kept 1 colour:blue text/plain'])
  },

  'to an AMQP queue bound to amq.topic, and back': async () => {
    const name = unique('sensors')
    const connection = await amqplib.connect(setting('AMQP'))
    const channel = await connection.createChannel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, 'amq.topic', `${name}.#`)
    const topic = `${name}.1.temp`.replaceAll('.', '/')
    await publish(topic, '21', '-V', 'mqttv5', '-q', '1', '-D', 'publish', 'user-property', 'unit', 'C')
    let got: amqplib.GetMessage | false = false
    await until('the message', async () => {
      got = await channel.get(queue, { noAck: true })
      return got !== false
    })
    const message = got as unknown as amqplib.GetMessage
    assert.deepEqual(
      [String(message.content), message.fields.exchange, message.fields.routingKey, message.properties.headers?.['unit']],
      ['21', 'amq.topic', `${name}.1.temp`, 'C'],
    )
    const sub = await subscriber(`${name.replaceAll('.', '/')}/+/temp`, 1, '-V', 'mqttv5', '-q', '1', '-F', '> %t %p %P')
    const options = { headers: { unit: 'F' }, persistent: true }
    channel.publish('amq.topic', `${name}.2.temp`, Buffer.from('70'), options)
    const [line = ''] = await sub.lines()
    // After it what AMQP alone knows, as anymq.* properties.
    assert.equal(line.split(' anymq.')[0], `> ${topic.replace('/1/', '/2/')} 70 unit:F`)
    await connection.close()
  },

  'to a Kafka topic, and from one': async () => {
    const name = unique('sensors')
    const kafka = new Kafka({ brokers: [setting('KAFKA')], logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], waitForLeaders: true })
    await admin.disconnect()
    await publish(name.replaceAll('.', '/'), 'from mqtt', '-q', '1')
    const consumer = kafka.consumer({ groupId: name })
    await consumer.subscribe({ topic: name, fromBeginning: true })
    const seen: string[] = []
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await until('the record', () => seen.length > 0)
    assert.deepEqual(seen, ['from mqtt'])
    await consumer.disconnect()
    const sub = await subscriber(name.replaceAll('.', '/'), 1, '-q', '1', '-F', '> %p')
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic: name, messages: [{ value: 'from kafka' }] })
    await producer.disconnect()
    assert.deepEqual(await sub.lines(), ['> from kafka'])
  },
})
