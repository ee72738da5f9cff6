/** The commands of protocol.txt 1.13, and how a line is known to be one of them. */

/** Prefixes, in the order in which the reference server compares them. A blank at the end says that arguments follow. */
const commands = [
  'put ',
  'peek ',
  'peek-ready',
  'peek-delayed',
  'peek-buried',
  'reserve-with-timeout ',
  'reserve-job ',
  'reserve',
  'delete ',
  'release ',
  'bury ',
  'kick ',
  'kick-job ',
  'touch ',
  'stats-job ',
  'stats-tube ',
  'stats',
  'use ',
  'watch ',
  'ignore ',
  'list-tubes-watched',
  'list-tube-used',
  'list-tubes',
  'quit',
  'pause-tube ',
] as const
export type Command = (typeof commands)[number]

const byWord: ReadonlyMap<string, Command> = new Map(commands.map((command) => [command, command]))

/** What a line begins with. Most are found by their first word with the blank behind it. */
export function commandOf(line: string): Command | undefined {
  const blank = line.indexOf(' ')
  return byWord.get(blank < 0 ? line : line.slice(0, blank + 1)) ?? commands.find((prefix) => line.startsWith(prefix))
}
