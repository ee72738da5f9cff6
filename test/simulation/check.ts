/** After a restart: is what the broker has what the model allows? What is found becomes what the model knows. */
import { PublishItem, PublishStatus, type ReadResult, type Space } from '../../src/broker/face.ts'
import { format, type Life, producerId, rowsName } from './life.ts'
import { ends, type SimulatedMachine } from './machine.ts'
import { Doubt, type Entry, idOf, type Model, must, payloadOf, type Topic } from './model.ts'

/** A record as it stands in a log. */
interface Stored {
  readonly id: string
  readonly partition: number
  readonly offset: number
}

interface Found {
  readonly stored: ReadonlyMap<string, Stored>
  readonly starts: readonly number[]
  /** By subscription. */
  readonly ready: ReadonlyMap<string, ReadonlySet<string>>
}

export async function checkAfterRestart(life: Life, model: Model, machine: SimulatedMachine): Promise<void> {
  const { space } = life
  checkTopics(space, model)
  checkRegisters(life, model)
  const ready = new Map<Topic, Map<string, Set<string>>>()
  const closers: (() => void)[] = []
  for (const topic of model.topics) {
    const bySubscription = new Map<string, Set<string>>()
    ready.set(topic, bySubscription)
    const names = space.status(topic.name)?.subscriptions.filter(({ kind }) => kind === 'queue') ?? []
    for (const { name } of names) bySubscription.set(name, drain(life, topic, name, closers))
  }
  await life.rest()
  const found = new Map<Topic, Found>()
  for (const topic of model.topics) {
    found.set(topic, { ...(await readTopic(space, topic)), ready: ready.get(topic) ?? new Map() })
  }
  await checkScheduled(space, model, found, machine)
  for (const [topic, what] of found) {
    if (topic.kind === 'dead') continue
    checkLog(topic, what)
    checkReady(topic, what, machine.clock.now())
  }
  checkDead(model, found, machine.clock.now())
  checkTransactions(model, found, machine.clock.now())
  adopt(space, found, machine.clock.now())
  await checkRepetitions(life, model)
  for (const close of closers) close()
  await life.rest()
  must(
    machine.said.every((line) => !line.startsWith('error')),
    () => `the broker said: ${machine.said.find((line) => line.startsWith('error'))}`,
  )
}

function checkTopics(space: Space, model: Model): void {
  const names = new Set(model.topics.map(({ name }) => name))
  const kept: Topic[] = []
  for (const name of names) {
    const uid = space.topic(name)?.id.toString('hex')
    for (const topic of model.topics.filter((each) => each.name === name)) {
      const there = topic.uid === uid
      const mustBe = topic.exists === Doubt.Confirmed && topic.deleted === Doubt.No && topic.kind !== 'memory'
      const mustNotBe = topic.deleted === Doubt.Confirmed || topic.kind === 'memory'
      must(there || !mustBe, () => `topic ${name} is gone`)
      must(!there || !mustNotBe, () => `topic ${name} is there again, though it was deleted`)
      if (!there) continue
      topic.exists = Doubt.Confirmed
      topic.deleted = Doubt.No
      kept.push(topic)
    }
    must(uid === undefined || kept.some((topic) => topic.uid === uid), () => `topic ${name} is one that nobody created`)
  }
  model.topics = kept
  for (const topic of kept) for (const entry of topic.entries) entry.heldBy.clear()
}

function checkRegisters(life: Life, model: Model): void {
  const cursors = new Map(life.space.cursors('group').map(({ topic, offset }) => [topic, String(offset)]))
  const rows = life.broker.rows(rowsName)
  for (const [name, register] of model.registers) {
    const [what, key = ''] = name.split(' ')
    const topic = model.topics.find(({ uid }) => uid === key)
    // The cursors of a topic go with it.
    if (what === 'cursor' && topic === undefined) model.registers.delete(name)
    else {
      const wrong = register.adopt(what === 'row' ? rows.get(key) : cursors.get(topic?.name ?? ''))
      must(wrong === null, () => wrong ?? '')
    }
  }
}

/** All that a subscription has to give, taken by one consumer that keeps it. */
function drain(life: Life, topic: Topic, name: string, closers: (() => void)[]): Set<string> {
  const got = new Set<string>()
  const newest: number[] = []
  const consumer = life.space.subscribe(
    { topic: topic.name, subscription: name, autoSettle: false, name: 'drain' },
    {
      onDeliveries: (_consumer, batch) =>
        life.heard(() => {
          for (let index = 0; index < batch.length; index++) {
            const partition = batch.partition[index] as number // index < length, here and below
            const offset = batch.offset[index] as number
            const id = idOf((batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]))
            must(!got.has(id), () => `${id} was delivered twice by ${topic.name} '${name}'`)
            got.add(id)
            // What waited comes when its time has come.
            if (topic.byId.get(id)?.waits.has(name) === true) continue // also when that was while this goes on
            must((newest[partition] ?? -1) < offset, () => `${id} at ${offset} was delivered after ${newest[partition]}`)
            newest[partition] = offset
          }
        }),
      onConsumerClosed: () => undefined,
    },
  )
  consumer.credit(1_000_000)
  closers.push(() => consumer.close())
  return got
}

async function readTopic(space: Space, topic: Topic): Promise<{ stored: Map<string, Stored>; starts: number[] }> {
  const stored = new Map<string, Stored>()
  const starts: number[] = []
  const partitions = space.status(topic.name)?.partitions ?? []
  // Lanes of priorities come as they are used.
  must(topic.kind === 'priority' || partitions.length === topic.partitions, () => `topic ${topic.name} lacks partitions`)
  for (const [partition, status] of partitions.entries()) {
    starts.push(status.startOffset)
    for (let offset = status.startOffset; offset < status.nextOffset; ) {
      const result = await read(space, topic.name, partition, offset)
      must(
        result.error === null,
        () =>
          `${topic.name}/${partition} cannot be read at ${offset} (${status.startOffset} to ${status.nextOffset}): ${result.error}`,
      )
      if (result.entries.length === 0) break
      for (const view of result.entries) {
        const id = idOf(view.buffer.subarray(view.start, view.end))
        must(!stored.has(id), () => `${id} stands twice in ${topic.name}`)
        must(view.baseOffset >= offset, () => `${topic.name}/${partition} goes back from ${offset} to ${view.baseOffset}`)
        stored.set(id, { id, partition, offset: view.baseOffset })
        offset = view.baseOffset + 1
      }
    }
  }
  return { stored, starts }
}

export function read(space: Space, topic: string, partition: number, offset: number): Promise<ReadResult> {
  return ends('reading', new Promise((resolve) => space.read(topic, partition, offset, 64 * 1024, resolve)))
}

/** Promises 1 to 3: what is confirmed is there, where it was; what is not may be missing only at the end. */
function checkLog(topic: Topic, { stored, starts }: Found): void {
  for (const { id, partition, offset } of stored.values()) {
    const entry = topic.byId.get(id)
    must(entry !== undefined, () => `${id} in ${topic.name} is of nobody`)
    must(!entry.absent, () => `${id} is in ${topic.name}, but it was refused or lost before`)
    must(
      entry.dueAt > 0 || topic.kind === 'priority' || entry.partition === partition,
      () => `${id} moved to partition ${partition}`,
    )
    must(entry.removed !== Doubt.Confirmed, () => `${id} is in ${topic.name}, but it was taken out`)
    must(entry.offset < 0 || entry.offset === offset, () => `${id} moved from ${entry.offset} to ${offset}`)
  }
  for (let partition = 0; partition < topic.partitions; partition++) {
    const start = starts[partition] ?? 0
    must(start >= (topic.truncatedConfirmed[partition] ?? 0), () => `${topic.name}/${partition} begins at ${start} again`)
    const before = topic.entries.find(
      (entry) =>
        entry.partition === partition &&
        !entry.absent &&
        0 <= entry.offset &&
        entry.offset < start &&
        entry.removed === Doubt.No &&
        !topic.truncates(entry),
    )
    must(
      topic.kind !== 'log' || before === undefined,
      () => `${topic.name}/${partition} begins at ${start}, behind ${before?.id}`,
    )
    const expected = topic.entries.filter((entry) => entry.partition === partition && !entry.absent && entry.dueAt === 0)
    const last = expected.findLastIndex(({ id }) => stored.has(id))
    for (const [index, entry] of expected.entries()) {
      if (stored.has(entry.id) || topic.mayBeFreed(entry) || topic.kind === 'dying') continue
      must(!entry.confirmed, () => `${entry.id} was confirmed at ${entry.offset} and is not in ${topic.name}/${partition}`)
      must(
        index > last,
        () => `${entry.id} is missing in ${topic.name}/${partition}, and ${expected[last]?.id} after it is there`,
      )
    }
  }
}

/** What nobody is done with is delivered; what was settled for good is not. */
function checkReady(topic: Topic, { stored, ready }: Found, now: number): void {
  for (const name of topic.subscriptions) {
    const got = ready.get(name)
    // A subscription that was asked for and lost with the crash: nothing was confirmed of it.
    if (got === undefined) continue
    // What everyone had done before a subscription began may be in memory still, though it was never written to a segment.
    for (const id of got)
      must(
        stored.has(id) || topic.byId.get(id)?.freeable === true,
        () => `${id} was delivered by ${topic.name} '${name}', but is not in its log`,
      )
    for (const { id } of stored.values()) {
      const entry = topic.byId.get(id) as Entry // checkLog found it
      const done = entry.doneFor(name)
      must(
        done !== Doubt.Confirmed || !got.has(id),
        () => `${id} is delivered again by ${topic.name} '${name}' after it was settled for good`,
      )
      // Nobody saw whether a delayed record came before or after a purge.
      const loose = topic.kind === 'dying' || entry.freeable || (entry.dueAt > 0 && topic.purged) || entry.mayWait(name, now)
      must(done !== Doubt.No || got.has(id) || loose, () => `${id} is in ${topic.name}, but '${name}' does not deliver it`)
    }
  }
}

/** A record of a topic with a dead-letter target is at one of the two, whatever happened to it. */
function checkDead(model: Model, found: ReadonlyMap<Topic, Found>, now: number): void {
  const dead = [...found].find(([{ kind }]) => kind === 'dead')?.[1]
  must(dead !== undefined, () => 'the dead-letter target is gone')
  for (const { id } of dead.stored.values())
    must(model.byId.get(id)?.absent === false, () => `${id} among the dead letters is of nobody`)
  for (const [topic, { ready }] of found) {
    if (topic.kind !== 'dying') continue
    const got = ready.get('')
    for (const entry of topic.entries) {
      if (entry.absent) continue
      const here = got?.has(entry.id) === true
      const there = dead.stored.has(entry.id)
      must(!(here && there), () => `${entry.id} is in ${topic.name} and among its dead letters`)
      const lost = entry.confirmed && entry.doneFor('') === Doubt.No && !here && !there && !entry.mayWait('', now)
      must(!lost, () => `${entry.id} is neither in ${topic.name} nor among its dead letters`)
    }
  }
}

/** Promise 6: all of a transaction, or nothing. */
function checkTransactions(model: Model, found: ReadonlyMap<Topic, Found>, now: number): void {
  const dead = [...found].find(([{ kind }]) => kind === 'dead')?.[1]
  for (const transaction of model.transactions) {
    const { number, outcome, records, accepted } = transaction
    const witnesses = records.filter(
      (entry) =>
        found.has(entry.topic) && !(entry.topic.kind === 'dying' ? entry.doneFor('') > Doubt.No : entry.topic.mayBeFreed(entry)),
    )
    const isThere = (entry: Entry): boolean => {
      const what = found.get(entry.topic)
      return (
        what?.stored.has(entry.id) === true ||
        (entry.topic.kind === 'dying' && (what?.ready.get('')?.has(entry.id) === true || dead?.stored.has(entry.id) === true))
      )
    }
    const there = witnesses.filter(isThere)
    must(
      there.length === 0 || there.length === witnesses.length,
      () =>
        `transaction ${number} is there in part: ${there.map(({ id }) => id).join(', ')} of ${witnesses.map(({ id }) => id).join(', ')}`,
    )
    must(outcome !== 'refused' || there.length === 0, () => `transaction ${number} was refused, and is there`)
    must(
      outcome !== 'confirmed' || there.length === witnesses.length,
      () => `transaction ${number} was confirmed, and is not there`,
    )
    if (witnesses.length === 0) continue
    const happened = there.length > 0
    for (const { record, subscription } of accepted) {
      const got = found.get(record.topic)?.ready.get(subscription)
      if (got === undefined || record.absent) continue
      must(
        !happened || !got.has(record.id),
        () => `transaction ${number} happened, but ${record.id} that it accepted is delivered again`,
      )
      const others = model.transactions.some(
        (other) =>
          other !== transaction && other.accepted.some((each) => each.record === record && each.subscription === subscription),
      )
      const loose =
        others ||
        record.topic.purged ||
        record.topic.truncates(record) ||
        record.removed !== Doubt.No ||
        record.topic.kind === 'dying' ||
        !record.confirmed ||
        record.mayWait(subscription, now)
      const lost = !happened && !got.has(record.id) && !loose
      must(!lost, () => `transaction ${number} did not happen, but ${record.id} that it accepted is gone`)
    }
  }
  model.transactions = []
}

/** A delayed record is in the schedule or delivered: never neither, never both, never late. */
async function checkScheduled(
  space: Space,
  model: Model,
  found: ReadonlyMap<Topic, Found>,
  machine: SimulatedMachine,
): Promise<void> {
  const now = machine.clock.now()
  const listed = new Set((await ends('listing delayed records', space.scheduled(100_000))).map(({ payload }) => idOf(payload)))
  const known = new Set(model.scheduled.map(({ id }) => id))
  for (const id of listed) must(known.has(id), () => `${id} is scheduled by nobody`)
  const kept: Entry[] = []
  for (const entry of model.scheduled) {
    const waits = listed.has(entry.id)
    const here = model.topics.find(({ name }) => name === entry.topic.name)
    const stands = here && found.get(here)?.stored.get(entry.id)
    must(!waits || stands === undefined, () => `${entry.id} is scheduled and delivered`)
    must(
      !waits || now < entry.dueAtLatest || machine.wasLowOnSpace,
      () => `${entry.id} was due at ${entry.dueAtLatest} and waits at ${now}`,
    )
    must(entry.cancelled !== Doubt.Confirmed || (!waits && stands === undefined), () => `${entry.id} was cancelled and is there`)
    must(!entry.absent || (!waits && stands === undefined), () => `${entry.id} was refused, and is there`)
    must(waits || stands !== undefined || mayBeGone(entry, found, now), () => `${entry.id}, due at ${entry.dueAt}, is lost`)
    if (here !== undefined && stands !== undefined) {
      entry.topic = here
      entry.partition = stands.partition
      must(entry.dueAt <= now, () => `${entry.id} is delivered at ${now} and due at ${entry.dueAt}`)
      if (!entry.topic.byId.has(entry.id)) entry.topic.add(entry)
      entry.offset = stands.offset
    }
    if (!waits && stands === undefined && here !== undefined && entry.dueAt <= now && !here.byId.has(entry.id)) {
      // It fired and was freed, unseen; a log that begins earlier after the next restart shows it again.
      entry.topic = here
      entry.offset = -1
      entry.freeable = true
      here.add(entry)
    }
    if (waits) {
      entry.confirmed = true
      entry.cancelled = Doubt.No
      kept.push(entry)
    }
  }
  model.scheduled = kept
}

function mayBeGone(entry: Entry, found: ReadonlyMap<Topic, Found>, now: number): boolean {
  const { topic } = entry
  if (!entry.confirmed || entry.cancelled !== Doubt.No || !found.has(topic)) return true
  if (topic.byId.has(entry.id)) return topic.mayBeFreed(entry) || topic.purged
  // It fired unseen, and what it stood among was purged or truncated.
  return entry.dueAt <= now && (topic.purged || topic.truncatedAsked.some((offset) => offset > 0))
}

/** From here on, what was found is what there is. */
function adopt(space: Space, found: ReadonlyMap<Topic, Found>, now: number): void {
  const dead = [...found].find(([{ kind }]) => kind === 'dead')?.[1]
  for (const [topic, { stored, ready }] of found) {
    topic.subscriptions.clear()
    for (const name of ready.keys()) topic.subscriptions.add(name)
    for (const entry of topic.entries) {
      entry.transaction = null
      if (!stored.has(entry.id)) {
        if (dead?.stored.has(entry.id) === true) entry.confirmed = true
        // What may have been freed may be seen again, when the log begins earlier after the next restart.
        if (!entry.confirmed && !topic.mayBeFreed(entry)) entry.absent = true
        continue
      }
      entry.confirmed = true
      entry.removed = Doubt.No
      // It fired unseen before an earlier check, and is shown again.
      if (entry.offset < 0) entry.offset = stored.get(entry.id)?.offset ?? -1
      for (const name of [...entry.done.keys()]) if (!ready.has(name)) entry.done.delete(name)
      for (const [name, got] of ready) {
        const isHere = got.has(entry.id)
        if (isHere) entry.unsure.delete(name)
        else if (entry.mayWait(name, now)) {
          if (entry.doneFor(name) !== Doubt.No) entry.unsure.add(name)
          continue
        }
        entry.done.set(name, isHere ? Doubt.No : Doubt.Confirmed)
      }
    }
    for (let partition = 0; topic.kind === 'log' && partition < topic.partitions; partition++) {
      const known = space.producers(topic.name, partition).find((producer) => producer.producerId === producerId)
      topic.nextSequence[partition] = (known?.lastSequence ?? -1) + 1
    }
  }
}

/** What was stored before the restart is recognised after it. */
async function checkRepetitions(life: Life, model: Model): Promise<void> {
  for (const topic of model.topics) {
    const again = topic.entries.findLast((entry) => entry.confirmed && !entry.absent && entry.sequence >= 0)
    if (again === undefined) continue
    must(again.sequence < (topic.nextSequence[again.partition] ?? 0), () => `the producer of ${again.id} is forgotten`)
    const item = new PublishItem(null, topic.name, format, payloadOf('again', 10))
    item.partition = again.partition
    item.producerId = producerId
    item.producerEpoch = 0
    item.producerSequence = again.sequence
    await ends('a repetition', new Promise<void>((resolve) => life.space.publish([item], resolve)))
    must(
      item.status === PublishStatus.Duplicate && item.baseOffset === again.offset,
      () => `${again.id} sent again is not recognised: ${item.status} ${item.errorMessage} ${item.baseOffset}`,
    )
  }
}

/** After damage: what can be read is right and whole, and what cannot is said to be so, for the damaged logs alone. */
export async function checkDamaged(space: Space, model: Model, damagedLogs: number, lostFrom: number): Promise<void> {
  let failed = 0
  for (const topic of model.topics) {
    const there = space.topic(topic.name)?.id.toString('hex') === topic.uid
    if (!there) {
      const mustBe = topic.exists === Doubt.Confirmed && topic.deleted === Doubt.No && topic.kind !== 'memory'
      must(!mustBe || lostFrom < Infinity, () => `topic ${topic.name} is gone`)
      continue
    }
    const stored = new Set<string>()
    const broken = new Set<number>()
    for (const [partition, status] of (space.status(topic.name)?.partitions ?? []).entries()) {
      for (let offset = status.startOffset; offset < status.nextOffset; ) {
        const result = await read(space, topic.name, partition, offset)
        if (result.error !== null) broken.add(partition)
        if (result.entries.length === 0) break
        for (const view of result.entries) {
          stored.add(idOf(view.buffer.subarray(view.start, view.end)))
          offset = view.baseOffset + 1
        }
      }
    }
    failed += broken.size
    if (topic.kind === 'dying' || topic.kind === 'dead' || (topic.kind === 'priority' && broken.size > 0)) continue
    for (const entry of topic.entries) {
      if (broken.has(entry.partition) || !entry.confirmed || entry.absent || entry.dueAt > 0) continue
      const excused = topic.mayBeFreed(entry) || entry.confirmedAt >= lostFrom
      must(stored.has(entry.id) || excused, () => `${entry.id} was confirmed, and is silently missing in ${topic.name}`)
    }
  }
  must(failed <= damagedLogs, () => `${failed} logs cannot be read, but ${damagedLogs} are damaged`)
}
