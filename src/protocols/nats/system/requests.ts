/**
 * Requests on `$SYS.REQ.SERVER.>` and `$SYS.REQ.ACCOUNT.>` by which nats-server's tools ask what goes on: for users of the system's account, or, where
 * there are no accounts, administrators.
 */
import type { Broker, ServerFacts } from '../../../broker/face.ts'
import { serverFacts, serverId, serverName } from '../info.ts'
import { factsKey } from '../owner.ts'
import { Pages } from '../pages.ts'
import { accountInfo, accountNamed, accountStatz, accountz } from './account-pages.ts'

type Ask = (pages: Pages, query: URLSearchParams) => object | Promise<object>

const ofServer: Readonly<Record<string, Ask>> = {
  VARZ: (pages) => pages.varz(),
  CONNZ: (pages, query) => pages.connz(query),
  SUBSZ: (pages) => pages.subsz(),
  JSZ: (pages, query) => pages.jsz(query),
  ROUTEZ: (pages) => pages.routez(),
  GATEWAYZ: (pages) => pages.gatewayz(),
  LEAFZ: (pages) => pages.leafz(),
  HEALTHZ: (pages) => ({ ...pages.healthz(), status_code: pages.ready ? 200 : 503 }),
}
const ofAccount: Readonly<Record<string, Ask>> = {
  CONNZ: (pages, query) => pages.connz(query),
  SUBSZ: (pages) => pages.subsz(),
  JSZ: (pages, query) => pages.jsz(query),
}
/** Options are called otherwise in requests than on pages. */
const queryNames: Readonly<Record<string, string>> = { subscriptions: 'subs', consumer: 'consumers' }

/** The answer; null where nobody answers. */
export async function answerSystem(broker: Broker, subject: string, body: string): Promise<object | null> {
  const [, , whose = '', which = '', word = '', ...more] = subject.split('.')
  const facts = broker.shared<ServerFacts | null>(factsKey, () => null)
  const options = optionsOf(body)
  if (facts === null || more.length > 0 || options === null || !isMeant(broker, options)) return null
  const query = queryOf(options)
  if (whose === 'SERVER' && (which === 'PING' || which === serverId(broker))) return await server(broker, facts, word, query)
  if (whose !== 'ACCOUNT') return null
  if (which !== 'PING') return await account(broker, facts, which, word, query)
  if (word !== 'STATZ') return null
  const { accounts, include_unused: unused } = options
  const names = Array.isArray(accounts) && accounts.length > 0 ? accounts.map(String) : null
  return { server: serverFacts(broker), data: accountStatz(broker, facts, names, unused === true) }
}

async function server(broker: Broker, facts: ServerFacts, word: string, query: URLSearchParams): Promise<object | null> {
  const pages = new Pages(broker, facts)
  if (word === '' || word === 'STATSZ') return { server: serverFacts(broker), statsz: pages.statsz() }
  if (word === 'IDZ') return { name: serverName, host: '', id: serverId(broker) }
  if (word === 'ACCOUNTZ') {
    const data = accountz(broker, facts, query.get('account') ?? '')
    return {
      server: serverFacts(broker),
      ...(data === null ? { error: { code: 500, description: 'no such account' } } : { data }),
    }
  }
  const ask = ofServer[word]
  return ask === undefined ? null : { server: serverFacts(broker), data: await ask(pages, query) }
}

async function account(
  broker: Broker,
  facts: ServerFacts,
  name: string,
  word: string,
  query: URLSearchParams,
): Promise<object | null> {
  const named = accountNamed(broker, name)
  if (named === undefined) return null
  const pages = new Pages(broker, facts, named.namespace)
  const clients = pages.clients()
  if (word === 'CONNS') return { server: serverFacts(broker), acc: name, leafnodes: 0, total_conns: clients.conns, ...clients }
  if (word === 'INFO') return { server: serverFacts(broker), data: accountInfo(broker, facts, named) }
  const ask = ofAccount[word]
  return ask === undefined ? null : { server: serverFacts(broker), data: await ask(pages, query) }
}

function optionsOf(body: string): Record<string, unknown> | null {
  if (body.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** Whether this server is one of those that are asked. */
function isMeant(broker: Broker, options: Record<string, unknown>): boolean {
  const { server_name: name, cluster, domain, host, id } = options
  const isOther = (value: unknown): boolean => typeof value === 'string' && value !== ''
  const named = !isOther(name) || serverName.includes(String(name))
  return named && (!isOther(id) || id === serverId(broker)) && ![cluster, domain, host].some(isOther)
}

function queryOf(options: Record<string, unknown>): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options))
    if (['boolean', 'number', 'string'].includes(typeof value)) query.set(queryNames[name] ?? name, String(value))
  return query
}
