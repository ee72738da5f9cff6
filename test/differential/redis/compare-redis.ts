/** The same random commands to Redis and to AnyMQ, each reply compared. A sequence stops at its first difference, which is a failure unless expected.ts says why. */
import { type Comparison, sequence } from './commands.ts'
import { isExpected } from './expected.ts'
import { type Answer, Wire } from './wire.ts'

const seedsDefault = 300
const commandsPerSequence = 120
/** Times of two servers may be so far apart, in their own unit. */
const nearMost = 3000

/** Resolves to how many sequences differed. */
export async function compareRedis(peerPort: number, ownPort: number, words: readonly string[]): Promise<number> {
  const seeds = words.length > 0 ? words.map(Number) : Array.from({ length: seedsDefault }, (_, index) => index + 1)
  let failures = 0
  let commands = 0
  const expected = new Map<string, number>()
  for (const seed of seeds) {
    const result = await compareSequence(seed, peerPort, ownPort, expected)
    commands += result.commands
    if (result.difference === null) continue
    failures++
    console.log(`✖ seed ${seed}, command ${result.commands}\n${result.difference}`)
  }
  for (const [reason, count] of expected) console.log(`# ${count} expected: ${reason}`)
  console.log(`${seeds.length - failures} of ${seeds.length} sequences agree (${commands} commands)`)
  return failures
}

async function compareSequence(
  seed: number,
  peerPort: number,
  ownPort: number,
  expected: Map<string, number>,
): Promise<{ commands: number; difference: string | null }> {
  const peer = new Wire(peerPort)
  const own = new Wire(ownPort)
  let commands = 0
  const history: string[] = []
  try {
    for (const wire of [peer, own]) {
      await wire.run(['FLUSHALL'])
      // Half of them in RESP3.
      if (seed % 2 === 1) await wire.run(['HELLO', '3'])
    }
    let comparisons: Comparison[] | null = null
    for (const { args, comparison } of sequence(seed, commandsPerSequence)) {
      commands++
      history.push(args.map((arg) => JSON.stringify(arg)).join(' '))
      const [theirs, ours] = await Promise.all([peer.run(args), own.run(args)])
      let wanted = comparison
      const [name] = args
      if (name === 'MULTI') comparisons ??= []
      else if (comparisons !== null && name === 'EXEC') wanted = 'exact'
      const agree =
        name === 'EXEC' && comparisons !== null
          ? sameTransaction(theirs, ours, comparisons)
          : same(theirs, ours, isQueued(theirs) ? 'exact' : wanted)
      if (comparisons !== null && isQueued(theirs)) comparisons.push(comparison)
      if (name === 'EXEC' || name === 'DISCARD') comparisons = null
      if (agree) continue
      const reason = isExpected(args, theirs, ours)
      if (reason !== null) {
        expected.set(reason, (expected.get(reason) ?? 0) + 1)
        continue
      }
      const last = history.slice(-12).join('\n  ')
      return { commands, difference: `  ${last}\n  Redis: ${show(theirs)}\n  AnyMQ: ${show(ours)}` }
    }
    return { commands, difference: null }
  } catch (cause) {
    return { commands, difference: `  ${history.slice(-12).join('\n  ')}\n  ${String(cause)}` }
  } finally {
    peer.close()
    own.close()
  }
}

const isQueued = (answer: Answer): boolean => 'value' in answer && answer.value === 'QUEUED'

function sameTransaction(theirs: Answer, ours: Answer, comparisons: readonly Comparison[]): boolean {
  if (!('items' in theirs) || !('items' in ours)) return same(theirs, ours, 'exact')
  if (theirs.items.length !== ours.items.length) return false
  return theirs.items.every((item, index) => same(item, ours.items[index] as Answer, comparisons[index] ?? 'exact'))
}

function same(theirs: Answer, ours: Answer, comparison: Comparison): boolean {
  if (comparison === 'kind' && theirs.kind !== '-') return theirs.kind === ours.kind
  if (comparison === 'near' && 'value' in theirs && 'value' in ours && theirs.kind === ':' && ours.kind === ':') {
    const [one, other] = [Number(theirs.value), Number(ours.value)]
    return one < 0 || other < 0 ? one === other : Math.abs(one - other) <= nearMost
  }
  return normal(theirs, comparison) === normal(ours, comparison)
}

/** Equal text for what counts as equal. */
function normal(answer: Answer, comparison: Comparison): string {
  if ('value' in answer) return `${answer.kind}${normalValue(answer.kind, answer.value)}`
  const { items, kind } = answer
  if (comparison === 'scan' && items[1] !== undefined) return normal(items[1], 'unordered')
  const parts = items.map((item) => normal(item, comparison))
  if (comparison === 'unordered' || kind === '~') parts.sort()
  else if (comparison === 'pairs' || kind === '%') {
    const pairs: string[] = []
    for (let at = 0; at < parts.length; at += 2) pairs.push(`${parts[at]} ${parts[at + 1]}`)
    return `${kind}[${pairs.sort().join(', ')}]`
  }
  return `${kind}[${parts.join(', ')}]`
}

/** Numbers with a fraction are the same when they read back as the same: Redis before 7.2 printed 17 digits. */
function normalValue(kind: string, value: string): string {
  if ((kind === '$' || kind === ',') && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) && /[.e]/i.test(value))
    return String(Number(value))
  return value
}

function show(answer: Answer): string {
  if ('value' in answer) return `${answer.kind}${JSON.stringify(answer.value)}`
  return `${answer.kind}[${answer.items.map(show).join(', ')}]`
}
