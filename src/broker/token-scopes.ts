/**
 * What a signed token allows by its scopes: `PREFIX` then `read:`, `write:` or `configure:` and patterns of a namespace,
 * a name and (of topic exchanges) a key: `read:default/orders-*`; or `tag:` and a tag of its holder. In patterns `*` stands for anything, and what is
 * percent-encoded for itself. Scopes of any other form are somebody else's and say nothing.
 */
type Right = 'publish' | 'consume' | 'manage'

const rights: Readonly<Record<string, Right>> = { read: 'consume', write: 'publish', configure: 'manage' }

interface Grant {
  readonly right: Right
  readonly namespace: RegExp
  readonly name: RegExp
  readonly key: RegExp
}

export class TokenScopes {
  readonly tags: readonly string[]
  readonly #grants: readonly Grant[]

  /** `claim`: a text of words or a list of them. */
  constructor(claim: unknown, prefix: string) {
    const words = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim.map(String) : []
    const own = words.flatMap((word) => (word.startsWith(prefix) ? [word.slice(prefix.length)] : []))
    this.tags = own.flatMap((word) => (word.startsWith('tag:') ? [word.slice('tag:'.length)] : []))
    this.#grants = own.flatMap((word) => grantOf(word) ?? [])
  }

  /** May do everything, as a user who is one. */
  get isAdministrator(): boolean {
    return this.tags.includes('administrator')
  }

  /** Whether it says anything of a namespace. */
  enters(namespace: string): boolean {
    return this.#grants.some((grant) => isOf(grant, namespace))
  }

  may(right: Right, namespace: string, name: string): boolean {
    return this.#grants.some((grant) => grant.right === right && isOf(grant, namespace) && grant.name.test(name))
  }

  mayUseKey(right: Right, namespace: string, exchange: string, key: string): boolean {
    const allows = (grant: Grant): boolean => grant.name.test(exchange) && grant.key.test(key)
    return this.#grants.some((grant) => grant.right === right && isOf(grant, namespace) && allows(grant))
  }
}

function grantOf(word: string): Grant | null {
  const colon = word.indexOf(':')
  const right = rights[word.slice(0, Math.max(colon, 0))]
  const [namespace, name, key = '*', ...more] = word.slice(colon + 1).split('/')
  if (right === undefined || namespace === undefined || name === undefined || more.length > 0) return null
  try {
    return { right, namespace: patternOf(namespace), name: patternOf(name), key: patternOf(key) }
  } catch {
    return null // not percent-encoded as it should be
  }
}

const patternOf = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('*')
      .map((part) => RegExp.escape(decodeURIComponent(part)))
      .join('.*')}$`,
    's',
  )

/** Who knows the namespace `default` as `/` may write it so. */
const isOf = ({ namespace: pattern }: Grant, namespace: string): boolean =>
  pattern.test(namespace) || (namespace === 'default' && pattern.test('/'))
