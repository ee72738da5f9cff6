/** amqplib over TLS: a password, and a certificate with the mechanism EXTERNAL. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import amqplib, { credentials } from 'amqplib'
import { runCases, setting, unique } from '../cases/cases.ts'

const at = new URL(setting('AMQP'))
const folder = setting('TLS')
const ca = await readFile(`${folder}/root.crt`)

async function roundTrip(url: string, options: object): Promise<void> {
  const connection = await amqplib.connect(url, options)
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue(unique('secured'), { durable: true })
  channel.sendToQueue(queue, Buffer.from('hello'), { persistent: true })
  await channel.waitForConfirms()
  const got = await channel.get(queue, { noAck: true })
  assert.equal(got === false ? '' : got.content.toString(), 'hello')
  await connection.close()
}

await runCases({
  'a password over TLS': () => roundTrip(`amqps://alice:alice-secret@localhost:${at.port}/`, { ca: [ca] }),

  'a certificate with EXTERNAL': async () => {
    const [cert, key] = [await readFile(`${folder}/alice.crt`), await readFile(`${folder}/alice.key`)]
    await roundTrip(`amqps://localhost:${at.port}/`, { ca: [ca], cert, key, credentials: credentials.external() })
  },

  'a wrong password and a missing certificate are refused': async () => {
    await assert.rejects(roundTrip(`amqps://alice:wrong@localhost:${at.port}/`, { ca: [ca] }), /ACCESS.REFUSED|403/i)
    await assert.rejects(roundTrip(`amqps://localhost:${at.port}/`, { ca: [ca], credentials: credentials.external() }))
  },
})
