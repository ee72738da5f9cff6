/**
 * Users of the broker in the words of Redis's ACL rules. An administrator is `~* &* +@all`, everybody else `+@all -@admin` with the keys that his permissions in
 * the namespace `default` name: `%R~` to consume, `%W~` to publish, `~` both. A channel is given with the key of its name. Rules that ask for anything else are
 * refused: nothing is kept that does not hold.
 */
import type { Permission, UserChange, UserListing } from '../../broker/face.ts'
import { expressionOf, globsOf } from './acl-patterns.ts'
import { RedisError } from './errors.ts'

/** `plain`: all that are not for administrators. */
type Commands = 'none' | 'plain' | 'all'
/** `kept`: it has one, and that stays. sha256 in base64. */
type Password = 'none' | 'kept' | { readonly text: string } | { readonly sha256: string }

export interface AclUser {
  on: boolean
  password: Password
  commands: Commands
  read: Set<string>
  write: Set<string>
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

export function aclUserOf({ admin, permissions }: UserListing, hasPassword: boolean): AclUser {
  const here = permissions.filter((each) => each.namespace === namespace)
  const found = { read: here.map(({ consume }) => globsOf(consume)), write: here.map(({ publish }) => globsOf(publish)) }
  const all = (globs: (string[] | null)[]): Set<string> => new Set(admin ? ['*'] : globs.flatMap((each) => each ?? []))
  return {
    on: hasPassword,
    password: hasPassword ? 'kept' : 'none',
    commands: admin ? 'all' : 'plain',
    read: all(found.read),
    write: all(found.write),
    unsaid: !admin && [...found.read, ...found.write].includes(null),
    manage: alternatives(here.map(({ manage }) => manage)),
  }
}

export const newAclUser = (): AclUser => ({
  on: false,
  password: 'none',
  commands: 'none',
  read: new Set(),
  write: new Set(),
  unsaid: false,
  manage: '',
})

/** What remains of a user's patterns in expressions that no rule can say is shown between slashes. */
export function keysOf({ admin, permissions }: UserListing): string[] {
  if (admin) return ['~*']
  const here = permissions.filter((each) => each.namespace === namespace)
  const shown = (expression: string): string[] => globsOf(expression) ?? [`/${expression}/`]
  return keyRules(new Set(here.flatMap(({ consume }) => shown(consume))), new Set(here.flatMap(({ publish }) => shown(publish))))
}

export const channelsOf = (keys: readonly string[]): string[] =>
  keys.filter((each) => each.startsWith('~')).map((each) => `&${each.slice(1)}`)

export const commandsOf = ({ admin }: UserListing): string => (admin ? '+@all' : '+@all -@admin')

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
  let channels: Set<string> | null = null
  for (const rule of rules) {
    const word = rule.toLowerCase()
    if (word === 'on') user.on = true
    else if (word === 'off') user.on = false
    else if (word === 'reset') {
      Object.assign(user, newAclUser())
      channels = null
    } else if (word === 'resetpass') user.password = 'none'
    else if (word === 'nopass') throw unsayable(rule, 'every user has a password, or cannot log in')
    else if (word === 'clearselectors') continue
    else if (word === 'resetkeys') clearKeys(user)
    else if (word === 'resetchannels') channels = new Set()
    else if (word === 'allchannels') channels = new Set(['*'])
    else if (rule.startsWith('&')) channels = new Set([...(channels ?? []), rule.slice(1)])
    else if (word === 'allkeys' || rule === '~*') {
      clearKeys(user)
      user.read.add('*')
      user.write.add('*')
    } else if (rule.startsWith('~') || rule.startsWith('%')) addKeys(user, rule)
    else if (/^[><#!]/.test(rule)) changePassword(user, rule, presumed)
    else if (/^[+-]/.test(rule) || word === 'allcommands' || word === 'nocommands') changeCommands(user, word, isWord)
    else if (rule.startsWith('(')) throw unsayable(rule, 'users have no selectors')
    else throw wrong(rule, 'Syntax error')
  }
  checkOutcome(user, channels)
  return presumed
}

function clearKeys(user: AclUser): void {
  user.read = new Set()
  user.write = new Set()
  user.unsaid = false
}

function addKeys({ read, write }: AclUser, rule: string): void {
  const parts = /^(?:%(R|W|RW|WR))?~(.*)$/is.exec(rule)
  if (parts === null) throw wrong(rule, 'Syntax error')
  const [, flags = 'RW', pattern = ''] = parts
  if (expressionOf([pattern]) === null) throw unsayable(rule, 'sets in brackets are not among its patterns')
  if (read.has('*') && write.has('*'))
    throw wrong(
      rule,
      "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns",
    )
  if (/r/i.test(flags)) read.add(pattern)
  if (/w/i.test(flags)) write.add(pattern)
}

function changePassword(user: AclUser, rule: string, presumed: Presumption[]): void {
  const value = rule.slice(1)
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
  if (word === 'allcommands' || word === '+@all') user.commands = 'all'
  else if (word === 'nocommands' || word === '-@all') user.commands = 'none'
  else if (word === '-@admin') user.commands = user.commands === 'none' ? 'none' : 'plain'
  else if (word === '+@admin' && user.commands === 'plain') user.commands = 'all'
  else if (isWord(word.slice(1)))
    throw unsayable(word, 'permissions are for keys; of commands there are +@all, and +@all -@admin')
  else throw wrong(word, 'Unknown command or category name in ACL')
}

function checkOutcome(user: AclUser, channels: ReadonlySet<string> | null): void {
  const { read, write, commands, password, on } = user
  if (user.unsaid) throw unsayable('~', 'its permissions are regular expressions that are no patterns; begin with resetkeys')
  if (!on && password !== 'none') throw unsayable('off', 'who has a password can log in; say on, or resetpass')
  if (commands === 'all' && !(read.has('*') && write.has('*')))
    throw unsayable('+@all', 'administration is for users with all keys; put -@admin behind it')
  if (commands === 'none' && read.size + write.size > 0) throw unsayable('-@all', 'who has keys has commands; say +@all -@admin')
  if (channels === null) return
  const keys = keyRules(read, write)
  const same = channels.size === keys.length && keys.every((each) => channels.has(each.slice(1)) && each.startsWith('~'))
  if (!same) throw unsayable('&', 'a channel is given with the key of its name: name the same patterns, or no channels')
}

/** What makes the broker's user that. */
export function changeOf(user: AclUser, present: UserListing | undefined): UserChange {
  const { read, write, commands, password, manage } = user
  const elsewhere = (present?.permissions ?? []).filter((each) => each.namespace !== namespace)
  const here: Permission = {
    namespace,
    consume: expressionOf([...read]) ?? '',
    publish: expressionOf([...write]) ?? '',
    manage,
  }
  return {
    admin: commands === 'all',
    permissions: read.size + write.size > 0 || manage !== '' ? [...elsewhere, here] : elsewhere,
    ...passwordChange(password),
  }
}

function passwordChange(password: Password): UserChange {
  if (password === 'kept') return {}
  if (password === 'none') return { verifier: { algorithm: 'none' } }
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
