/** Asks both brokers every case in every version that both advertise, and reports what differs. */
import { apis } from '../../../src/protocols/kafka/codec.ts'
import type { Message } from '../../../src/protocols/kafka/schema.ts'
import { TestClient } from '../../../src/protocols/kafka/test-client.ts'
import { type Difference, differences } from '../compare.ts'
import { type Case, World } from './case.ts'
import { clusterCases } from './cluster-cases.ts'
import { configCases } from './config-cases.ts'
import { createCases } from './create-cases.ts'
import { everywhere, versionsDiffer } from './expected.ts'
import { groupCases } from './group-cases.ts'
import { securityCases } from './security-cases.ts'
import { topicCases } from './topic-cases.ts'
import { transactionCases } from './transaction-cases.ts'

/** In order: later cases use what earlier ones made. */
const cases: readonly Case[] = [
  ...createCases(),
  ...configCases(),
  ...topicCases(),
  ...clusterCases(),
  ...securityCases(),
  ...groupCases(),
  ...transactionCases(),
]
const waitMs = 10_000

class Side {
  client: TestClient
  readonly world = new World()
  readonly #port: number
  versions = new Map<number, { from: number; to: number }>()

  constructor(port: number) {
    this.#port = port
    this.client = new TestClient(port)
  }

  async learnVersions(): Promise<void> {
    const answer = await this.client.ask(18, 3, { clientSoftwareName: 'differential', clientSoftwareVersion: '1' })
    for (const row of answer['apiKeys'] as Message[])
      this.versions.set(row['apiKey'], { from: row['minVersion'], to: row['maxVersion'] })
  }

  async ask(each: Case, version: number): Promise<Message | string> {
    const deadline = performance.now() + waitMs
    for (;;) {
      try {
        const answer = await this.client.ask(each.key, version, each.body(this.world, version))
        if (each.until !== undefined && !each.until(answer) && performance.now() < deadline) {
          await new Promise((resolve) => setTimeout(resolve, 50))
          continue
        }
        each.learn?.(answer, this.world)
        return answer
      } catch (cause) {
        // A broker that closes the connection instead of answering is compared by that, and asked the next case on a new one.
        if (this.client.socket.destroyed) this.client = new TestClient(this.#port)
        return cause instanceof Error ? cause.message : String(cause)
      }
    }
  }
}

/** Resolves to how many cases failed. */
export async function compareKafka(theirPort: number, ourPort: number, words: readonly string[]): Promise<number> {
  const [theirs, ours] = [new Side(theirPort), new Side(ourPort)]
  await Promise.all([theirs.learnVersions(), ours.learnVersions()])
  let [asked, failed, expected] = [0, 0, 0]
  const covered = new Set<number>()
  for (const each of cases) {
    covered.add(each.key)
    for (const version of each.versions ?? shared(theirs, ours, each.key)) {
      const name = `${apis.get(each.key)?.name} v${version}: ${each.name}`
      const [their, our] = await Promise.all([theirs.ask(each, version), ours.ask(each, version)])
      if (!words.every((word) => name.includes(word))) continue
      asked++
      const all = differences(their, our)
      const unexpected = all.filter((difference) => !isExpected(each, difference))
      expected += all.length - unexpected.length
      if (unexpected.length === 0) continue
      failed++
      console.log(`✖ ${name}`)
      for (const { path, theirs: a, ours: b } of unexpected.slice(0, 25)) {
        console.log(`    ${path || 'answer'}: Kafka ${JSON.stringify(a)}, AnyMQ ${JSON.stringify(b)}`)
      }
      if (unexpected.length > 25) console.log(`    and ${unexpected.length - 25} more`)
    }
  }
  if (words.length === 0) failed += checkVersions(theirs, ours, covered)
  console.log(`${asked} answers compared, ${failed} with differences that are not expected, ${expected} differences that are`)
  theirs.client.close()
  ours.client.close()
  return failed
}

function isExpected(each: Case, { path, theirs, ours }: Difference): boolean {
  if ((each.differs ?? []).some((row) => row.path.test(path))) return true
  return everywhere.some((row) => row.path.test(path) && (row.when?.(theirs, ours) ?? true))
}

function shared(theirs: Side, ours: Side, key: number): number[] {
  const [a, b] = [theirs.versions.get(key), ours.versions.get(key)]
  if (a === undefined || b === undefined) return []
  const from = Math.max(a.from, b.from)
  return Array.from({ length: Math.max(0, Math.min(a.to, b.to) - from + 1) }, (_, index) => from + index)
}

/** What is advertised, and that nothing advertised goes unasked. */
function checkVersions(theirs: Side, ours: Side, covered: ReadonlySet<number>): number {
  let failed = 0
  for (const key of new Set([...theirs.versions.keys(), ...ours.versions.keys()])) {
    const [a, b] = [theirs.versions.get(key), ours.versions.get(key)]
    const name = apis.get(key)?.name ?? `request ${key}`
    if ((a?.from !== b?.from || a?.to !== b?.to) && !versionsDiffer.has(key)) {
      failed++
      console.log(
        `✖ ${name}: Kafka advertises ${a === undefined ? 'nothing' : `${a.from}-${a.to}`}, AnyMQ ${b === undefined ? 'nothing' : `${b.from}-${b.to}`}`,
      )
    }
    if (b !== undefined && !covered.has(key) && !askedElsewhere.has(key)) {
      failed++
      console.log(`✖ ${name}: advertised, and no case asks it`)
    }
  }
  return failed
}

/** Whose answers are compared by the suites with real clients alone, so far: they depend on what other members do. */
const askedElsewhere = new Set([1, 11, 12, 13, 14, 17, 36, 68, 69, 76, 77, 78, 79, 88, 89, 90, 91, 92])
