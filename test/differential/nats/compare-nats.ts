/** Plays every conversation to both servers and reports what differs. */
import { type Difference, differences } from '../compare.ts'
import { compareBackups } from './backups.ts'
import { conversations } from './conversations.ts'
import { expected } from './expected.ts'
import { compareCore, generatedConversation } from './generated.ts'
import { Side } from './side.ts'

const seedsUsual = '1-30'
const isSeeds = (word: string): boolean => /^\d+(-\d+)?$/.test(word)

/**
 * Resolves to how many conversations failed. `asked`: words of the names of conversations (`generated` and `core` are made up), and of which seeds those
 * are made, `7` or `100-200`: then there are no others.
 */
export async function compareNats(theirPort: number, ourPort: number, asked: readonly string[]): Promise<number> {
  const words = asked.filter((word) => !isSeeds(word))
  const chosen = asked.filter(isSeeds)
  const seeds = (chosen.length === 0 ? [seedsUsual] : chosen).flatMap(seedsOf)
  const written = chosen.length === 0 ? conversations : []
  const [theirs, ours] = await Promise.all([Side.open(theirPort), Side.open(ourPort)])
  let [steps, failed, known] = [0, 0, 0]
  for (const conversation of [...written, ...seeds.map(generatedConversation)]) {
    if (!words.every((word) => conversation.name.includes(word))) continue
    const [their, our] = await Promise.all([theirs.play(conversation), ours.play(conversation)])
    const lines: string[] = []
    for (let step = 0; step < their.length; step++) {
      steps++
      const all = differences(their[step]?.map(withoutTimes), our[step]?.map(withoutTimes))
      const unexpected = all.filter((difference) => !isExpected(conversation.name, difference))
      known += all.length - unexpected.length
      for (const { path, theirs: a, ours: b } of unexpected)
        lines.push(`    step ${step} ${path}: nats-server ${JSON.stringify(a)}, AnyMQ ${JSON.stringify(b)}`)
    }
    if (lines.length === 0) continue
    failed++
    console.log(`✖ ${conversation.name}`)
    for (const line of lines.slice(0, 40)) console.log(line)
  }
  for (const seed of seeds) {
    if (!words.every((word) => `core ${seed}`.includes(word))) continue
    const different = await compareCore(seed, theirPort, ourPort)
    if (different === null) continue
    failed++
    console.log(`✖ core ${seed}: client ${different.step.client} ${JSON.stringify(different.step.lines)}`)
    for (const { path, theirs: a, ours: b } of different.found)
      console.log(`    ${path}: nats-server ${JSON.stringify(a)}, AnyMQ ${JSON.stringify(b)}`)
  }
  if (chosen.length === 0 && words.every((word) => 'backups'.includes(word))) failed += await compareBackups(theirPort, ourPort)
  console.log(
    `${steps} steps compared, ${failed} conversations with differences that are not expected, ${known} differences that are`,
  )
  await Promise.all([theirs.close(), ours.close()])
  return failed
}

function seedsOf(range: string): number[] {
  const [first = 0, last = first] = range.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, at) => first + at)
}

function isExpected(conversation: string, { path, theirs, ours }: Difference): boolean {
  return expected.some((row) => row.path.test(path) && (row.in?.test(conversation) ?? true) && (row.when?.(theirs, ours) ?? true))
}

/** Two servers never do a thing at the same time: that there is a time is compared, and which order they have. */
function withoutTimes(value: unknown): unknown {
  if (typeof value === 'string') {
    if (/^\d{4}-\d\d-\d\dT/.test(value)) return value.startsWith('0001') ? value : 'a time'
    return value
      .replace(/^(\$JS\.ACK\.\S+?\.\d+\.\d+\.\d+\.)\d+(\.\d+)$/, '$1a time$2')
      .replace(/^(\$JS\.FC\.[^.]+\.[^.]+)\..*/, '$1.id')
  }
  if (Array.isArray(value)) return value.map(withoutTimes)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutTimes(each)]))
}
