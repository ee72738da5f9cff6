/**
 * Users of the broker in the words of Redis's ACL rules. An administrator is `~* &* +@all`. Of everybody else the permissions in the namespace `default` are his
 * keys, `%R~` to consume, `%W~` to publish, `~` both, and his channels, which other protocols know by the same names. Where keys and channels are not the same, or
 * his commands not those of whoever has keys, that is kept beside the permissions, for Redis alone (operations.ts). Rules that ask for anything else are refused:
 * nothing is kept that does not hold.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Permission, UserChange, UserListing } from '../../broker/face.ts'
import { allCommands, noCommands, withCommandWord } from './acl-commands.ts'
import { expressionOf, globsOf } from './acl-patterns.ts'
import { RedisError } from './errors.ts'
import { channelWordsOf, isOfCommands, keyWordOf, keyWordsOf, resetChannels, resetKeys } from './operations.ts'

/** `kept`: it has one, and that stays. `any`: each will do. sha256 in base64. */
type Password = 'none' | 'kept' | 'any' | { readonly text: string } | { readonly sha256: string }

export interface AclUser {
  on: boolean
  password: Password
  /** Words as `+@all`; the first is of all commands. */
  commands: readonly string[]
  /** Patterns of keys. */
  read: Set<string>
  write: Set<string>
  channels: Set<string>
  /** An expression of its permissions that is no pattern. */
  unsaid: boolean
  manage: string
}

/** A rule that holds only where the user has this password already. */
export interface Presumption {
  readonly rule: string
  readonly password: string
}

const namespace = 'default'
const protocol = 'redis'
const everything = '*'

/** `plain`: the commands of whom no rule speaks. */
export function aclUserOf(user: UserListing, password: 'none' | 'kept' | 'any', plain: readonly string[]): AclUser {
  const { admin, disabled, permissions } = user
  const { read, write } = patternsOf(user, globsOf)
  return {
    on: !disabled,
    password,
    commands: commandsOf(user, plain),
    read: new Set(read.filter((each) => each !== null)),
    write: new Set(write.filter((each) => each !== null)),
    channels: new Set(channelsOf(user)),
    unsaid: !admin && [...read, ...write].includes(null),
    manage: alternatives(permissions.filter((each) => each.namespace === namespace).map(({ manage }) => manage)),
  }
}

export const newAclUser = (): AclUser => ({
  on: false,
  password: 'none',
  commands: [noCommands],
  read: new Set(),
  write: new Set(),
  channels: new Set(),
  unsaid: false,
  manage: '',
})

interface Patterns {
  /** null: of an expression that `globs` did not say. */
  readonly read: (string | null)[]
  readonly write: (string | null)[]
}

type Globs = (expression: string) => string[] | null

/** Of its keys. */
function patternsOf(user: UserListing, globs: Globs): Patterns {
  const words = keyWordsOf(user.operations[protocol] ?? [])
  if (words === null) return permitted(user, globs)
  const said = (which: 'read' | 'write'): string[] => words.filter((each) => each[which]).map(({ pattern }) => pattern)
  return { read: said('read'), write: said('write') }
}

/** Of all that its permissions speak of: keys and channels. */
function permitted({ admin, permissions }: UserListing, globs: Globs): Patterns {
  if (admin) return { read: [everything], write: [everything] }
  const here = permissions.filter((each) => each.namespace === namespace)
  const all = (which: 'consume' | 'publish'): (string | null)[] => here.flatMap((each) => globs(each[which]) ?? [null])
  return { read: all('consume'), write: all('publish') }
}

/** What remains of a user's patterns in expressions that no rule can say is shown between slashes. */
const shownGlobs = (expression: string): string[] => globsOf(expression) ?? [`/${expression}/`]

export const keysOf = (user: UserListing): string[] => rulesFor(patternsOf(user, shownGlobs))

function rulesFor({ read, write }: Patterns): string[] {
  const given = (patterns: readonly (string | null)[]): Set<string> => new Set(patterns.filter((each) => each !== null))
  return keyRules(given(read), given(write))
}

/** Patterns. */
export function channelsOf(user: UserListing): string[] {
  const ofBoth = (): string[] => rulesFor(permitted(user, shownGlobs)).filter((rule) => rule.startsWith('~'))
  return channelWordsOf(user.operations[protocol] ?? []) ?? ofBoth().map((rule) => rule.slice(1))
}

export function commandsOf({ admin, operations }: UserListing, plain: readonly string[]): string[] {
  const words = operations[protocol]
  if (words === undefined) return admin ? [allCommands] : [...plain]
  const said = words.filter(isOfCommands)
  return said[0] === allCommands || said[0] === noCommands ? said : [noCommands, ...said]
}

function keyRules(read: ReadonlySet<string>, write: ReadonlySet<string>): string[] {
  return [
    ...[...read].filter((each) => write.has(each)).map((each) => `~${each}`),
    ...[...read].filter((each) => !write.has(each)).map((each) => `%R~${each}`),
    ...[...write].filter((each) => !read.has(each)).map((each) => `%W~${each}`),
  ]
}

/**
 * Changes `user` by the rules, in their order, and says which of them presume a password. `isWord`: whether there is such a command, or category with its `@`.
 * Throws a RedisError where one is wrong, or the outcome is nothing that the broker's users can be.
 */
export function applyRules(user: AclUser, rules: readonly string[], isWord: (word: string) => boolean): Presumption[] {
  const presumed: Presumption[] = []
  for (const rule of rules) {
    const word = rule.toLowerCase()
    if (word === 'on') user.on = true
    else if (word === 'off') user.on = false
    else if (word === 'reset') Object.assign(user, newAclUser())
    else if (word === 'resetpass') user.password = 'none'
    else if (word === 'nopass') user.password = 'any'
    // What RESTORE is given is always looked at, and there are no selectors.
    else if (word === 'clearselectors' || word === 'sanitize-payload') continue
    else if (word === resetKeys) clearKeys(user)
    else if (word === resetChannels) user.channels = new Set()
    else if (word === 'allchannels' || rule === '&*') user.channels = new Set([everything])
    else if (rule.startsWith('&')) addChannel(user, rule)
    else if (word === 'allkeys' || rule === '~*') {
      clearKeys(user)
      user.read.add(everything)
      user.write.add(everything)
    } else if (rule.startsWith('~') || rule.startsWith('%')) addKeys(user, rule)
    else if (/^[><#!]/.test(rule)) changePassword(user, rule, presumed)
    else if (/^[+-]/.test(rule) || word === 'allcommands' || word === 'nocommands') changeCommands(user, word, isWord)
    else if (rule.startsWith('(')) throw unsayable(rule, 'users have no selectors')
    else throw wrong(rule, 'Syntax error')
  }
  if (user.unsaid) throw unsayable('~', 'its permissions are regular expressions that are no patterns; begin with resetkeys')
  return presumed
}

function clearKeys(user: AclUser): void {
  user.read = new Set()
  user.write = new Set()
  user.unsaid = false
}

function addKeys({ read, write }: AclUser, rule: string): void {
  const word = keyWordOf(rule)
  if (word === null) throw wrong(rule, 'Syntax error')
  const { pattern } = word
  checkPattern(rule, pattern)
  if (read.has(everything) && write.has(everything))
    throw wrong(
      rule,
      "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns",
    )
  if (word.read) read.add(pattern)
  if (word.write) write.add(pattern)
}

function addChannel({ channels }: AclUser, rule: string): void {
  const pattern = rule.slice(1)
  checkPattern(rule, pattern)
  if (channels.has(everything))
    throw wrong(
      rule,
      "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels",
    )
  channels.add(pattern)
}

function checkPattern(rule: string, pattern: string): void {
  if (expressionOf([pattern]) === null) throw unsayable(rule, 'sets in brackets are not among its patterns')
}

function changePassword(user: AclUser, rule: string, presumed: Presumption[]): void {
  const value = rule.slice(1)
  if (user.password === 'any') user.password = 'none'
  if (rule.startsWith('!')) throw unsayable(rule, 'hashes of passwords are of another kind here; use resetpass')
  if (rule.startsWith('#')) {
    if (!/^[0-9a-f]{64}$/.test(value))
      throw wrong(rule, 'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters')
    if (user.password !== 'none') throw onlyOne(rule)
    user.password = { sha256: Buffer.from(value, 'hex').toString('base64') }
    return
  }
  const given = typeof user.password === 'object' && 'text' in user.password ? user.password.text : null
  if (user.password === 'kept') presumed.push({ rule, password: value })
  else if (rule.startsWith('>')) {
    if (user.password !== 'none' && given !== value) throw onlyOne(rule)
  } else if (given !== value) throw noSuchPassword(rule)
  if (rule.startsWith('<')) user.password = 'none'
  else if (user.password === 'none') user.password = { text: value }
}

/** What to say where a user does not have the password that a rule presumes. */
export const notPresent = (rule: string): RedisError => (rule.startsWith('<') ? noSuchPassword(rule) : onlyOne(rule))

function changeCommands(user: AclUser, word: string, isWord: (word: string) => boolean): void {
  const said = word === 'allcommands' ? allCommands : word === 'nocommands' ? noCommands : word
  if (isWord(said.slice(1))) user.commands = withCommandWord(user.commands, said)
  else throw wrong(word, 'Unknown command or category name in ACL')
}

/** What makes the broker's user that. */
export function changeOf(user: AclUser, present: UserListing | undefined, plain: readonly string[]): UserChange {
  const { on, read, write, channels, password, manage } = user
  const elsewhere = (present?.permissions ?? []).filter((each) => each.namespace !== namespace)
  const names = { consume: union(read, channels), publish: union(write, channels) }
  const here: Permission = {
    namespace,
    consume: expressionOf([...names.consume]) ?? '',
    publish: expressionOf([...names.publish]) ?? '',
    manage,
  }
  const { [protocol]: _, ...others } = present?.operations ?? {}
  const words = operationsOf(user, names, plain)
  return {
    admin: isAdministrator(user),
    disabled: !on,
    permissions: names.consume.size + names.publish.size > 0 || manage !== '' ? [...elsewhere, here] : elsewhere,
    operations: words.length === 0 ? others : { ...others, [protocol]: words },
    ...passwordChange(password),
  }
}

export const isAdministrator = ({ commands, read, write, channels }: AclUser): boolean =>
  same(commands, [allCommands]) && [read, write, channels].every((patterns) => patterns.has(everything))

/** What its permissions do not say; nothing where they say all. */
function operationsOf(
  user: AclUser,
  names: { readonly consume: ReadonlySet<string>; readonly publish: ReadonlySet<string> },
  plain: readonly string[],
): string[] {
  const { read, write, channels, commands } = user
  if (isAdministrator(user)) return []
  const keys = keyRules(read, write)
  const ofBoth = keys.filter((rule) => rule.startsWith('~')).map((rule) => rule.slice(1))
  const keyWords = same([...names.consume], [...read]) && same([...names.publish], [...write]) ? [] : [resetKeys, ...keys]
  const channelWords = same([...channels], ofBoth) ? [] : [resetChannels, ...[...channels].map((each) => `&${each}`)]
  return keyWords.length + channelWords.length === 0 && isDeepStrictEqual(commands, plain)
    ? []
    : [...keyWords, ...channelWords, ...commands]
}

function union(keys: ReadonlySet<string>, channels: ReadonlySet<string>): ReadonlySet<string> {
  const all = new Set([...keys, ...channels])
  return all.has(everything) ? new Set([everything]) : all
}

const same = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((each) => others.includes(each))

function passwordChange(password: Password): UserChange {
  if (password === 'kept') return {}
  if (password === 'none' || password === 'any') return { verifier: { algorithm: password } }
  if ('text' in password) return { password: password.text }
  return { verifier: { algorithm: 'sha256', salt: '', hash: password.sha256 } }
}

function alternatives(expressions: readonly string[]): string {
  const given = expressions.filter((each) => each !== '')
  return given.length === 1 ? (given[0] as string) : given.map((each) => `(?:${each})`).join('|')
}

const wrong = (rule: string, why: string): RedisError =>
  // A password does not come back in the reply.
  new RedisError(`ERR Error in ACL SETUSER modifier '${/^[><]/.test(rule) ? `${rule[0]}***` : rule}': ${why}`)

const unsayable = (rule: string, why: string): RedisError => wrong(rule, `the broker's users cannot be so: ${why}`)

const onlyOne = (rule: string): RedisError => unsayable(rule, 'a user has one password; say resetpass first')
const noSuchPassword = (rule: string): RedisError =>
  wrong(rule, 'The password you are trying to remove from the user does not exist')
