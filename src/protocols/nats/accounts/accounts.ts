/**
 * Decentralised accounts: an operator, whose key signs accounts, whose keys sign users. The operator and the accounts stand in the configuration
 * file, users bring their tokens with them:
 *
 *   nats:
 *     operator: operator.jwt            # a file, or the token itself
 *     accounts: [orders.jwt, eyJ…]
 *     namespaces: { AB…: orders }       # of an account's public key; else the key itself is the name
 */
import { readFileSync } from 'node:fs'
import { type Broker, CoreError } from '../../../broker/face.ts'
import { serverVersion } from '../info.ts'
import { everything } from '../owner.ts'
import { collide } from '../subjects.ts'
import { Account } from './account.ts'
import { type Claims, commonClaims, decodeClaims, mustBeCurrent, record, strings, unknownClaim } from './claims.ts'
import { importsOf } from './exports.ts'

export class Accounts {
  readonly #byKey = new Map<string, Account>()
  /** The account of users that administer the broker; '' where there is none. */
  readonly system: string

  /** Throws Invalid with what is wrong. */
  constructor(settings: Readonly<Record<string, unknown>>, now: number) {
    const { operator, accounts, namespaces, ...more } = settings
    const [unknown] = Object.keys(more)
    if (unknown !== undefined) throw invalid(`unknown key ${unknown}; known are operator, accounts and namespaces`)
    if (typeof operator !== 'string') throw invalid('operator must be a token or the name of a file that holds one')
    const above = read(operator, 'operator', now)
    const { signing_keys: signers, strict_signing_key_usage: strict, system_account: system } = above.own
    if (above.issuer !== above.subject && !strings(signers).includes(above.issuer))
      throw invalid('the operator has not signed itself')
    checkOperator(above.own)
    this.system = typeof system === 'string' ? system : ''
    const trusted = [...(strict === true ? [] : [above.subject]), ...strings(signers)]
    const names = record(namespaces)
    for (const each of strings(accounts)) {
      const claims = read(each, 'account', now)
      if (!trusted.includes(claims.issuer))
        throw invalid(`account ${claims.subject} is signed by ${claims.issuer}, not by the operator`)
      const name = names[claims.subject] ?? claims.subject
      if (typeof name !== 'string' || name === '' || name === 'default')
        throw invalid(`namespaces: ${claims.subject} has no name that can be used`)
      if (this.all.some(({ namespace }) => namespace === name)) throw invalid(`two accounts cannot be the namespace "${name}"`)
      this.#byKey.set(claims.subject, new Account(claims, name))
    }
    for (const account of this.all) account.imports = importsOf(account, (key) => this.#byKey.get(key), now)
    refuseCycles(this.all)
    if (this.#byKey.size === 0) throw invalid('accounts must list tokens, or names of files that hold one')
    const stranger = Object.keys(names).find((key) => !this.#byKey.has(key))
    if (stranger !== undefined) throw invalid(`namespaces: ${stranger} is none of the accounts`)
  }

  get all(): Account[] {
    return [...this.#byKey.values()]
  }

  get(key: string): Account | undefined {
    return this.#byKey.get(key)
  }
}

/** Those beside the ones that are held tell tools where accounts are managed. */
const operatorClaims = new Set([
  ...commonClaims,
  ...['signing_keys', 'strict_signing_key_usage', 'system_account', 'assert_server_version'],
  ...['account_server_url', 'operator_service_urls'],
])

function checkOperator(own: Readonly<Record<string, unknown>>): void {
  const unknown = unknownClaim(own, operatorClaims)
  if (unknown !== undefined) throw invalid(`"${unknown}" of the operator cannot be held here`)
  const least = own['assert_server_version'] ?? ''
  if (least === '') return
  if (typeof least !== 'string' || !/^\d+\.\d+\.\d+$/.test(least))
    throw invalid(`the operator asks for a version of the server that is none: ${String(least)}`)
  if (least.localeCompare(serverVersion, 'en', { numeric: true }) > 0)
    throw invalid(`the operator asks for version ${least} of the server, and this is as ${serverVersion}`)
}

/** What comes back to where it came from would go round for ever. */
function refuseCycles(accounts: readonly Account[]): void {
  const steps = accounts.flatMap((account) =>
    account.imports.map(({ kind, from, subject, local }) => {
      const there = { account: from, subject }
      const here = { account, subject: local.replace(/\$\d+/g, '*') }
      return kind === 'stream' ? { from: there, to: here } : { from: here, to: there }
    }),
  )
  type Step = (typeof steps)[number]
  const after = ({ to }: Step): Step[] =>
    steps.filter(({ from }) => from.account === to.account && collide(from.subject, to.subject))
  for (const first of steps) {
    const reached = new Set(after(first))
    for (const step of reached) for (const next of after(step)) reached.add(next)
    if (reached.has(first)) throw invalid(`imports of "${first.from.subject}" lead round in a circle`)
  }
}

const invalid = (why: string): CoreError => new CoreError('Invalid', `configuration of nats: ${why}`)

function read(tokenOrFile: string, kind: 'operator' | 'account', now: number): Claims {
  let text = tokenOrFile
  if (!tokenOrFile.startsWith('eyJ')) {
    try {
      text = readFileSync(tokenOrFile, 'utf8')
    } catch (cause) {
      throw invalid(`${kind} ${tokenOrFile}: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
  }
  // Files of tools have a line above and one below.
  const token = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(text)?.[0] ?? ''
  try {
    const claims = decodeClaims(token, kind)
    mustBeCurrent(claims, now)
    return claims
  } catch (cause) {
    throw invalid(`${tokenOrFile.slice(0, 100)}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

const key = 'nats.accounts'

/** null: none are configured. Throws Invalid with what is wrong. */
export function accountsOf(broker: Broker): Accounts | null {
  return broker.shared(key, () => {
    const settings = broker.settingsOf('nats')
    return settings === undefined ? null : new Accounts(settings, broker.clock.now())
  })
}

/** Once, at the start: a namespace for each. */
export async function makeNamespaces(broker: Broker): Promise<void> {
  for (const { namespace } of accountsOf(broker)?.all ?? [])
    if (!broker.namespaces().includes(namespace)) await broker.createNamespace(everything, namespace)
  const accounts = accountsOf(broker)?.all ?? []
  if (accounts.some(({ imports }) => imports.length > 0)) (await import('./crossings.ts')).openCrossings(broker, accounts)
}
