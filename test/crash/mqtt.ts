/** Publishing from the MQTT side, by MQTT.js: with QoS 1 confirmed by PUBACK, with QoS 2 by PUBCOMP. What is stored is read as an AMQP queue. */
import amqplib from 'amqplib'
import mqtt from 'mqtt'
import { within } from '../interop/cases/cases.ts'
import { begin, KEYS, type Ledger, type Publisher, send } from './ledger.ts'

const IN_FLIGHT = 50

export async function mqttPublisher(
  address: string,
  amqpUrl: string,
  topic: string,
  qos: 1 | 2,
  ledger: Ledger,
): Promise<Publisher> {
  begin(ledger)
  await declare(amqpUrl, topic)
  const client = mqtt.connect(`mqtt://${address}`, { reconnectPeriod: 0, protocolVersion: 5 })
  const up = new Promise<void>((resolve) => client.once('connect', () => resolve()))
  let running = true
  client.on('error', () => undefined)
  client.on('close', () => {
    running = false
  })
  await within(15_000, 'MQTT', up)
  let inFlight = 0
  let count = 0
  const loop = (async () => {
    while (running) {
      while (running && inFlight < IN_FLIGHT) {
        const id = send(ledger, count++ % KEYS)
        inFlight++
        client.publish(topic, `${id} ${'x'.repeat((count * 37) % 900)}`, { qos }, (error) => {
          inFlight--
          if (error === null || error === undefined) ledger.confirmed.add(id)
        })
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  return {
    stop: async () => {
      running = false
      await loop
      client.end(true)
    },
  }
}

/** The queue that stores what is published to the topic of its name. */
async function declare(url: string, queue: string): Promise<void> {
  const connection = await within(15_000, 'AMQP', amqplib.connect(url))
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(queue, { durable: true })
  await connection.close()
}
