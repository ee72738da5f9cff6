/** The same random commands to both brokers over raw sockets, what comes back compared line by line. Stops a sequence at its first difference. */
import { type Command, sourceOf } from './commands.ts'
import { Side } from './side.ts'

/** The first seeds of each sort of commands, and how many. */
const sequences = [
  [1, 40],
  [1001, 10],
  [2001, 10],
] as const
const commandsPerSequence = 60
const atOnce = 4
const quietMs = 60
/** A sequence that differs is looked at once more, alone and patiently: a busy machine is no difference. */
const patientMs = 300

/** Resolves to how many sequences differed. */
export async function compareAmqp(peerPort: number, ownPort: number, words: readonly string[]): Promise<number> {
  const seeds =
    words.length > 0
      ? words.map(Number)
      : sequences.flatMap(([first, count]) => Array.from({ length: count }, (_, index) => first + index))
  let failures = 0
  let commands = 0
  const again: number[] = []
  const next = seeds.values()
  const work = async (): Promise<void> => {
    for (const seed of next) {
      const result = await compareSequence(seed, peerPort, ownPort, quietMs)
      commands += result.commands
      if (result.difference !== null) again.push(seed)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, seeds.length) }, work))
  for (const seed of again) {
    const result = await compareSequence(seed, peerPort, ownPort, patientMs)
    if (result.difference === null) continue
    failures++
    console.log(`✖ seed ${seed}, command ${result.commands}\n${result.difference}`)
  }
  console.log(`${seeds.length - failures} of ${seeds.length} sequences agree (${commands} commands)`)
  return failures
}

async function compareSequence(
  seed: number,
  peerPort: number,
  ownPort: number,
  patience: number,
): Promise<{ commands: number; difference: string | null }> {
  const peer = new Side(peerPort, patience)
  const own = new Side(ownPort, patience)
  const source = sourceOf(seed)
  const history: Command[] = []
  try {
    for (const command of source.sequence(commandsPerSequence)) {
      history.push(command)
      const [theirs, ours] = await Promise.all([peer.run(command), own.run(command)])
      const difference = differing(theirs, ours)
      if (difference === null) continue
      const before = history
        .map((each, index) => `    ${index + 1}. ${told(each)}`)
        .slice(process.env['VERBOSE'] === undefined ? -8 : 0)
      return { commands: history.length, difference: `${before.join('\n')}\n${difference}` }
    }
    return { commands: history.length, difference: null }
  } finally {
    peer.end()
    own.end()
    for (const side of [new Side(peerPort, 0), new Side(ownPort, 0)]) {
      for (const command of source.cleanup()) await side.run(command).catch(() => undefined)
      side.end()
    }
  }
}

function differing(theirs: Record<string, string[]>, ours: Record<string, string[]>): string | null {
  const found: string[] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const left = theirs[key] ?? []
    const right = ours[key] ?? []
    if (left.join('\n') === right.join('\n')) continue
    found.push(`  ${key}`, ...left.map((line) => `    theirs: ${line}`), ...right.map((line) => `    ours:   ${line}`))
  }
  return found.length === 0 ? null : found.join('\n')
}

/** A command as one line. */
const told = (command: Command): string =>
  JSON.stringify(command, (_key, value: unknown) => {
    if (value instanceof Map) return Object.fromEntries(value)
    if (typeof value === 'bigint') return Number(value)
    if (typeof value === 'object' && value !== null && 'data' in value && 'type' in value && value.type === 'Buffer')
      return Buffer.from(value.data as number[]).toString()
    return value
  })
