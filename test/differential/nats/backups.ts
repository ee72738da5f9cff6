/** Backups of streams: what one of the servers made is restored by the other, and by itself. */
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { giveBackup, takeBackup } from '../../../src/protocols/nats/jetstream/backup/backup-client.testing.ts'
import { differences } from '../compare.ts'

const name = 'BACKUP'
const texts = ['short', 'longer, '.repeat(20), 'x'.repeat(10_000)]

/** Of the stream and its consumer, what a restore brings back. */
async function told(connection: NatsConnection): Promise<unknown> {
  const manager = await jetstreamManager(connection)
  const { state } = await manager.streams.info(name, { deleted_details: true })
  const { bytes: _, ...kept } = state
  const { ack_floor: floor, num_pending: pending } = await manager.consumers.info(name, 'own')
  const messages: unknown[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    if (state.deleted?.includes(seq) === true) continue
    const message = await manager.streams.getMessage(name, { seq })
    messages.push([message?.seq, message?.subject, message?.string(), message?.header?.get('Number'), message?.time.getTime()])
  }
  const times = { first_ts: new Date(state.first_ts).getTime(), last_ts: new Date(state.last_ts).getTime() }
  return { state: { ...kept, ...times }, acknowledged: floor.stream_seq, pending, messages }
}

async function fill(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name, subjects: ['backup.>'] })
  const js = jetstream(connection)
  for (let at = 1; at <= 200; at++) {
    const carried = headers()
    carried.set('Number', String(at))
    await js.publish(`backup.${at % 5}`, `${at} ${texts[at % 3]}`, at % 2 === 0 ? {} : { headers: carried })
  }
  for (const seq of [1, 2, 50, 199]) await manager.streams.deleteMessage(name, seq)
  await manager.consumers.add(name, { durable_name: 'own', ack_policy: AckPolicy.Explicit })
  const messages = await (await js.consumers.get(name, 'own')).fetch({ max_messages: 10, expires: 2000 })
  for await (const message of messages) await message.ackAck()
}

/** Resolves to how many of the ways differed. */
export async function compareBackups(theirPort: number, ourPort: number): Promise<number> {
  let failed = 0
  const servers = { 'nats-server': theirPort, AnyMQ: ourPort }
  for (const [from, fromPort] of Object.entries(servers))
    for (const [to, toPort] of Object.entries(servers)) {
      const [source, target] = await Promise.all([fromPort, toPort].map((port) => connect({ servers: `127.0.0.1:${port}` })))
      if (source === undefined || target === undefined) continue // there are two
      await fill(source)
      const before = await told(source)
      const backup = await takeBackup(source, name, { chunk_size: 8192, window_size: 16_384 })
      await (await jetstreamManager(source)).streams.delete(name)
      const answer = await giveBackup(target, backup)
      const found =
        answer['error'] === undefined ? differences(before, await told(target)) : [{ path: '', theirs: '', ours: answer }]
      await (await jetstreamManager(target)).streams.delete(name).catch(() => undefined)
      await Promise.all([source.close(), target.close()])
      if (found.length === 0) continue
      failed++
      console.log(`✖ a backup from ${from} to ${to}`)
      for (const each of found.slice(0, 10)) console.log(`    ${JSON.stringify(each)}`)
    }
  console.log(`backups in four ways, ${failed} of them with differences`)
  return failed
}
