/**
 * What is said of a user for Redis alone ({@link Principal.operations}), in words of ACL rules: the commands he may run (`-@all`, `+get`), which may be those for
 * administrators; and, where any are said, the keys (`~jobs:*`, `%R~seen:*`; `resetkeys`: no others) and channels (`&news:*`; `resetchannels`: no others) that
 * his permissions are narrowed to.
 */
import { CoreError, type Principal } from '../../broker/face.ts'
import { allowedCommands, isCommandWord } from './acl-commands.ts'
import { Glob } from './arguments.ts'
import { commands } from './commands/table.ts'

export const resetKeys = 'resetkeys'
export const resetChannels = 'resetchannels'

export interface KeyWord {
  readonly read: boolean
  readonly write: boolean
  readonly pattern: string
}

export function keyWordOf(word: string): KeyWord | null {
  const parts = /^(?:%(R|W|RW|WR))?~(.*)$/is.exec(word)
  if (parts === null) return null
  const [, flags = 'RW', pattern = ''] = parts
  return { read: /r/i.test(flags), write: /w/i.test(flags), pattern }
}

/** null: they say nothing of keys. */
export function keyWordsOf(words: readonly string[]): KeyWord[] | null {
  const found = words.map(keyWordOf).filter((each) => each !== null)
  return found.length === 0 && !words.includes(resetKeys) ? null : found
}

/** Patterns; null: they say nothing of channels. */
export function channelWordsOf(words: readonly string[]): string[] | null {
  const found = words.filter((word) => word.startsWith('&')).map((word) => word.slice(1))
  return found.length === 0 && !words.includes(resetChannels) ? null : found
}

export class Operations {
  readonly #commands: ReadonlySet<string>
  /** null: permissions alone count. */
  readonly #keys: { readonly read: readonly Glob[]; readonly write: readonly Glob[] } | null
  readonly #channels: readonly Glob[] | null

  constructor(words: readonly string[]) {
    const keys = keyWordsOf(words)
    const globs = (which: readonly KeyWord[]): Glob[] => which.map(({ pattern }) => new Glob(pattern))
    this.#commands = allowedCommands(words.filter(isOfCommands), commands)
    this.#keys =
      keys === null ? null : { read: globs(keys.filter(({ read }) => read)), write: globs(keys.filter(({ write }) => write)) }
    this.#channels = channelWordsOf(words)?.map((pattern) => new Glob(pattern)) ?? null
  }

  mayRun(name: string): boolean {
    return this.#commands.has(name)
  }

  mayRead(key: string): boolean {
    return this.#keys === null || this.#keys.read.some((glob) => glob.matches(key))
  }

  mayWrite(key: string): boolean {
    return this.#keys === null || this.#keys.write.some((glob) => glob.matches(key))
  }

  mayUseChannel(channel: string): boolean {
    return this.#channels === null || this.#channels.some((glob) => glob.matches(channel))
  }
}

export const isOfCommands = (word: string): boolean => /^[+-]/.test(word)

const known = new WeakMap<readonly string[], Operations>()

/** null: nothing is said of him. */
export function operationsOf(principal: Principal): Operations | null {
  const words = principal.operations?.('redis') ?? null
  if (words === null) return null
  let found = known.get(words)
  if (found === undefined) {
    found = new Operations(words)
    known.set(words, found)
  }
  return found
}

/** Throws a CoreError for a word that is none of these. */
export function checkOperations(words: readonly string[]): void {
  for (const word of words) {
    if (word === resetKeys || word === resetChannels || word.startsWith('&') || keyWordOf(word) !== null) continue
    if (!isOfCommands(word) || !isCommandWord(word.slice(1), commands))
      throw new CoreError(
        'Invalid',
        `operations: "${word}" is no rule for Redis: write +get, -@admin, +config|get, ~key*, %R~key*, &channel*, resetkeys or resetchannels`,
      )
  }
}
