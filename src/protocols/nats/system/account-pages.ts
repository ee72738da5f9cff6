/** What nats-server tells of accounts: for its pages (monitoring.ts) and for requests of its tools (requests.ts). Without accounts, namespaces stand for them. */
import type { Broker, ServerFacts } from '../../../broker/face.ts'
import type { Account } from '../accounts/account.ts'
import { accountsOf } from '../accounts/accounts.ts'
import { serverId } from '../info.ts'
import { jetStreamOf } from '../jetstream/of.ts'
import { Pages } from '../pages.ts'

interface Named {
  readonly name: string
  readonly namespace: string
  /** undefined: there are no accounts. */
  readonly account: Account | undefined
}

/** undefined where there is none. */
export function accountNamed(broker: Broker, name: string): Named | undefined {
  const account = accountsOf(broker)?.get(name)
  const namespace = account?.namespace ?? name
  return broker.namespaces().includes(namespace) ? { name, namespace, account } : undefined
}

function all(broker: Broker): string[] {
  return accountsOf(broker)?.all.map(({ claims }) => claims.subject) ?? broker.namespaces()
}

const head = (broker: Broker): object => ({ server_id: serverId(broker), now: new Date(broker.clock.now()).toISOString() })

/** Of all, or of one. null: there is none of this name. */
export function accountz(broker: Broker, facts: ServerFacts, name: string): object | null {
  const accounts = accountsOf(broker)
  const beginning = {
    ...head(broker),
    ...(accounts === null || accounts.system === '' ? {} : { system_account: accounts.system }),
  }
  if (name === '') return { ...beginning, accounts: all(broker) }
  const named = accountNamed(broker, name)
  return named === undefined ? null : { ...beginning, account_detail: accountInfo(broker, facts, named) }
}

export function accountInfo(broker: Broker, facts: ServerFacts, { name, namespace, account }: Named): object {
  const { conns, num_subscriptions } = new Pages(broker, facts, namespace).clients()
  return {
    account_name: name,
    update_time: new Date(broker.clock.now()).toISOString(),
    ...(accountsOf(broker)?.system === name ? { is_system: true } : {}),
    expired: false,
    complete: true,
    jetstream_enabled: account?.streamLimits !== null,
    leafnode_connections: 0,
    client_connections: conns,
    subscriptions: num_subscriptions,
    ...(account === undefined ? {} : { name_tag: account.claims.name, issuer_key: account.claims.issuer }),
    ...(namespace === name ? {} : { namespace }),
    jetstream_streams: account?.streamLimits === null ? 0 : jetStreamOf(broker, namespace).streams().length,
  }
}

/** `names`: of these; null: of all. `unused`: also of those that nobody is connected to. */
export function accountStatz(broker: Broker, facts: ServerFacts, names: readonly string[] | null, unused: boolean): object {
  const rows = (names ?? all(broker)).flatMap((name) => {
    const named = accountNamed(broker, name)
    if (named === undefined) return []
    const clients = new Pages(broker, facts, named.namespace).clients()
    if (clients.conns === 0 && !unused) return []
    return [{ acc: name, name: named.account?.claims.name || name, leafnodes: 0, total_conns: clients.conns, ...clients }]
  })
  return { ...head(broker), account_statz: rows }
}
