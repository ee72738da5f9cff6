/** MQTT conversations over real sockets: one test a rule, named after what the rule asks. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { frame, TestClient } from './client.testing.ts'
import { encodeText, readPublish, Version } from './codec.ts'
import { Reason } from './errors.ts'
import { Packet } from './properties.ts'

let broker: EmbeddedBroker
let port: number

before(async () => {
  broker = await startBroker({ protocols: ['mqtt', 'stomp'] })
  port = broker.port('mqtt')
})
after(() => broker.close())

const connected = (options: Parameters<typeof TestClient.connected>[1] = {}): ReturnType<typeof TestClient.connected> =>
  TestClient.connected(port, options)
const versions = [Version.V31, Version.V311, Version.V5] as const

test('each version publishes and hears with QoS 0, 1 and 2', async () => {
  for (const version of versions) {
    for (const qos of [0, 1, 2] as const) {
      const client = await connected({ version, clientId: `v${version}q${qos}` })
      const topic = `each/${version}/${qos}`
      assert.equal(await client.subscribe(topic, { qos }), qos)
      const id = client.publish(topic, 'hello', { qos })
      const got: string[] = []
      let releasedId = 0
      // The answer to the publish and the message itself come in either order.
      while (got.length < (qos === 0 ? 1 : qos === 1 ? 2 : 4)) {
        const packet = await client.next()
        assert.ok(packet !== null)
        const name = Object.entries(Packet).find(([, type]) => type === packet.type)?.[0] ?? ''
        got.push(name)
        if (packet.type === Packet.Publish && qos > 0) {
          releasedId = packet.body.readUInt16BE(2 + topic.length)
          client.ack(qos === 1 ? Packet.Puback : Packet.Pubrec, releasedId)
        } else if (packet.type === Packet.Pubrec) {
          assert.equal(packet.body.readUInt16BE(0), id)
          client.ack(Packet.Pubrel, id)
        } else if (packet.type === Packet.Pubrel) client.ack(Packet.Pubcomp, releasedId)
      }
      const expected = [['Publish'], ['Puback', 'Publish'], ['Publish', 'Pubrec', 'Pubcomp', 'Pubrel']][qos] as string[]
      assert.deepEqual(got.sort(), expected.sort())
      await client.quiet()
      await client.disconnect()
    }
  }
})

test('3.1.3.1: a client id is assigned in 5.0, and refused where it is needed', async () => {
  const five = await connected()
  assert.match(five.properties.assignedClientId ?? '', /./)
  assert.equal(five.properties.maximumPacketSize, 16 * 1024 * 1024)
  const old = await TestClient.open(port, Version.V311)
  assert.equal((await old.connect({ clean: false })).code, 2)
  assert.equal(await old.next(), null)
})

test('3.1.2.2: another version is refused in words it may know', async () => {
  const client = await TestClient.open(port, Version.V311)
  client.raw(frame(1, 0, Buffer.from('00044d5154540902000000000161', 'hex')))
  assert.equal((await client.packet(Packet.Connack)).body[1], Reason.UnsupportedVersion)
})

test('3.1.4: a second connection with the client id takes the session over', async () => {
  const first = await connected({ clientId: 'twice', will: { topic: 'twice/will', payload: 'gone' } })
  const watcher = await connected()
  await watcher.subscribe('twice/will')
  await connected({ clientId: 'twice' })
  assert.equal(await first.ended(), Reason.SessionTakenOver)
  assert.equal(await watcher.text(), 'twice/will gone')
})

test('3.1.2.5: the will is sent unless the client says goodbye; 0x04 asks for it', async () => {
  const watcher = await connected()
  await watcher.subscribe('will/#')
  const will = (name: string): { topic: string; payload: string } => ({ topic: `will/${name}`, payload: name })
  await (await connected({ will: will('politely') })).disconnect()
  await (await connected({ will: will('asked') })).disconnect(4)
  assert.equal(await watcher.text(), 'will/asked asked')
  await (await connected({ will: will('cut') })).destroy()
  assert.equal(await watcher.text(), 'will/cut cut')
})

test('3.1.3.2.2: a will waits for its delay, and not for a client that is back', async () => {
  const watcher = await connected()
  await watcher.subscribe('delayed/#')
  const options = (name: string, willDelay: number): Parameters<typeof connected>[0] => ({
    clientId: name,
    clean: false,
    properties: { sessionExpiry: 100 },
    will: { topic: `delayed/${name}`, payload: '', properties: { willDelay } },
  })
  await (await connected(options('back', 60))).destroy()
  await (await connected(options('back', 60))).disconnect()
  await (await connected(options('away', 1))).destroy()
  assert.equal(await watcher.text(), 'delayed/away ')
  // A clean start ends the session, and with it the wait.
  await (await connected(options('anew', 60))).destroy()
  await connected({ clientId: 'anew' })
  assert.equal(await watcher.text(), 'delayed/anew ')
})

test('4.1, 4.4: a session keeps its messages, their order and their identifiers', async () => {
  for (const version of [Version.V311, Version.V5] as const) {
    const options = { version, clientId: `keeps${version}`, clean: false, properties: { sessionExpiry: 0xffffffff } }
    const first = await connected(options)
    assert.equal(first.present, false)
    await first.subscribe('keeps/#', { qos: 2 })
    const sender = await connected()
    await sender.published('keeps/a', '1')
    const before = await first.message()
    await first.destroy()
    await sender.published('keeps/b', '2')
    sender.publish('keeps/c', '3', { qos: 2 })
    await sender.packet(Packet.Pubrec)
    const again = await connected(options)
    assert.equal(again.present, true)
    const messages = [await again.message(), await again.message(), await again.message()]
    assert.deepEqual(
      messages.map(({ topic, payload, qos }) => `${topic} ${payload} ${qos}`),
      ['keeps/a 1 1', 'keeps/b 2 1', 'keeps/c 3 2'],
    )
    assert.deepEqual([messages[0]?.packetId, messages[0]?.duplicate, messages[1]?.duplicate], [before.packetId, true, false])
    const [a, b, c] = messages.map(({ packetId }) => packetId) as [number, number, number]
    again.ack(Packet.Puback, a)
    again.ack(Packet.Puback, b)
    again.ack(Packet.Pubrec, c)
    assert.equal((await again.packet(Packet.Pubrel)).body.readUInt16BE(0), c)
    await again.destroy()
    // What was received and not completed is released again, not sent again.
    const third = await connected(options)
    assert.equal((await third.packet(Packet.Pubrel)).body.readUInt16BE(0), c)
    third.ack(Packet.Pubcomp, c)
    await third.quiet()
    await third.disconnect()
    const clean = await connected({ ...options, clean: true, properties: {} })
    assert.equal(clean.present, false)
    await sender.published('keeps/d', '4')
    await clean.quiet()
  }
})

test('4.3.3: a QoS 2 message that is sent twice is published once, also over a reconnection', async () => {
  const watcher = await connected()
  await watcher.subscribe('once', { qos: 0 })
  const options = { clientId: 'once', clean: false, properties: { sessionExpiry: 100 } }
  const first = await connected(options)
  first.publish('once', 'x', { qos: 2, packetId: 5 })
  await first.packet(Packet.Pubrec)
  await first.destroy()
  const again = await connected(options)
  again.publish('once', 'x', { qos: 2, packetId: 5, duplicate: true })
  await again.packet(Packet.Pubrec)
  again.ack(Packet.Pubrel, 5)
  assert.equal((await again.packet(Packet.Pubcomp)).body.length, 2)
  again.ack(Packet.Pubrel, 5)
  assert.equal((await again.packet(Packet.Pubcomp)).body[2], Reason.PacketIdNotFound)
  again.publish('once', 'y', { qos: 2, packetId: 5 })
  await again.packet(Packet.Pubrec)
  assert.equal(await watcher.text(), 'once x')
  assert.equal(await watcher.text(), 'once y')
  await watcher.quiet()
})

test('3.3.1.3: retained messages reach new subscriptions, are replaced, and go with an empty one', async () => {
  const sender = await connected()
  await sender.published('kept/a', '1', { retain: true })
  await sender.published('kept/a', '2', { retain: true, properties: { userProperties: [['k', 'v']] } })
  await sender.published('kept/b', '3', { retain: true })
  for (const qos of [0, 1] as const) {
    const client = await connected()
    await client.subscribe('kept/+', { qos })
    const seen = [await client.message(), await client.message()]
    assert.deepEqual(seen.map(({ topic, payload, retain, qos: got }) => `${topic} ${payload} ${retain} ${got}`).sort(), [
      `kept/a 2 true ${qos}`,
      `kept/b 3 true ${qos}`,
    ])
    await client.destroy()
  }
  const live = await connected()
  await live.subscribe('kept/a', { bits: 0x20 })
  await sender.published('kept/a', '', { retain: true })
  const deletion = await live.message()
  assert.deepEqual([deletion.retain, deletion.payload.length], [false, 0])
  const late = await connected()
  await late.subscribe('kept/a')
  await late.quiet()
})

test('3.8.3.1: retain handling, retain as published and no local', async () => {
  const client = await connected({ clientId: 'options' })
  await client.published('options/a', '1', { retain: true })
  await client.subscribe('options/a', { bits: 0x10 })
  assert.equal((await client.message()).retain, true)
  await client.subscribe('options/a', { bits: 0x10 | 0x08 })
  await client.quiet()
  client.publish('options/a', '2', { retain: true })
  assert.equal((await client.message()).retain, true)
  for (const qos of [0, 1] as const) {
    await client.subscribe('options/a', { qos, bits: 0x20 | 0x04 })
    await client.published('options/a', 'own')
    const other = await connected()
    await other.published('options/a', 'other')
    const message = await client.message()
    assert.equal(String(message.payload), 'other')
    if (qos === 1) client.ack(Packet.Puback, message.packetId)
    await client.quiet()
  }
})

test('3.8.4: replacing a subscription by one with another QoS loses nothing', async () => {
  const options = { clientId: 'replaces', clean: false, properties: { sessionExpiry: 100, receiveMaximum: 1 } }
  const client = await connected(options)
  await client.subscribe('replaced/+', { qos: 1 })
  const sender = await connected()
  for (const text of ['1', '2', '3']) await sender.published('replaced/a', text)
  const first = await client.message()
  assert.equal(await client.subscribe('replaced/+', { qos: 0 }), 0)
  client.ack(Packet.Puback, first.packetId)
  const rest = [await client.message(), await client.message()]
  assert.deepEqual(
    [first, ...rest].map(({ payload, qos }) => [String(payload), qos]),
    [
      ['1', 1],
      ['2', 0],
      ['3', 0],
    ],
  )
  // And the other way, while another publishes all the time.
  let published = 0
  const publishing = (async () => {
    while (published < 200) await sender.published('replaced/b', String(++published))
  })()
  const seen = new Set<number>()
  let count = 0
  for (let qos = 1; seen.size < 200; ) {
    const packet = await client.next()
    if (packet?.type !== Packet.Publish) continue
    const { payload, packetId } = readPublish(packet, Version.V5)
    seen.add(Number(payload))
    if (packetId > 0) client.ack(Packet.Puback, packetId)
    if (++count % 20 !== 0) continue
    client.raw(frame(Packet.Subscribe, 2, [1, count & 255, 0], encodeText('replaced/+'), [qos]))
    qos = 1 - qos
  }
  await publishing
  assert.equal(seen.size, 200)
})

test('3.3.4: subscription identifiers name every subscription that matches', async () => {
  const client = await connected()
  await client.subscribe('ids/#', { qos: 1, properties: { subscriptionIds: [7] } })
  await client.subscribe('ids/+', { qos: 2, properties: { subscriptionIds: [300] } })
  const sender = await connected()
  await sender.published('ids/a', 'x')
  assert.deepEqual((await client.message()).properties?.subscriptionIds, [7, 300])
  await client.quiet()
})

test('4.8.2: members of a group share what they subscribe to', async () => {
  for (const qos of [0, 1] as const) {
    const members = [await connected(), await connected()]
    for (const member of members) await member.subscribe(`$share/g/shared/${qos}/#`, { qos })
    const sender = await connected()
    for (let i = 0; i < 4; i++) await sender.published(`shared/${qos}/a`, String(i))
    const seen: string[] = []
    for (const member of members) {
      member.raw(frame(Packet.Pingreq, 0))
      for (let packet = await member.next(); packet?.type === Packet.Publish; packet = await member.next()) {
        seen.push(String(packet.body.subarray(-1)))
        if (qos === 1) member.ack(Packet.Puback, readPublish(packet, Version.V5).packetId)
      }
    }
    assert.deepEqual(seen.sort(), ['0', '1', '2', '3'])
    for (const member of members) {
      assert.equal(await member.unsubscribe(`$share/g/shared/${qos}/#`), 0)
      await member.destroy()
    }
  }
})

test('3.3.2.3.3: a message that expires is not delivered, and one that is says what is left', async () => {
  const options = { clientId: 'expires', clean: false, properties: { sessionExpiry: 100 } }
  const client = await connected(options)
  await client.subscribe('expires/#', { qos: 1 })
  await client.disconnect()
  const sender = await connected()
  await sender.published('expires/soon', 'x', { properties: { messageExpiry: 1 } })
  await sender.published('expires/later', 'y', { properties: { messageExpiry: 100 } })
  const until = Date.now() + 2100
  while (Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50))
  const again = await connected(options)
  const message = await again.message()
  assert.equal(message.topic, 'expires/later')
  const left = message.properties?.messageExpiry ?? 0
  assert.ok(left <= 98 && left > 60, String(left))
})

test('3.1.2.11.3: no more is in flight than the client takes', async () => {
  const client = await connected({ properties: { receiveMaximum: 2 } })
  await client.subscribe('flow', { qos: 1 })
  const sender = await connected()
  for (let i = 0; i < 4; i++) await sender.published('flow', String(i))
  const first = await client.message()
  const second = await client.message()
  await client.quiet()
  client.ack(Packet.Puback, second.packetId)
  const third = await client.message()
  assert.equal(String(third.payload), '2')
  await client.quiet()
  client.ack(Packet.Puback, first.packetId)
  assert.equal(String((await client.message()).payload), '3')
})

test('3.3.4: a client that sends more than the receive maximum is told so, one that sends just that is not', async () => {
  const client = await connected()
  const { receiveMaximum = 0 } = client.properties
  assert.equal(receiveMaximum, 1024)
  for (let id = 1; id <= receiveMaximum; id++) client.publish('too/many', 'x', { qos: 2, packetId: id })
  for (let id = 1; id <= receiveMaximum; id++) await client.packet(Packet.Pubrec)
  client.ack(Packet.Pubrel, 1)
  await client.packet(Packet.Pubcomp)
  client.publish('too/many', 'x', { qos: 2, packetId: 1 })
  await client.packet(Packet.Pubrec)
  client.publish('too/many', 'x', { qos: 1, packetId: 2000 })
  assert.equal(await client.ended(), Reason.ReceiveMaximumExceeded)
})

test('3.1.2.11.4: what is larger than the client takes counts as sent', async () => {
  const client = await connected({ properties: { maximumPacketSize: 50 } })
  await client.subscribe('big', { qos: 1 })
  const sender = await connected()
  await sender.published('big', 'x'.repeat(100))
  await sender.published('big', 'small')
  assert.equal(await client.text(), 'big small')
})

test('3.3.2.3.4: topic aliases stand for their topics', async () => {
  const client = await connected()
  await client.subscribe('alias/#')
  client.publish('alias/a', '1', { properties: { topicAlias: 3 } })
  client.publish('', '2', { properties: { topicAlias: 3 } })
  assert.deepEqual([await client.text(), await client.text()], ['alias/a 1', 'alias/a 2'])
  client.publish('alias/a', '1', { properties: { topicAlias: 65 } })
  assert.equal(await client.ended(), Reason.TopicAliasInvalid)
})

test('3.3.2.3.4: a client that takes aliases gets them, as many as it takes', async () => {
  const client = await connected({ properties: { topicAliasMaximum: 1 } })
  await client.subscribe('short/#')
  await client.subscribe('short/+/b', { qos: 1 })
  const sender = await connected()
  sender.publish('short/a', '1')
  sender.publish('short/a', '2')
  await sender.published('short/a/b', '3')
  const seen = [await client.message(), await client.message(), await client.message(), await client.message()]
  assert.deepEqual(
    seen.map(({ topic, payload, properties }) => `${topic} ${payload} ${properties?.topicAlias}`),
    ['short/a 1 1', ' 2 1', 'short/a/b 3 undefined', 'short/a/b 3 undefined'],
  )
})

test('what is said of publishes and subscriptions that lead nowhere', async () => {
  const client = await connected()
  assert.equal(await client.published('nobody/listens', 'x'), Reason.NoMatchingSubscribers)
  assert.equal(await client.unsubscribe('never/made'), Reason.NoSubscriptionExisted)
  assert.equal(await client.subscribe('a/'.repeat(200)), Reason.TopicFilterInvalid)
  const old = await connected({ version: Version.V311 })
  assert.equal(await old.subscribe('a/'.repeat(200)), 0x80)
  assert.equal(await old.published('nobody/listens', 'x'), 0)
})

test('4.13: what a client does wrong ends its connection with the reason, in old versions without', async () => {
  const wrong: [Buffer, Reason][] = [
    [frame(3, 0, Buffer.from('0003612f2300', 'hex')), Reason.TopicNameInvalid],
    [frame(3, 6, Buffer.from('000161000100', 'hex')), Reason.MalformedPacket],
    [frame(8, 0, Buffer.from('00010000016100', 'hex')), Reason.MalformedPacket],
    [frame(15, 0), Reason.ProtocolError],
    [frame(1, 0, Buffer.from('00044d5154540502000000000161', 'hex')), Reason.ProtocolError],
    [Buffer.from('30ffffffff7f', 'hex'), Reason.MalformedPacket],
    [Buffer.from('30ffffff7f', 'hex'), Reason.PacketTooLarge],
  ]
  for (const [bytes, reason] of wrong) {
    const client = await connected()
    client.raw(bytes)
    assert.equal(await client.ended(), reason, bytes.toString('hex'))
    const old = await connected({ version: Version.V311 })
    old.raw(frame(15, 0))
    assert.equal(await old.ended(), null)
  }
  const sharer = await connected()
  sharer.raw(frame(8, 2, [0, 1, 0, 0, 10], Buffer.from('$share/g/a'), [4]))
  assert.equal(await sharer.ended(), Reason.ProtocolError)
})

test('3.14.2.2.2: a session that ends with its connection cannot be prolonged', async () => {
  const client = await connected()
  client.raw(frame(14, 0, Buffer.from('00051100000064', 'hex')))
  assert.equal(await client.ended(), Reason.ProtocolError)
  const ends = await connected({ clientId: 'ends', clean: false, properties: { sessionExpiry: 100 } })
  await ends.disconnect(0, { sessionExpiry: 0 })
  assert.equal((await connected({ clientId: 'ends', clean: false })).present, false)
})

test('3.1.2.10: a client that is silent for one and a half times its keep alive is gone', async () => {
  const client = await connected({ keepAlive: 1 })
  assert.equal(await client.ended(), Reason.KeepAliveTimeout)
})

test('$SYS says how the broker does, to those who ask', async () => {
  const client = await connected()
  await client.subscribe('+/broker/version')
  await client.quiet()
  await client.subscribe('$SYS/broker/version')
  const { topic, retain } = await client.message()
  assert.deepEqual([topic, retain], ['$SYS/broker/version', true])
})

test('what is published to a topic crosses to STOMP and back', async () => {
  const socket = connect(broker.port('stomp'), '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const said = async (what: string): Promise<void> => {
    while (!text.includes(what)) await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })
  }
  const subscription = 'SUBSCRIBE\nid:1\ndestination:/topic/cross.*.temp\nreceipt:r\n\n\0'
  socket.write(`CONNECT\naccept-version:1.2\nhost:/\n\n\0${subscription}`)
  await said('RECEIPT')
  const client = await connected()
  await client.subscribe('cross/+/temp', { qos: 1 })
  await client.published('elsewhere', 'x')
  client.publish('cross/1/temp', '21', { qos: 1, properties: { userProperties: [['unit', 'C']], contentType: 'text/plain' } })
  await said('\n21\0')
  assert.match(text, /unit:C\n/)
  assert.match(text, /content-type:text\/plain\n/)
  assert.match(text, /destination:\/topic\/cross\.1\.temp\n/)
  // The answer and the message itself, in either order.
  assert.deepEqual([(await client.next())?.type, (await client.next())?.type].sort(), [Packet.Publish, Packet.Puback])
  socket.write('SEND\ndestination:/topic/cross.2.temp\nunit:F\npersistent:true\n\n70\0')
  const back = await client.message()
  assert.deepEqual([back.topic, String(back.payload), back.qos], ['cross/2/temp', '70', 1])
  assert.deepEqual(back.properties?.userProperties?.[0], ['unit', 'F'])
  socket.destroy()
})

test('sessions, their subscriptions and messages, and what is retained are there after a restart', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-mqtt-'))
  const options = { clientId: 'stays', clean: false, properties: { sessionExpiry: 0xffffffff } }
  const start = (): Promise<EmbeddedBroker> => startBroker({ protocols: ['mqtt'], storage: { folder } })
  let own = await start()
  const first = await TestClient.connected(own.port('mqtt'), options)
  await first.subscribe('stays/+', { qos: 2, properties: { subscriptionIds: [9] } })
  await first.subscribe('live/+')
  await first.disconnect()
  await (await TestClient.connected(own.port('mqtt'), { clientId: 'goes' })).subscribe('stays/+', { qos: 1 })
  const sender = await TestClient.connected(own.port('mqtt'))
  await sender.published('stays/a', '1')
  await sender.published('kept', '2', { retain: true })
  await own.close()
  own = await start()
  const again = await TestClient.connected(own.port('mqtt'), options)
  assert.equal(again.present, true)
  const message = await again.message()
  assert.deepEqual([message.topic, message.properties?.subscriptionIds], ['stays/a', [9]])
  const other = await TestClient.connected(own.port('mqtt'))
  other.publish('live/a', '3')
  assert.equal(await again.text(), 'live/a 3')
  await other.subscribe('kept')
  assert.equal(await other.text(), 'kept 2')
  assert.equal((await TestClient.connected(own.port('mqtt'), { clientId: 'goes', clean: false })).present, false)
  await own.close()
  rmSync(folder, { recursive: true })
})

test('3.3.1.3: who subscribes while a retained message is being stored gets it', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-mqtt-'))
  const own = await startBroker({ protocols: ['mqtt'], storage: { folder } })
  const [watcher, late, sender] = await Promise.all([1, 2, 3].map(() => TestClient.connected(own.port('mqtt'))))
  await watcher?.subscribe('storing/+')
  for (let i = 0; i < 50; i++) {
    sender?.publish(`storing/${i}`, 'x', { qos: 1, retain: true })
    // It is live before it is on the disk.
    await watcher?.text()
    await late?.subscribe(`storing/${i}`)
    assert.equal(await late?.text(), `storing/${i} x`)
  }
  await own.close()
  rmSync(folder, { recursive: true })
})

test('a client that goes in the middle of subscribing leaves nothing behind', async () => {
  for (let i = 0; i < 10; i++) {
    const filters = [`$share/g${i}/unrude/#`, 'rude/#'].map((text) => [encodeText(text), Buffer.from([1])])
    const client = await connected({ clientId: `rude${i}` })
    client.raw(frame(Packet.Subscribe, 2, [0, 1, 0], ...filters.flat()))
    // The broker has read the packet when the next connection takes over.
    await (await connected({ clientId: `rude${i}` })).destroy()
    await client.destroy()
  }
  const left = async (): Promise<string[]> => {
    const { topics } = (await (await fetch(`${broker.url('http')}/v1/topics`)).json()) as { topics: { name: string }[] }
    return topics.map(({ name }) => name).filter((name) => name.startsWith('mqtt.session.rude'))
  }
  const until = Date.now() + 5000
  while ((await left()).length > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(await left(), [])
})
