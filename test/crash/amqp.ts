/** Publishing to and reading from the AMQP side, by amqplib. */
import amqplib from 'amqplib'
import { until, within } from '../interop/cases/cases.ts'
import { begin, KEYS, type Ledger, type Publisher, send } from './ledger.ts'

const IN_FLIGHT = 50

export async function amqpPublisher(url: string, queue: string, ledger: Ledger): Promise<Publisher> {
  begin(ledger)
  const connection = await within(15_000, 'AMQP', amqplib.connect(url))
  let running = true
  const dead = (): void => {
    running = false
  }
  connection.on('error', dead)
  connection.on('close', dead)
  const channel = await connection.createConfirmChannel()
  channel.on('error', dead)
  await channel.assertQueue(queue, { durable: true })
  let inFlight = 0
  let count = 0
  const loop = (async () => {
    while (running) {
      while (running && inFlight < IN_FLIGHT) {
        const id = send(ledger, count++ % KEYS)
        inFlight++
        try {
          channel.sendToQueue(
            queue,
            Buffer.from(`${id} ${'x'.repeat((count * 37) % 900)}`),
            { persistent: true },
            (error: unknown) => {
              inFlight--
              if (error === null || error === undefined) ledger.confirmed.add(id)
            },
          )
        } catch {
          running = false
        }
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  return {
    stop: async () => {
      running = false
      await loop
      await connection.close().catch(() => undefined)
    },
  }
}

/** Reads everything without acknowledging it, so that the next round finds it again. */
export async function amqpReadAll(url: string, queue: string): Promise<string[]> {
  const connection = await within(15_000, 'AMQP', amqplib.connect(url))
  connection.on('error', () => undefined)
  const channel = await connection.createChannel()
  const { messageCount } = await channel.checkQueue(queue)
  const found: string[] = []
  await channel.consume(queue, (message) => {
    if (message !== null) found.push(message.content.toString().split(' ')[0] ?? '')
  })
  await until(`${messageCount} messages of ${queue} (${found.length} came)`, () => messageCount <= found.length, 30_000)
  await connection.close()
  return found
}
