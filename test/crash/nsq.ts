/** Publishing by NSQ's PUB and MPUB, many on their way; what is stored is read as a Kafka topic. */
import { NsqClient } from '../../src/protocols/nsq/client.testing.ts'
import { begin, KEYS, type Ledger, type Publisher, send } from './ledger.ts'

const batch = 20

export async function nsqPublisher(address: string, topic: string, ledger: Ledger): Promise<Publisher> {
  begin(ledger)
  const client = await NsqClient.connected(Number(address.split(':')[1]))
  let running = true
  let count = 0
  const message = (id: string): string => `${id} ${'x'.repeat((count * 37) % 900)}`
  const loop = (async () => {
    while (running) {
      const singles = Array.from({ length: batch }, () => send(ledger, count++ % KEYS))
      const together = Array.from({ length: batch }, () => send(ledger, count++ % KEYS))
      const sizes = together.map((id) => NsqClient.frame('', message(id)).subarray(1))
      const head = Buffer.alloc(4)
      head.writeInt32BE(together.length)
      client.send(Buffer.concat(singles.map((id) => NsqClient.frame(`PUB ${topic}`, message(id)))))
      client.send(NsqClient.frame(`MPUB ${topic}`, Buffer.concat([head, ...sizes])))
      for (const ids of [...singles.map((id) => [id]), together]) {
        if ((await client.frame()).text !== 'OK') throw new Error('a publish was refused')
        for (const id of ids) ledger.confirmed.add(id)
      }
    }
  })().catch(() => undefined) // the broker was killed
  return {
    stop: async () => {
      running = false
      await loop
      client.close()
    },
  }
}
