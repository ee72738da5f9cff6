/** Wills over a broker that stops or is killed: what a crash leaves is a copy of the data directory while the broker runs. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { TokenIssuer } from '../../../test/support/tokens.ts'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { VirtualClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { openLocalStorage } from '../../storage/local/index.ts'
import { type ConnectOptions, frame, TestClient } from './client.testing.ts'
import { Packet, readPublish, Version } from './codec.ts'
import { returnMs } from './wills.ts'

const pingreq = frame(Packet.Pingreq, 0)
const root = mkdtempSync(path.join(tmpdir(), 'anymq-wills-'))
const running: EmbeddedBroker[] = []
let folders = 0
after(async () => {
  await Promise.all(running.map((broker) => broker.close()))
  rmSync(root, { recursive: true })
})

const folderOf = (): string => path.join(root, String(++folders))

async function start(folder: string): Promise<EmbeddedBroker> {
  const broker = await startBroker({ protocols: ['mqtt'], storage: { folder } })
  running.push(broker)
  return broker
}

/** A broker on what the other would leave if it were killed now. */
async function killed(folder: string): Promise<EmbeddedBroker> {
  const copy = folderOf()
  cpSync(folder, copy, { recursive: true, filter: (file) => path.basename(file) !== 'lock' })
  return await start(copy)
}

const client = (broker: EmbeddedBroker, options: ConnectOptions = {}): ReturnType<typeof TestClient.connected> =>
  TestClient.connected(broker.port('mqtt'), options)

const withWill = (clientId: string, willDelay = 0): ConnectOptions => ({
  clientId,
  clean: false,
  properties: { sessionExpiry: 1000 },
  will: { topic: `wills/${clientId}`, payload: 'gone', qos: 1, properties: { willDelay, userProperties: [['a', 'b']] } },
})

async function watcherOf(broker: EmbeddedBroker): ReturnType<typeof TestClient.connected> {
  const watcher = await client(broker)
  await watcher.subscribe('wills/#')
  return watcher
}

test('after a kill the wills of those that were connected are sent once, when listeners had time to come back', async () => {
  const folder = folderOf()
  const before = await start(folder)
  await client(before, withWill('away'))
  await (await client(before, withWill('polite'))).disconnect()
  const broker = await killed(folder)
  const watcher = await watcherOf(broker)
  await broker.clock.advance(returnMs / 2)
  await watcher.quiet()
  await broker.clock.advance(returnMs / 2)
  const { topic, payload, properties } = await watcher.message()
  assert.deepEqual([topic, String(payload), properties?.userProperties], ['wills/away', 'gone', [['a', 'b']]])
  await broker.clock.advance('1h')
  await watcher.quiet()
})

test('after a kill a client that comes back finds its will sent before', async () => {
  const folder = folderOf()
  await client(await start(folder), withWill('back'))
  const broker = await killed(folder)
  const watcher = await watcherOf(broker)
  const back = await client(broker, { clientId: 'back', clean: false, properties: { sessionExpiry: 1000 } })
  assert.equal(await watcher.text(), 'wills/back gone')
  await back.disconnect()
  await broker.clock.advance('1h')
  await watcher.quiet()
})

test('a will that waits for its delay waits on over a stop and a kill, and not for a client that is back', async () => {
  const folder = folderOf()
  let broker = await start(folder)
  await (await client(broker, withWill('waits', 60))).destroy()
  await (await client(broker, withWill('returns', 60))).destroy()
  await client(broker, withWill('connected', 60))
  await broker.close()
  broker = await start(folder)
  broker = await killed(folder)
  const watcher = await watcherOf(broker)
  await (await client(broker, { clientId: 'returns', clean: false })).disconnect()
  await watcher.quiet()
  await broker.clock.advance('61s')
  assert.deepEqual([await watcher.text(), await watcher.text()].sort(), ['wills/connected gone', 'wills/waits gone'])
  await broker.clock.advance('1h')
  await watcher.quiet()
})

test('a retained will is retained over a kill', async () => {
  const folder = folderOf()
  await client(await start(folder), { clientId: 'r', will: { topic: 'wills/r', payload: 'offline', qos: 1, retain: true } })
  const broker = await killed(folder)
  await broker.clock.advance(returnMs)
  const late = await client(broker)
  for (;;) {
    await late.subscribe('wills/r')
    late.raw(pingreq)
    const packet = await late.next()
    // Not sent yet.
    if (packet?.type === Packet.Pingresp) continue
    assert.equal(packet?.type, Packet.Publish)
    const { payload, retain } = readPublish(packet, Version.V5)
    assert.deepEqual([String(payload), retain], ['offline', true])
    break
  }
})

test('after a kill a will is sent by the rules for where its client was, and not for who logged in by a token', async (t) => {
  const clock = new VirtualClock()
  const issuer = await TokenIssuer.start(clock)
  t.after(() => issuer.stop())
  const folder = folderOf()
  const start = (from: string): Promise<RunningBroker> =>
    startTestBroker({
      clock,
      only: ['mqtt'],
      tokens: issuer.settings,
      storage: openLocalStorage(from, false),
      beforeListening: async ({ users, rules }) => {
        if (users.list().length > 0) return
        await users.put('root', { password: 'root', admin: true })
        await users.put('eve', { password: 'eve' })
        const rule = { namespace: 'default', kind: 'topic', user: 'eve', action: 'publish', effect: 'allow' } as const
        await rules.add([
          { ...rule, match: 'exact', name: 'wills.near', from: '127.0.0.1' },
          { ...rule, match: 'exact', name: 'wills.far', from: '10.0.0.0/8' },
        ])
      },
    })
  const before = await start(folder)
  const login = (user: string): ConnectOptions => ({ user, password: user })
  for (const id of ['far', 'near']) await TestClient.connected(portOf(before, 'mqtt'), { ...withWill(id), ...login('eve') })
  const byToken = { user: 'eve', password: await issuer.token('eve', 600) }
  await TestClient.connected(portOf(before, 'mqtt'), { ...withWill('near'), clientId: 'other', ...byToken })
  const copy = folderOf()
  cpSync(folder, copy, { recursive: true, filter: (file) => path.basename(file) !== 'lock' })
  const broker = await start(copy)
  const watcher = await TestClient.connected(portOf(broker, 'mqtt'), login('root'))
  await watcher.subscribe('wills/#')
  clock.advance(returnMs)
  assert.equal(await watcher.text(), 'wills/near gone')
  await watcher.quiet()
  await before.stop()
  await broker.stop()
})
